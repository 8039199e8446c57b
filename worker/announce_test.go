package worker

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func someGames(n int) []signal.Game {
	games := make([]signal.Game, n)
	for i := range games {
		games[i] = signal.Game{ID: fmt.Sprintf("game-%d", i), Title: "Game", System: "nes", Players: 2}
	}
	return games
}

// apply is what a coordinator makes of the parts of a change.
func apply(t *testing.T, base []signal.Game, parts []signal.Library) []signal.Game {
	t.Helper()
	games := map[string]signal.Game{}
	for _, g := range base {
		games[g.ID] = g
	}
	for i, p := range parts {
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		if p.More != (i < len(parts)-1) || p.Digest != parts[0].Digest || p.Base != parts[0].Base {
			t.Errorf("part %d of %d: %s to %s, more %v", i, len(parts), p.Base, p.Digest, p.More)
		}
		for _, g := range p.Put {
			games[g.ID] = g
		}
		for _, id := range p.Gone {
			delete(games, id)
		}
	}
	return slices.Collect(maps.Values(games))
}

func TestDifference(t *testing.T) {
	all := someGames(10)
	other := slices.Clone(all)
	other[3].Title = "Another name"
	tests := []struct {
		name          string
		before, after []signal.Game
		put, gone     int
	}{
		{"nothing", all, all, 0, 0},
		{"from nothing", nil, all, 10, 0},
		{"to nothing", all, nil, 0, 10},
		{"a name", all, other, 1, 0},
		{"some go, some come", all[:6], all[4:], 4, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, after := newCatalogue(tt.before), newCatalogue(tt.after)
			d := difference(before, after)
			if len(d.Put) != tt.put || len(d.Gone) != tt.gone || d.Base != before.digest || d.Digest != after.digest {
				t.Errorf("difference %+v", d)
			}
			for size := 1; size < 12; size++ {
				cut := parts(d, size)
				for _, p := range cut {
					if len(p.Put)+len(p.Gone) > size {
						t.Errorf("%d in a part of %d", len(p.Put)+len(p.Gone), size)
					}
				}
				if got := signal.LibraryDigest(apply(t, tt.before, cut)); got != after.digest {
					t.Errorf("parts of %d lead to another library", size)
				}
			}
		})
	}
}

// TestPartsFit: a part of the longest names is taken by a coordinator.
func TestPartsFit(t *testing.T) {
	long := ""
	for len(long) < signal.MaxText {
		long += "x"
	}
	games := someGames(signal.LibraryPart + 1)
	for i := range games {
		games[i].Title = long
	}
	for _, p := range parts(signal.Library{Digest: newCatalogue(games).digest, Put: games}, signal.LibraryPart) {
		data, err := signal.Encode(signal.TypeLibrary, "", "", p)
		if err != nil || len(data) > signal.MaxInternal {
			t.Errorf("%d bytes, %v", len(data), err)
		}
	}
	if c := newCatalogue(make([]signal.Game, signal.MaxGames+1)); len(c.games) != signal.MaxGames {
		t.Errorf("%d games are announced", len(c.games))
	}
}

// TestLibraryIsToldWhole to who does not know it, and to who asks.
func TestLibraryIsToldWhole(t *testing.T) {
	d := newDoor(t)
	d.wants = true
	p := newPlay(t, func(c *Config) { c.Coordinators = append(c.Coordinators, d.address()) })
	second := d.accept()
	want := func(c *call) {
		t.Helper()
		l, err := signal.Read[signal.Library](c.want(signal.TypeLibrary, ""))
		if err != nil || l.Base != "" || l.Digest != c.register.Library || l.More || signal.LibraryDigest(l.Put) != l.Digest {
			t.Errorf("library %+v, %v", l, err)
		}
	}
	want(second)
	p.link.send(signal.TypeWant, "", "", nil)
	want(p.link)
}

func TestProbeURL(t *testing.T) {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	port := probe.Addr().(*net.TCPAddr).Port
	tests := []struct {
		name   string
		cfg    Config
		probe  net.Listener
		expect string
	}{
		{"none", Config{}, probe, ""},
		{"as configured", Config{ProbeURL: "https://eu.example.org/echo", PublicAddress: "192.0.2.1"}, probe, "https://eu.example.org/echo"},
		{"configured without a probe of its own", Config{ProbeURL: "https://eu.example.org/echo"}, nil, "https://eu.example.org/echo"},
		{"derived", Config{PublicAddress: "192.0.2.1"}, probe, fmt.Sprintf("http://192.0.2.1:%d/echo", port)},
		{"derived, IPv6", Config{PublicAddress: "2001:db8::1"}, probe, fmt.Sprintf("http://[2001:db8::1]:%d/echo", port)},
		{"no probe", Config{PublicAddress: "192.0.2.1"}, nil, ""},
		{"no host", Config{PublicAddress: "no host at all"}, probe, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &Worker{log: slog.New(slog.DiscardHandler), cfg: tt.cfg, probe: tt.probe}
			got := w.probeURL()
			if got != tt.expect {
				t.Errorf("probe %q, want %q", got, tt.expect)
			}
			r := signal.Register{ID: "w", MAC: newCatalogue(nil).digest, Library: newCatalogue(nil).digest, Probe: got, Load: signal.Load{State: signal.StateReady}}
			if err := r.Validate(); err != nil {
				t.Errorf("%q: %v", got, err)
			}
		})
	}
}

// TestSecondJoinerHearsAll: a coordinator that comes later knows what is played
// and what is free from the registration alone.
func TestSecondJoinerHearsAll(t *testing.T) {
	p := newPlay(t, nil)
	_, a := p.start("s1")
	p.link.send(signal.TypeDrain, "", "", signal.Drain{})
	p.link.wantLoad(func(l signal.Load) bool { return l.State == signal.StateDraining })
	p.link.conn.Close()
	next := p.door.accept()
	want := signal.Load{State: signal.StateDraining, Places: 2, Free: 1, Sessions: 1}
	if r := next.register; len(r.Rooms) != 1 || r.Rooms[0].ID != a.Room || r.Load != want {
		t.Errorf("Register = %+v", r)
	}
}
