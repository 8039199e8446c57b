package engine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/libretro/libretrotest"
)

// script returns the Spec of a script of the test core.
func script(t *testing.T, lines ...string) Spec {
	t.Helper()
	needCodecs(t)
	return Spec{
		Kind: KindLibretro, Core: libretrotest.BuildTestCore(t), Game: libretrotest.WriteGame(t, lines...),
		SystemDir: t.TempDir(), SaveDir: t.TempDir(),
	}
}

func (r *rig) frames(t *testing.T, n int) {
	t.Helper()
	r.rec.wait(t, "frames", func() bool { return len(r.rec.frames) >= n })
}

func TestCoreAnnouncesGeometryAndTiming(t *testing.T) {
	t.Parallel()
	r := startRig(t, Config{}, script(t, "fps=59.7275", "size=160x144", "geometry_at=20:64x48", "timing_at=60:50:44100", "rotate_at=90:1"))
	last := func() Info { return r.rec.events[len(r.rec.events)-1].Info }
	r.rec.wait(t, "ready", r.rec.has(EventReady))
	r.rec.wait(t, "all changes", func() bool { i := last(); return i.Width == 64 && i.FPS == 50 && i.Rotation == 1 })
	r.frames(t, 120)
	r.stop()
	if i := r.rec.events[0].Info; i.Width != 160 || i.FPS != 59.7275 {
		t.Errorf("ready with %+v", i)
	}
	var gaps [2]int // frames 1/59.7275 s and 1/50 s apart; a busy host makes it drop others
	for i, f := range r.rec.frames[1:] {
		before := r.rec.frames[i]
		if f.Width != before.Width && !f.Key {
			t.Errorf("frame %d has another size and is no key frame", i+1)
		}
		switch d := f.PTS - before.PTS; {
		case d > 16700*time.Microsecond && d < 16800*time.Microsecond:
			gaps[0]++
		case d > 19900*time.Microsecond && d < 20100*time.Microsecond:
			gaps[1]++
		}
	}
	if gaps[0] < 5 || gaps[1] < 5 {
		t.Errorf("frames at the old and the new rate: %v", gaps)
	}
}

func TestCoreThatCrashesOrHangsOnceGoesOn(t *testing.T) {
	t.Parallel()
	for what, limit := range map[string]time.Duration{"crash": 0, "abort": 0, "exit": 0, "hang": 3 * time.Second} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			saves := t.TempDir() // where it may write
			spec := script(t, what+"_at=100", "crash_once="+filepath.Join(saves, "once"))
			spec.SaveDir = saves
			r := startRig(t, Config{HangTimeout: limit}, spec)
			r.rec.wait(t, "restarting", r.rec.has(EventRestarting))
			r.rec.wait(t, "frames after it", func() bool { return r.rec.afterRestart > 60 })
			r.stop()
			first := r.rec.restartFrame
			gap := r.rec.frames[first].PTS - r.rec.frames[first-1].PTS
			t.Logf("the picture stood still for %v", gap)
			if ev, _ := r.rec.event(EventRestarted); ev.Info.Snapshot == 0 {
				t.Error("it began anew")
			}
		})
	}
}

// A core that crashes at the same frame again and again comes back from the
// snapshot, then without it, and at last is given up.
func TestCoreThatAlwaysCrashes(t *testing.T) {
	t.Parallel()
	r := startRig(t, Config{}, script(t, "crash_at=100"))
	err := r.result(t)
	if !errors.Is(err, ErrCrashed) || !strings.Contains(err.Error(), "signal 11") && !strings.Contains(err.Error(), "status 2") {
		t.Errorf("got %v", err)
	}
	var restored []bool
	for _, ev := range r.rec.events {
		if ev.Kind == EventRestarted {
			restored = append(restored, ev.Info.Snapshot != 0)
		}
	}
	// A snapshot that lasts two seconds counts as good; a busy host makes one last.
	if len(restored) != 5 || !restored[0] || !slices.Contains(restored, false) {
		t.Errorf("restored from a snapshot: %v, want yes and later no", restored)
	}
}

func TestFilesThatAreNoGames(t *testing.T) {
	t.Parallel()
	spec := script(t)
	bad := map[string]string{"no game": spec.Game + ".missing", "a folder": t.TempDir(), "refused": script(t, "fail=1").Game}
	for name, game := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := spec
			spec.Game = game
			r := startRig(t, Config{}, spec)
			if err := r.result(t); !errors.Is(err, ErrLoad) {
				t.Errorf("got %v", err)
			}
			if s := r.Stats(); s.Restarts != 0 {
				t.Errorf("%d restarts", s.Restarts)
			}
			if _, ok := r.rec.event(EventFailed); !ok {
				t.Error("nobody was told")
			}
		})
	}
}

