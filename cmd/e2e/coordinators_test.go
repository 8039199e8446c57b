package e2e

import (
	"strings"
	"testing"
	"time"
)

// fleet is an installation that ends with the test; the test fails if it does
// not end cleanly.
func fleet(t *testing.T, o FleetOptions) *Fleet {
	t.Helper()
	if suite.browser == nil {
		t.Skip("SKIPPED: CLOUDRETRO_E2E is not set; make e2e sets it")
	}
	o.Bin, o.Dir = suite.bin, t.TempDir()
	f, err := StartFleet(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(f.Log())
		}
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// stopwatch says how long after begin something was so, and fails if that is far
// over the limit.
func stopwatch(t *testing.T, p *Page, begin time.Time, what, js string, limit time.Duration) {
	t.Helper()
	until(t, p, js, slack*limit)
	took := time.Since(begin)
	t.Logf("%s after %d ms", what, took.Milliseconds())
	if took > slack*limit {
		t.Errorf("%s after %s, want at most %s", what, took, limit)
	}
}

// notDisturbed checks that a game went on as if nothing had happened.
func notDisturbed(t *testing.T, p *Page, since float64) {
	t.Helper()
	if n := eval[float64](t, p, "probe.pcs.length"); n != 1 {
		t.Errorf("%v peer connections, want the same one", n)
	}
	calm(t, p, since)
}

const (
	presses = "probe.mean() > 215"
	rests   = "probe.mean() < 180"
)

// TestRoomsEverywhere opens rooms at one coordinator and joins them at the other.
func TestRoomsEverywhere(t *testing.T) {
	f := fleet(t, FleetOptions{Coordinators: 2, Workers: 3})
	for i := range 3 {
		from, to := f.Coordinators[i%2], f.Coordinators[(i+1)%2]
		host := open(t, from.URL+"/play/test-card")
		room := eval[string](t, host, "cloudretro.room")
		guest := open(t, to.URL+"/room/"+room)
		if got := eval[string](t, guest, "cloudretro.room"); got != room {
			t.Errorf("the guest is in room %s, want %s", got, room)
		}
	}
	// Three games at three workers: each took the one with nothing to do.
	for i, w := range f.Workers {
		if !strings.Contains(w.Metrics(), "cloudretro_worker_rooms 1\n") {
			t.Errorf("worker %d has not one room", i)
		}
	}
}

// TestCoordinatorDies kills the coordinator of a game with -9: by alternates,
// and behind a load balancer.
func TestCoordinatorDies(t *testing.T) {
	f := fleet(t, FleetOptions{Coordinators: 2, Workers: 1})
	front, err := NewFront([]string{address(f.Coordinators[0]), address(f.Coordinators[1])}, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(front.Close)
	for _, tc := range []struct{ name, url string }{{"alternates", f.Coordinators[0].URL}, {"load balancer", front.URL()}} {
		t.Run(tc.name, func(t *testing.T) {
			p := open(t, tc.url+"/play/test-card")
			until(t, p, "probe.frames.length > 60 && cloudretro.state === 'playing'", 10*time.Second)
			since := eval[float64](t, p, "performance.now()")
			eval[bool](t, p, "(probe.lost = 0, probe.watch = setInterval(() => { if (cloudretro.socket !== 'ready') probe.lost++; }, 1), true)")
			begin := time.Now()
			f.Coordinators[0].Kill()
			until(t, p, "probe.lost > 0", 3*time.Second)
			stopwatch(t, p, begin, "connected again", "cloudretro.socket === 'ready' && cloudretro.state === 'playing'", 3*time.Second)
			hold(t, p, "KeyZ", presses, rests)
			room := eval[string](t, p, "cloudretro.room")
			guest := open(t, f.Coordinators[1].URL+"/room/"+room)
			if got := eval[string](t, guest, "cloudretro.room"); got != room {
				t.Errorf("the guest is in room %s, want %s", got, room)
			}
			notDisturbed(t, p, since)
			if err := f.Coordinators[0].Start(); err != nil {
				t.Fatal(err)
			}
			if err := f.awaitWorkers(t.Context(), f.Coordinators[0], 1); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func address(m *Member) string { return strings.TrimPrefix(m.URL, "http://") }

// TestAllCoordinatorsDie kills both and starts one again after a while.
func TestAllCoordinatorsDie(t *testing.T) {
	f := fleet(t, FleetOptions{Coordinators: 2, Workers: 1})
	p := open(t, f.Coordinators[1].URL+"/play/test-card")
	until(t, p, "probe.frames.length > 60 && cloudretro.state === 'playing'", 10*time.Second)
	since := eval[float64](t, p, "performance.now()")
	for _, c := range f.Coordinators {
		c.Kill()
	}
	until(t, p, "cloudretro.socket !== 'ready'", 3*time.Second)
	hold(t, p, "KeyZ", presses, rests) // while nobody is there
	// Long enough for every pause between attempts to have grown.
	until(t, p, "new Promise((r) => setTimeout(() => r(true), 8000))", 12*time.Second)
	hold(t, p, "KeyZ", presses, rests)
	begin := time.Now()
	if err := f.Coordinators[0].Start(); err != nil {
		t.Fatal(err)
	}
	stopwatch(t, p, begin, "connected again", "cloudretro.socket === 'ready' && cloudretro.state === 'playing'", 5*time.Second)
	hold(t, p, "KeyZ", presses, rests)
	guest := open(t, f.Coordinators[0].URL+"/room/"+eval[string](t, p, "cloudretro.room"))
	until(t, guest, "cloudretro.state === 'playing'", 5*time.Second)
	notDisturbed(t, p, since)
}

// TestQueue fills the only place: the next waits in line, sees where it stands,
// and plays when the place is free.
func TestQueue(t *testing.T) {
	f := fleet(t, FleetOptions{Coordinators: 2, Workers: 1, WorkerConfig: map[string]string{
		"CLOUDRETRO_WORKER_ROOMS_MAX": "1", "CLOUDRETRO_WORKER_ROOMS_GRACE": "0s",
	}})
	first := open(t, f.Coordinators[0].URL+"/play/test-card")
	second := visit(t, f.Coordinators[0].URL+"/play/test-card")
	until(t, second, "cloudretro.queue?.position === 1", 5*time.Second)
	third := visit(t, f.Coordinators[1].URL+"/play/test-card")
	until(t, third, "cloudretro.queue?.position === 2 && cloudretro.queue.waiting === 2", 8*time.Second)
	until(t, third, "/number 2 /i.test(document.body.innerText)", 2*time.Second)

	t.Run("its coordinator dies", func(t *testing.T) {
		f.Coordinators[1].Kill()
		until(t, third, "cloudretro.socket === 'ready' && cloudretro.queue?.position === 2", 10*time.Second)
	})
	first.Close()
	if err := second.AwaitPicture(); err != nil {
		t.Fatal(err)
	}
	until(t, third, "cloudretro.queue?.position === 1", 5*time.Second)
	second.Close()
	if err := third.AwaitPicture(); err != nil {
		t.Fatal(err)
	}
}

// visit loads a page and does not wait for a picture.
func visit(t *testing.T, url string) *Page {
	t.Helper()
	p, err := suite.browser.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}
