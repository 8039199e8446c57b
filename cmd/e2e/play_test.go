package e2e

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// counters of probe.js.
type counters struct {
	At                       float64
	Decoded, Dropped         float64
	Freezes, Lost, Audio     float64
	Width, Height, Concealed float64
}

// TestRates plays each kind of game for 20 s and counts pictures and packets.
func TestRates(t *testing.T) {
	for _, tc := range []struct {
		system string
		fps    float64 // that the core is known to report; Debian's nestopia rounds it
		native [2]float64
	}{
		{"test", 60, [2]float64{256, 240}},
		{"nes", 60, [2]float64{256, 224}},
		{"gba", 16777216.0 / 280896, [2]float64{240, 160}},
	} {
		t.Run(tc.system, func(t *testing.T) {
			o := Options{}
			if tc.system == "gba" {
				o.Games = gamesWith(t, "*.gba")
			}
			s := stage(t, o)
			game, err := s.GameOf(t.Context(), tc.system)
			if err != nil {
				t.Fatal(err)
			}
			p := open(t, s.URL+"/play/"+game.ID)
			until(t, p, "probe.counters().then((c) => c.audio > 200 && c.decoded > 120)", 15*time.Second)
			if got := eval[float64](t, p, "window.cloudretro.geometry.fps"); math.Abs(got-tc.fps) > 0.0001 {
				t.Errorf("the page was told %v pictures per second, want %v", got, tc.fps)
			}
			before := eval[counters](t, p, "probe.counters()")
			after := eval[counters](t, p, "new Promise((r) => setTimeout(r, 20000)).then(probe.counters)")
			seconds := (after.At - before.At) / 1000
			checkRate(t, "pictures", after.Decoded-before.Decoded, tc.fps*seconds, 0.001)
			checkRate(t, "sound packets", after.Audio-before.Audio, 100*seconds, 0.002)
			if after.Freezes != before.Freezes || after.Lost != before.Lost {
				t.Errorf("freezes %v -> %v, lost %v -> %v; want none", before.Freezes, after.Freezes, before.Lost, after.Lost)
			}
			if after.Width != 2*tc.native[0] || after.Height != 2*tc.native[1] {
				t.Errorf("picture is %vx%v, want twice %v", after.Width, after.Height, tc.native)
			}
		})
	}
}

// checkRate allows the relative error and one event more, since a window cuts two of them.
func checkRate(t *testing.T, what string, got, want, relative float64) {
	t.Helper()
	t.Logf("%s: %.0f, expected %.2f (%+.3f %%)", what, got, want, 100*(got-want)/want)
	if math.Abs(got-want) > want*relative+1 {
		t.Errorf("%s: %.0f, want %.2f within %.1f %% and one", what, got, want, 100*relative)
	}
}

// TestInput holds A on the test card and on the NES game: the picture changes and changes back.
func TestInput(t *testing.T) {
	s := stage(t, Options{})
	t.Run("test", func(t *testing.T) {
		p := open(t, s.URL+"/play/test-card")
		until(t, p, "probe.mean() < 180", 3*time.Second)
		for range 3 {
			hold(t, p, "KeyZ", "probe.mean() > 215", "probe.mean() < 180")
		}
	})
	t.Run("nes", func(t *testing.T) {
		game, err := s.GameOf(t.Context(), "nes")
		if err != nil {
			t.Fatal(err)
		}
		p := open(t, s.URL+"/play/"+game.ID)
		until(t, p, "probe.frames.length > 120", 5*time.Second)
		eval[bool](t, p, "(probe.before = probe.luma(), true)")
		for range 3 {
			hold(t, p, "KeyZ", "probe.difference(probe.luma(), probe.before) > 12", "probe.difference(probe.luma(), probe.before) < 8")
		}
	})
}

// TestRoom lets three browsers into a two-seat room: player 1, player 2, a viewer.
func TestRoom(t *testing.T) {
	s := stage(t, Options{})
	game, err := s.GameOf(t.Context(), "nes")
	if err != nil {
		t.Fatal(err)
	}
	host := open(t, s.URL+"/play/"+game.ID)
	room := eval[string](t, host, "window.cloudretro.room")
	guest, viewer := open(t, s.URL+"/room/"+room), open(t, s.URL+"/room/"+room)
	for i, p := range []*Page{host, guest, viewer} {
		want := []float64{1, 2, 0}[i]
		if got := eval[float64](t, p, "window.cloudretro.player"); got != want {
			t.Errorf("browser %d has seat %v, want %v", i+1, got, want)
		}
	}
	if pids := s.Cores(); len(pids) != 1 {
		t.Errorf("core processes %v, want one for one room", pids)
	}
}

// TestFourRooms runs four rooms at once in one worker, each at its full rate.
func TestFourRooms(t *testing.T) {
	s := stage(t, Options{Config: map[string]string{"CLOUDRETRO_ENCODER_VIDEO_SCALE": "1"}})
	game, err := s.GameOf(t.Context(), "nes")
	if err != nil {
		t.Fatal(err)
	}
	var pages []*Page
	for _, id := range []string{game.ID, "test-card", game.ID, "test-card"} {
		pages = append(pages, open(t, s.URL+"/play/"+id))
	}
	for _, p := range pages {
		before := eval[counters](t, p, "probe.counters()")
		after := eval[counters](t, p, "new Promise((r) => setTimeout(r, 5000)).then(probe.counters)")
		checkRate(t, "pictures", after.Decoded-before.Decoded, 60*(after.At-before.At)/1000, 0.005)
	}
}

// gamesWith makes a library with the free games of CLOUDRETRO_TEST_GAMES that match.
func gamesWith(t *testing.T, pattern string) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(os.Getenv("CLOUDRETRO_TEST_GAMES"), pattern))
	if os.Getenv("CLOUDRETRO_TEST_GAMES") == "" || len(found) == 0 {
		t.Skipf("SKIPPED: no %s in the folder that CLOUDRETRO_TEST_GAMES names", pattern)
	}
	dir := t.TempDir()
	for _, file := range found {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