func TestCoreThatEndsItself(t *testing.T) {
	t.Parallel()
	r := startRig(t, Config{}, script(t, "shutdown_at=30"))
	if err := r.result(t); !errors.Is(err, ErrEnded) {
		t.Errorf("got %v", err)
	}
	if len(r.rec.frames) < 10 { // the last ones may be lost
		t.Errorf("%d frames before the end", len(r.rec.frames))
	}
}

func TestHostileCores(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"huge_size", "huge_batch", "many_samples", "message_flood", "log_flood", "bad_timing", "bad_geometry"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := startRig(t, Config{}, script(t, "hostile="+what))
			r.rec.wait(t, "frames or an error", func() bool {
				return len(r.rec.frames) > 30 || r.rec.has(EventFailed)()
			})
			r.stop()
		})
	}
}

// Real cores play at their own rate, two at a time.
func TestInstalledCores(t *testing.T) {
	needCodecs(t)
	spec, ok := installedGame(t)
	if !ok {
		t.Skip("SKIPPED: no core for the built-in game: apt-get install libretro-nestopia")
	}
	second := spec
	second.SaveDir, second.Video.Scale = t.TempDir(), 1
	a, b := startRig(t, Config{}, spec), startRig(t, Config{}, second)
	a.frames(t, 180)
	b.frames(t, 180)
	a.stop()
	b.stop()
	for _, r := range []*rig{a, b} {
		info := r.rec.events[0].Info
		n := len(r.rec.frames) - 1
		lasted := r.rec.frames[n].PTS - r.rec.frames[0].PTS
		stats := r.Stats()
		due := uint64(lasted.Seconds()*info.FPS + 0.5)
		sound := float64(len(r.rec.packets)) / lasted.Seconds()
		t.Logf("%s: %d of %d pictures, %g packets a second, %+v", info.CoreName, n, due, sound, stats)
		if stats.Reanchored+stats.LateTicks > 0 {
			t.Log("this host is too busy to tell more")
		} else if missing := due - uint64(n); missing > stats.DroppedPictures+60 || sound < 98 || sound > 102 {
			t.Errorf("%d pictures are missing, %d were dropped, %g packets a second", missing, stats.DroppedPictures, sound)
		}
	}
}

func TestPathsAreMadeAbsolute(t *testing.T) {
	e, err := New(Config{}, Spec{Kind: KindLibretro, Core: "core.so", Game: "../game"}, newRecorder())
	if err != nil {
		t.Fatal(err)
	}
	wd, _ := os.Getwd()
	if e.spec.Core != filepath.Join(wd, "core.so") || e.spec.Game != filepath.Join(filepath.Dir(wd), "game") || e.spec.SaveDir != "" {
		t.Errorf("%+v", e.spec)
	}
}

func TestNewRefuses(t *testing.T) {
	good := Spec{Kind: KindTestCard}
	for name, f := range map[string]func() (*Engine, error){
		"no sink":    func() (*Engine, error) { return New(Config{}, good, nil) },
		"no machine": func() (*Engine, error) { return New(Config{}, Spec{}, newRecorder()) },
		"scale": func() (*Engine, error) {
			return New(Config{}, Spec{Kind: KindTestCard, Video: VideoSpec{Scale: 50}}, newRecorder())
		},
		"negative limit": func() (*Engine, error) { return New(Config{HangTimeout: -1}, good, newRecorder()) },
		"snapshot size":  func() (*Engine, error) { return New(Config{SnapshotSize: -1}, good, newRecorder()) },
	} {
		if e, err := f(); err == nil {
			t.Errorf("%s: got %v", name, e)
		}
	}
}

func TestEngineThatDoesNotRun(t *testing.T) {
	e, err := New(Config{}, Spec{Kind: KindTestCard}, newRecorder())
	if err != nil {
		t.Fatal(err)
	}
	e.SetPad(0, Pad{Buttons: 1})
	e.RequestKeyFrame()
	e.SetProfile(1)
	e.SetMaxBitrate(1)
	if e.Pid() != 0 || e.Stats() != (Stats{}) {
		t.Errorf("pid %d, stats %+v", e.Pid(), e.Stats())
	}
}

func TestBudget(t *testing.T) {
	b := budget{limit: 3, window: time.Minute}
	now := time.Unix(1000, 0)
	for i, want := range []time.Duration{0, firstPause, 2 * firstPause} {
		if pause, ok := b.take(now); !ok || pause != want {
			t.Errorf("restart %d: %v, %v", i, pause, ok)
		}
	}
	if _, ok := b.take(now.Add(59 * time.Second)); ok {
		t.Error("a fourth restart within the window")
	}
	if pause, ok := b.take(now.Add(time.Minute)); !ok || pause != 0 {
		t.Errorf("after the window: %v, %v", pause, ok)
	}
	long := budget{limit: 100, window: time.Minute}
	var last time.Duration
	for range 100 {
		last, _ = long.take(now)
	}
	if last != maxPause {
		t.Errorf("the pause grows to %v", last)
	}
}
