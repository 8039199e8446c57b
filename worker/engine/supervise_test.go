package engine

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/media"
)

// rogueRig runs an engine on a misbehaving core process, which gets no second
// chance unless cfg says so.
func rogueRig(t *testing.T, what string, cfg Config) *rig {
	t.Helper()
	cfg.Command = []string{testBinary(t), rogueCommand, what}
	if cfg.RestartLimit == 0 {
		cfg.RestartLimit = -1
	}
	return startRig(t, cfg, Spec{Kind: KindLibretro, Core: "rogue"})
}

func TestRogueProcesses(t *testing.T) {
	tests := map[string]struct {
		what string
		is   error
		text string // in the error
		last string // in the log
	}{
		"ends":                  {"exit", ErrCrashed, "ended with status 7", "last words"},
		"panics":                {"panic", ErrCrashed, "ended with status 2", "panic: rogue"},
		"closes the socket":     {"close", ErrCrashed, "signal 9", ""},
		"sends garbage":         {"garbage", ErrCrashed, "protocol", ""},
		"promises 4 GiB":        {"huge", ErrCrashed, "protocol", ""},
		"unknown message":       {"kind", ErrCrashed, "unknown message 99", ""},
		"empty picture":         {"nothing", ErrCrashed, "video message of 0 bytes", ""},
		"picture of the future": {"future", ErrCrashed, "PTS", ""},
		"time runs backwards":   {"backwards", ErrCrashed, "PTS", ""},
		"impossible info":       {"info", ErrCrashed, "info", ""},
		"impossible stats":      {"stats", ErrCrashed, "stats", ""},
		"floods":                {"flood", ErrCrashed, "too much", ""},
		"refuses the game":      {"refuse", ErrLoad, "this is no game", ""},
		"refuses it early":      {"early-refuse", ErrLoad, "this is no game", ""},
		"sends nothing first":   {"early-kind", ErrLoad, "before ready", ""},
		"ends early":            {"early-exit", ErrLoad, "ended with status 7", "last words"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rogueRig(t, test.what, Config{})
			err := r.result(t)
			if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want %v with %q", err, test.is, test.text)
			}
			if ev, ok := r.rec.event(EventFailed); !ok || !strings.Contains(ev.Text, test.text) {
				t.Errorf("event %v, want failed with %q", ev, test.text)
			}
			if !strings.Contains(r.log.String(), test.last) {
				t.Errorf("the log lacks %q", test.last)
			}
		})
	}
}

func TestProcessThatNeverGetsReady(t *testing.T) {
	t.Parallel()
	r := rogueRig(t, "early-sleep", Config{LoadTimeout: 300 * time.Millisecond})
	if err := r.result(t); !errors.Is(err, ErrLoad) || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("got %v", err)
	}
}

func TestWatchdog(t *testing.T) {
	t.Parallel()
	r := rogueRig(t, "sleep", Config{HangTimeout: 300 * time.Millisecond})
	if err := r.result(t); !errors.Is(err, ErrCrashed) || !errors.Is(err, errHung) {
		t.Errorf("got %v", err)
	}
}

func TestCrashLoopEnds(t *testing.T) {
	t.Parallel()
	r := rogueRig(t, "exit", Config{RestartLimit: 3})
	if err := r.result(t); !errors.Is(err, ErrCrashed) || !strings.Contains(err.Error(), "3 restarts") {
		t.Errorf("got %v", err)
	}
	restarts := 0
	for _, ev := range r.rec.events {
		if ev.Kind == EventRestarted {
			if restarts++; ev.Info.Generation != restarts {
				t.Errorf("restart %d has generation %d", restarts, ev.Info.Generation)
			}
		}
	}
	if s := r.Stats(); restarts != 3 || s.Restarts != 3 || s.Crashes != 3 {
		t.Errorf("%d restarts, stats %+v", restarts, s)
	}
}

func TestProcessThatDoesNotStop(t *testing.T) {
	t.Parallel()
	r := rogueRig(t, "deaf", Config{StopTimeout: 100 * time.Millisecond})
	r.rec.wait(t, "ready", r.rec.has(EventReady))
	r.stop()
	if err := r.result(t); err != nil {
		t.Error(err)
	}
}

func TestChatterIsBounded(t *testing.T) {
	t.Parallel()
	r := rogueRig(t, "chatter", Config{})
	r.rec.wait(t, "the message", r.rec.has(EventMessage))
	r.stop()
	logged := strings.Count(r.log.String(), "core process")
	if s := r.Stats(); s.LogDropped == 0 || int(s.LogDropped)+logged < 1000 {
		t.Errorf("of 1000 lines %d are logged, %d not", logged, s.LogDropped)
	}
	if n := len(r.log.String()); n > (logged+10)*maxLine*2 {
		t.Errorf("log of %d bytes", n)
	}
}

func TestMissingBinary(t *testing.T) {
	t.Parallel()
	r := startRig(t, Config{Command: []string{"/does/not/exist"}}, Spec{Kind: KindLibretro, Core: "x"})
	if err := r.result(t); !errors.Is(err, ErrLoad) || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("got %v", err)
	}
}

func TestMissingCoreAndNoGame(t *testing.T) {
	t.Parallel()
	needCodecs(t)
	r := startRig(t, Config{}, Spec{Kind: KindLibretro, Core: "/does/not/exist.so"})
	if err := r.result(t); !errors.Is(err, ErrLoad) || !strings.Contains(err.Error(), "/does/not/exist.so") {
		t.Errorf("got %v", err)
	}
}

