package e2e

import (
	"errors"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// pictureJS gives a page probe.keep() and probe.far(picture): how much the
// picture now differs from one kept, the mean difference of brightness in the
// block of 8x8 pixels that differs most.
const pictureJS = `(() => {
	const w = 256, h = 224, size = 8;
	const c = document.createElement('canvas');
	c.width = w; c.height = h;
	const pen = c.getContext('2d', { willReadFrequently: true });
	probe.keep = () => {
		pen.drawImage(probe.video, 0, 0, w, h);
		const d = pen.getImageData(0, 0, w, h).data, out = new Uint8Array(w * h);
		for (let i = 0; i < out.length; i++) out[i] = Math.round(0.299 * d[4 * i] + 0.587 * d[4 * i + 1] + 0.114 * d[4 * i + 2]);
		return out;
	};
	probe.far = (then) => {
		const now = probe.keep(), sums = new Float64Array(w / size * h / size);
		for (let i = 0; i < now.length; i++) sums[(i / w / size | 0) * w / size + (i % w / size | 0)] += Math.abs(now[i] - then[i]);
		return Math.max(...sums) / size / size;
	};
	return true;
})()`

const (
	samePicture  = "probe.far(probe.saved) < 16" // what the encoder makes of one picture twice
	otherPicture = "probe.far(probe.saved) > 48"
)

func linger(t *testing.T, p *Page, d time.Duration) {
	t.Helper()
	eval[bool](t, p, "new Promise((r) => setTimeout(() => r(true), "+strconv.FormatInt(d.Milliseconds(), 10)+"))")
}

func strike(t *testing.T, p *Page, code string, d time.Duration) {
	t.Helper()
	down := p.Key(code, code, true)
	linger(t, p, d)
	if err := errors.Join(down, p.Key(code, code, false)); err != nil {
		t.Fatal(err)
	}
}

// pausedMatch plays the built-in game to where a match is paused: the picture stands.
func pausedMatch(t *testing.T, url string) *Page {
	t.Helper()
	p := open(t, url+"/play/comet-court")
	eval[bool](t, p, pictureJS)
	for range 2 { // the title, the menu
		linger(t, p, 2*time.Second)
		strike(t, p, "Enter", 100*time.Millisecond)
	}
	linger(t, p, 3*time.Second)
	strike(t, p, "ArrowRight", 300*time.Millisecond)
	for range 10 {
		strike(t, p, "Enter", 100*time.Millisecond)
		linger(t, p, 500*time.Millisecond)
		eval[bool](t, p, "(probe.saved = probe.keep(), true)")
		linger(t, p, 1500*time.Millisecond)
		if eval[bool](t, p, samePicture) {
			return p
		}
	}
	t.Fatal("the match cannot be paused")
	return nil
}

// playOn plays on until the picture is another one than that saved.
func playOn(t *testing.T, p *Page) {
	t.Helper()
	strike(t, p, "Enter", 100*time.Millisecond)
	strike(t, p, "ArrowRight", 400*time.Millisecond)
	strike(t, p, "ArrowUp", 400*time.Millisecond)
	until(t, p, otherPicture, 5*time.Second)
}

func saveGame(t *testing.T, p *Page) {
	t.Helper()
	strike(t, p, "F2", 50*time.Millisecond)
	until(t, p, "cloudretro.saved > 0", 3*time.Second)
}

// loadGame brings the picture back, which the page shows within a second.
func loadGame(t *testing.T, p *Page) {
	t.Helper()
	until(t, p, otherPicture, time.Second)
	far := eval[float64](t, p, "probe.far(probe.saved)")
	linger(t, p, 1100*time.Millisecond) // a room saves or loads once a second
	begin := time.Now()
	strike(t, p, "F4", 50*time.Millisecond)
	stopwatch(t, p, begin, "the saved picture is shown", samePicture, time.Second)
	t.Logf("furthest block: %.0f before, %.1f after", far, eval[float64](t, p, "probe.far(probe.saved)"))
	until(t, p, "/Loaded/.test(document.querySelector('.notes').innerText)", time.Second)
}

// TestSaveAndLoad saves the built-in game, plays on, and comes back to the same
// picture; also after the core process was killed, and in another page.
func TestSaveAndLoad(t *testing.T) {
	s := stage(t, Options{})
	p := pausedMatch(t, s.URL)
	if !eval[bool](t, p, "document.querySelector('[aria-label=Load]').disabled") {
		t.Error("one can load before anything was saved")
	}
	saveGame(t, p)
	playOn(t, p)
	loadGame(t, p)

	cores := s.Cores()
	if len(cores) != 1 {
		t.Fatalf("core processes %v", cores)
	}
	playOn(t, p)
	linger(t, p, 1500*time.Millisecond) // a crash goes back by a second at the most, not to the load
	if _, err := p.Hurt(cores[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	loadGame(t, p)

	// A load is what a crash goes back to.
	linger(t, p, 2*time.Second)
	if _, err := p.Hurt(s.Cores()[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, p, samePicture, 3*time.Second)

	playOn(t, p)
	guest := open(t, s.URL+"/room/"+eval[string](t, p, "cloudretro.room"))
	until(t, guest, "cloudretro.player === 2 && cloudretro.saved > 0", 3*time.Second)
	strike(t, guest, "F4", 50*time.Millisecond)
	until(t, p, samePicture, time.Second)
	until(t, p, "/Guest 2 loaded the game/.test(document.querySelector('.notes').innerText)", time.Second)
	if n := eval[float64](t, p, "probe.pcs.length"); n != 1 {
		t.Errorf("%v peer connections, want the same one", n)
	}
}

// TestSavesWithoutCoordinators saves after one coordinator has died, and loads
// after both have.
func TestSavesWithoutCoordinators(t *testing.T) {
	f := fleet(t, FleetOptions{Coordinators: 2, Workers: 1})
	p := pausedMatch(t, f.Coordinators[0].URL)
	f.Coordinators[0].Kill()
	saveGame(t, p)
	playOn(t, p)
	f.Coordinators[1].Kill()
	until(t, p, "cloudretro.socket !== 'ready'", 5*time.Second)
	loadGame(t, p)
	playOn(t, p)
	linger(t, p, time.Second)
	loadGame(t, p)
}
