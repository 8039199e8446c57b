package worker

import (
	"log/slog"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/room"
)

func TestPaceSince(t *testing.T) {
	tests := []struct {
		name           string
		last, now, out pace
	}{
		{"nothing", pace{10, 1}, pace{10, 1}, pace{}},
		{"a second", pace{60, 1}, pace{120, 4}, pace{60, 3}},
		{"counters that begin anew", pace{60, 1}, pace{10, 0}, pace{}},
		{"later than there are", pace{}, pace{60, 61}, pace{60, 60}},
		{"nonsense", pace{}, pace{1 << 63, 1 << 63}, pace{maxPace, maxPace}},
		{"only late", pace{}, pace{0, 5}, pace{}},
	}
	for _, tt := range tests {
		if got := tt.now.since(tt.last); got != tt.out {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.out)
		}
	}
	if n := (pace{}).perMille(); n != 0 {
		t.Errorf("%d of nothing", n)
	}
}

// TestLateness: what seconds of how many late frames of 60 lead to.
func TestLateness(t *testing.T) {
	tests := []struct {
		name    string
		seconds []int  // late frames; -1 = no frame at all, -2 = no room
		over    string // o = overloaded after that second
	}{
		{"calm", []int{0, 1, 0, 2, 0, 3}, "......"},
		{"one hiccup", []int{0, 60, 0, 0, 0, 0}, "......"},
		{"two in a while", []int{60, 60, 0, 0, 0, 0}, "......"},
		{"for three seconds", []int{7, 7, 7}, "..o"},
		{"three of five", []int{30, 0, 30, 0, 30}, "....o"},
		{"silence says nothing", []int{30, -1, 30, -1, 30, -1}, "....oo"},
		{"not at the limit", []int{6, 6, 6, 6, 6, 6}, "......"},
		{"over when the window is calm", []int{9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "..oooooooooo."},
		{"a calm second does not help", []int{9, 9, 9, 0, 0, 5, 0, 5, 5, 5, 5, 5, 5, 0, 0}, "..ooooooooooooo"},
		{"half as bad is well", []int{9, 9, 9, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3}, "..oooooooooo."},
		{"the last room leaves", []int{9, 9, 9, -2, 0, 0, 9}, "..o...."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := lateness{limit: latePerMille}
			got := ""
			for _, n := range tt.seconds {
				second, rooms := pace{60, uint64(max(n, 0))}, 1
				switch n {
				case -1:
					second = pace{}
				case -2:
					second, rooms = pace{}, 0
				}
				late, over := l.second(second, rooms)
				if late < 0 || late > 1000 {
					t.Errorf("%d per mille", late)
				}
				got += map[bool]string{true: "o", false: "."}[over]
			}
			if got != tt.over {
				t.Errorf("%v: %s, want %s", tt.seconds, got, tt.over)
			}
		})
	}
}

// TestLatenessIsOfAllRooms: one room of ten that is late does not stop the others.
func TestLatenessIsOfAllRooms(t *testing.T) {
	l := lateness{limit: latePerMille}
	for range 20 {
		if late, over := l.second(pace{600, 59}, 10); over || late > 98 {
			t.Fatalf("%d per mille, overloaded %v", late, over)
		}
	}
}

// TestJudge adds rooms up and looks only at what is new.
func TestJudge(t *testing.T) {
	var a, b pace
	w := &Worker{}
	w.rooms.byID = map[string]*running{
		"a": {Room: &room.Room{}, pace: func() pace { return a }},
		"b": {Room: &room.Room{}, pace: func() pace { return b }},
	}
	judge := lateness{limit: latePerMille}
	a, b = pace{60, 0}, pace{60, 6}
	if late, over := w.judge(&judge); late != 50 || over {
		t.Errorf("%d per mille, %v", late, over)
	}
	a, b = pace{120, 0}, pace{120, 12}
	if late, _ := w.judge(&judge); late != 50 {
		t.Errorf("%d per mille", late)
	}
	delete(w.rooms.byID, "b")
	a = pace{180, 0}
	if late, _ := w.judge(&judge); late != 40 {
		t.Errorf("%d per mille", late)
	}
	delete(w.rooms.byID, "a")
	if late, over := w.judge(&judge); late != 0 || over {
		t.Errorf("%d per mille of no rooms", late)
	}
}

// TestOverloadIsAnnounced, and nothing is granted meanwhile; without rooms it ends.
func TestOverloadIsAnnounced(t *testing.T) {
	p := newPlay(t, nil)
	p.lateTick.Store(true)
	p.start("s1")
	p.link.wantLoad(func(l signal.Load) bool {
		return l.State == signal.StateOverloaded && l.Late > latePerMille && l.Free == 1
	})
	if r := refusal(t, p.link.reserve("t1", "test-card")); r.Code != signal.CodeBusy {
		t.Errorf("refused with %v", r)
	}
	if s := p.Status(); s.State != signal.StateOverloaded || s.Late == 0 {
		t.Errorf("Status = %+v", s)
	}
	p.link.ask("t2", "test-card", 1, true)
	(<-p.engines).Fail(nil)
	if e := p.link.answerTo("t2"); e.Type != signal.TypeReserved {
		t.Errorf("answered with %s", e.Type)
	}
	p.link.wantLoad(func(l signal.Load) bool { return l.State == signal.StateReady && l.Late == 0 })
}

// TestOverloadIsFelt by who plays: a room that goes on for a while after all have
// left does not keep them from the next game.
func TestOverloadIsFelt(t *testing.T) {
	p := newPlay(t, nil)
	p.lateTick.Store(true)
	p.start("s1")
	p.link.wantLoad(func(l signal.Load) bool { return l.State == signal.StateOverloaded })
	p.link.send(signal.TypeLeave, "", "s1", nil)
	p.link.wantLoad(func(l signal.Load) bool { return l.State == signal.StateReady && l.Late == 0 })
	if n := len(p.rooms.running()); n != 1 {
		t.Errorf("%d rooms, want the one that was left", n)
	}
	p.ticket("test-card")
}

// TestEnginesTellTheirPace: one that does not run has begun no frame.
func TestEnginesTellTheirPace(t *testing.T) {
	m, err := startEngine(engine.Config{}, engine.Spec{Kind: engine.KindTestCard}, room.New(room.Config{Logger: slog.New(slog.DiscardHandler)}).Sink())
	if err != nil {
		t.Fatal(err)
	}
	if m.run == nil || m.pace() != (pace{}) {
		t.Errorf("machine %+v, pace %+v", m, m.pace())
	}
	if _, err := startEngine(engine.Config{}, engine.Spec{Kind: engine.KindTestCard}, nil); err == nil {
		t.Error("an engine without a sink")
	}
}