// killAndCompare lets kill end the core process of a running test card and
// checks that the picture goes on from the snapshot. How soon is what package
// cmd/e2e measures.
func killAndCompare(t *testing.T, sig syscall.Signal, cfg Config) *rig {
	t.Helper()
	r := startRig(t, cfg, Spec{Kind: KindTestCard})
	r.rec.wait(t, "two snapshots", func() bool { return r.Stats().Snapshots >= 2 })
	r.rec.mu.Lock()
	last := len(r.rec.frames)
	r.rec.mu.Unlock()
	killed, old := time.Now(), r.Pid()
	if err := syscall.Kill(old, sig); err != nil {
		t.Fatal(err)
	}
	r.rec.wait(t, "restarted", r.rec.has(EventRestarted))
	r.rec.wait(t, "a picture", func() bool { return r.rec.afterRestart > 0 })
	t.Logf("the picture moved again after %v", time.Since(killed))
	r.rec.wait(t, "a second of it", func() bool { return r.rec.afterRestart > 60 })
	r.stop()

	first := r.rec.restartFrame
	if first < last || !r.rec.frames[first].Key || r.rec.frames[first].PTS <= r.rec.frames[first-1].PTS {
		t.Errorf("frame %d after the restart: %+v after %+v", first, r.rec.frames[first], r.rec.frames[first-1])
	}
	restarting, _ := r.rec.event(EventRestarting)
	restarted, _ := r.rec.event(EventRestarted)
	if restarting.Text == "" || restarted.Info.Generation != 1 || restarted.Info.Snapshot == 0 {
		t.Errorf("events %+v, %+v", restarting, restarted)
	}
	return r
}

func TestKilledProcessGoesOn(t *testing.T) {
	r := killAndCompare(t, syscall.SIGKILL, Config{})
	if s := r.Stats(); s.Crashes != 1 || s.Hangs != 0 {
		t.Errorf("stats %+v", s)
	}
	marks := watermarks(t, r.rec.key, 512, 480)
	// It lost at most the second since the snapshot: far from beginning anew.
	if len(marks) == 0 || marks[0].Frame < 60 {
		t.Fatalf("watermarks %v, want them to go on from frame 60 or later", marks)
	}
	for i := 1; i < len(marks); i++ { // a busy host makes it drop some
		if marks[i].Frame <= marks[i-1].Frame {
			t.Fatalf("picture %d is frame %d after %d", i, marks[i].Frame, marks[i-1].Frame)
		}
	}
}

func TestHungProcessGoesOn(t *testing.T) {
	r := killAndCompare(t, syscall.SIGSTOP, Config{HangTimeout: 3 * time.Second})
	if s := r.Stats(); s.Crashes != 0 || s.Hangs == 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestWorkersProcessIsNotHurt(t *testing.T) {
	r := startRig(t, Config{}, Spec{Kind: KindTestCard})
	other := startRig(t, Config{}, Spec{Kind: KindTestCard, Video: VideoSpec{Scale: 1}})
	r.rec.wait(t, "a frame", func() bool { return len(r.rec.frames) > 0 })
	other.rec.wait(t, "a frame", func() bool { return len(other.rec.frames) > 0 })
	if r.Pid() == other.Pid() || r.Pid() == os.Getpid() {
		t.Fatalf("pids %d, %d", r.Pid(), other.Pid())
	}
	_ = syscall.Kill(r.Pid(), syscall.SIGKILL)
	r.rec.wait(t, "restarted", r.rec.has(EventRestarted))
	other.stop()
	if _, ok := other.rec.event(EventRestarting); ok {
		t.Error("the other engine restarted too")
	}
	checkTimeline(t, other.rec)
}

func TestInputKeyFramesAndProfiles(t *testing.T) {
	r := startRig(t, Config{}, Spec{Kind: KindTestCard})
	r.rec.wait(t, "frames", func() bool { return len(r.rec.frames) > 10 })
	keys := func() (n int) {
		for _, f := range r.rec.frames {
			if f.Key {
				n++
			}
		}
		return n
	}
	r.RequestKeyFrame()
	r.rec.wait(t, "a key frame", func() bool { return keys() == 2 })
	r.SetProfile(media.ProfileHigh)
	r.rec.wait(t, "a key frame of another profile", func() bool { return keys() == 3 })
	r.SetProfile(99)
	r.SetMaxBitrate(3_000_000)
	r.SetPad(99, Pad{})
	const presses = 5 // far shorter than a frame, of which a busy host may make it drop some
	for range presses {
		r.SetPad(0, Pad{Buttons: 1 << 8})
		r.SetPad(0, Pad{})
		r.rec.mu.Lock()
		seen := len(r.rec.frames)
		r.rec.mu.Unlock()
		r.rec.wait(t, "frames", func() bool { return len(r.rec.frames) > seen+5 })
	}
	r.stop()
	pressed := 0
	for _, m := range watermarks(t, r.rec.key, 512, 480) {
		if m.Buttons == 1<<8 {
			pressed++
		}
	}
	if pressed < 1 || pressed > presses {
		t.Errorf("%d short presses were seen in %d frames", presses, pressed)
	}
}
