package e2e

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestRates plays each kind of game and checks that the pictures have exactly
// the rate of the core, and that picture and sound flow in real time as far as
// a busy machine lets them (make bench-play prints the exact figures).
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
			if err := p.AwaitFlow(); err != nil {
				t.Fatal(err)
			}
			checkFlow(t, p, 10*time.Second, tc.fps)
			checkBeat(t, p, tc.fps)
			c, err := p.Counters()
			if err != nil || c.Width != 2*tc.native[0] || c.Height != 2*tc.native[1] {
				t.Errorf("picture is %vx%v, want twice %v; %v", c.Width, c.Height, tc.native, err)
			}
		})
	}
}

// checkFlow watches a page until pictures and sound have come at their rates for a
// while. A busy machine may stop all of us in one while, and in the next.
func checkFlow(t *testing.T, p *Page, window time.Duration, fps float64) {
	t.Helper()
	for range 5 {
		flow, err := p.Watch(window)
		if err != nil {
			t.Fatal(err)
		}
		pictures, sound := isRate(t, "pictures", flow.Pictures, fps*flow.Seconds), isRate(t, "sound packets", flow.Packets, 100*flow.Seconds)
		if pictures && sound {
			return
		}
	}
	t.Error("pictures and sound never come at their rates")
}

// isRate allows for pictures that a busy machine drops, and hardly any too many.
func isRate(t *testing.T, what string, got, want float64) bool {
	t.Helper()
	t.Logf("%s: %.0f, expected %.2f (%+.3f %%)", what, got, want, 100*(got-want)/want)
	return got >= 0.8*want && got <= 1.01*want+2
}

// checkBeat compares the RTP time of every shown frame with the rate, to the tick.
func checkBeat(t *testing.T, p *Page, fps float64) {
	t.Helper()
	told, err := p.FPS()
	if err != nil || math.Abs(told-fps) > 1e-4 {
		t.Errorf("the page was told %v pictures per second, want %v; %v", told, fps, err)
	}
	off, intervals, err := p.Offbeat(fps)
	t.Logf("%d of %d intervals are off the beat of %v Hz", off, intervals, fps)
	if err != nil || off > intervals/20 || intervals < 100 {
		t.Errorf("%d of %d intervals are off the beat of %v Hz; %v", off, intervals, fps, err)
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

// TestFourRooms runs four rooms at once in one worker, each at its own exact rate.
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
		checkFlow(t, p, 5*time.Second, 60)
		checkBeat(t, p, 60)
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
