package corehost

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/shm"
)

// fakeMachine is a machine that a test drives.
type fakeMachine struct {
	now      traits
	onStep   func(pads *[shm.Ports]shm.Pad, out *output) error
	state    []byte
	stateErr error
	restored []byte
	steps    int
	refuse   int // unserialize fails so often
}

var _ machine = (*fakeMachine)(nil)

func (f *fakeMachine) traits() traits { return f.now }

func (f *fakeMachine) step(pads *[shm.Ports]shm.Pad, out *output) error {
	f.steps++
	if f.onStep == nil {
		return nil
	}
	return f.onStep(pads, out)
}

func (f *fakeMachine) serialize(dst []byte) (int, error) { return copy(dst, f.state), f.stateErr }

func (f *fakeMachine) unserialize(src []byte) error {
	if f.refuse > 0 {
		f.refuse--
		return errors.New("not yet")
	}
	f.restored = append([]byte{}, src...)
	return nil
}

func (f *fakeMachine) close() error { return nil }

func newMemory(t testing.TB) (worker, core *shm.Memory) {
	t.Helper()
	worker, file, err := shm.Create(4096)
	if err != nil {
		t.Skip("SKIPPED: ", err)
	}
	core, err = shm.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = errors.Join(worker.Close(), core.Close(), file.Close())
	})
	return worker, core
}

// newTicker returns a ticker on a virtual clock whose first frame is due.
func newTicker(t testing.TB, m *fakeMachine) (*ticker, *virtual, *shm.Memory) {
	t.Helper()
	worker, core := newMemory(t)
	if m.now.fps == 0 {
		m.now = traits{name: "fake", width: 4, height: 4, aspect: 1, fps: 60, sampleRate: 48000}
	}
	v := &virtual{t: time.Hour}
	tk := &ticker{
		machine: m, memory: core, handoff: newHandoff(), clock: v, log: slog.New(slog.DiscardHandler),
		schedule: schedule{fps: m.now.fps, anchor: v.t}, nextSnapshot: v.t + snapshotEvery, jumped: true,
	}
	return tk, v, worker
}

// runFrames runs n frames as run does.
func runFrames(t testing.TB, tk *ticker, n int) {
	t.Helper()
	for range n {
		tk.clock.sleepUntil(tk.schedule.at(0))
		if err := tk.frame(); err != nil {
			t.Fatal(err)
		}
	}
}

// An hour of a machine whose frames take from none to almost all of the time.
func TestTickerKeepsTheRateForAnHour(t *testing.T) {
	const fps = 59.7275
	m := &fakeMachine{now: traits{fps: fps, sampleRate: 48000}}
	tk, v, worker := newTicker(t, m)
	m.onStep = func(*[shm.Ports]shm.Pad, *output) error {
		v.t += time.Duration(m.steps*7919%16) * time.Millisecond
		return nil
	}
	start := v.t
	frames := int(fps * 3600)
	runFrames(t, tk, frames)
	if drift := tk.schedule.at(0) - start - time.Duration(float64(frames)/fps*float64(time.Second)); drift < -1 || drift > 1 {
		t.Errorf("drifted by %v", drift)
	}
	if tk.stats.Reanchored != 0 || tk.stats.LateTicks != 0 || worker.Progress() != uint64(frames) {
		t.Errorf("stats %+v, progress %d", tk.stats, worker.Progress())
	}
}

func TestTickerAfterASuspension(t *testing.T) {
	m := &fakeMachine{}
	tk, v, _ := newTicker(t, m)
	runFrames(t, tk, 10)
	var b batch
	tk.handoff.take(&b)
	v.t += time.Minute
	woke := v.t
	runFrames(t, tk, 1)
	if !tk.handoff.take(&b) || !b.jumped || b.start != woke || b.pts != woke || tk.stats.Reanchored != 1 {
		t.Errorf("batch %+v, stats %+v, want a jump to %v", b.tick, tk.stats, woke)
	}
	before := v.t
	runFrames(t, tk, 60)
	if took := v.t - before; took < 980*time.Millisecond {
		t.Errorf("60 frames after it took %v: it races", took)
	}
}

func TestTickerCatchesUpAFewFrames(t *testing.T) {
	m := &fakeMachine{}
	tk, v, _ := newTicker(t, m)
	runFrames(t, tk, 10)
	next := tk.schedule.at(0)
	v.t = next + 50*time.Millisecond // three frames
	runFrames(t, tk, 4)
	if tk.stats.Reanchored != 0 || tk.stats.LateTicks != 3 || v.t != next+50*time.Millisecond {
		t.Errorf("stats %+v, clock %v", tk.stats, v.t-next)
	}
}

func TestTickerFollowsTheRate(t *testing.T) {
	m := &fakeMachine{}
	tk, v, _ := newTicker(t, m)
	runFrames(t, tk, 60)
	m.now.fps = 50
	runFrames(t, tk, 1)
	before := v.t
	runFrames(t, tk, 50)
	if took := v.t - before; took < 999*time.Millisecond || took > 1001*time.Millisecond {
		t.Errorf("50 frames took %v", took)
	}
}

func TestTickerReadsPads(t *testing.T) {
	var seen []uint16
	m := &fakeMachine{onStep: func(pads *[shm.Ports]shm.Pad, _ *output) error {
		seen = append(seen, pads[2].Buttons)
		return nil
	}}
	tk, _, worker := newTicker(t, m)
	runFrames(t, tk, 1)
	worker.SetPad(2, shm.Pad{Buttons: 5})
	worker.SetPad(2, shm.Pad{})
	runFrames(t, tk, 2)
	if len(seen) != 3 || seen[0] != 0 || seen[1] != 5 || seen[2] != 0 {
		t.Errorf("the machine saw %v", seen)
	}
}

func TestSnapshotsAndRestore(t *testing.T) {
	m := &fakeMachine{state: []byte("state")}
	tk, _, _ := newTicker(t, m)
	runFrames(t, tk, 60*10+5)
	if n := tk.stats.Snapshots; n < 9 || n > 10 {
		t.Errorf("%d snapshots in 10 s", n)
	}
	if seq := tk.restore(); seq != tk.stats.Snapshots || string(m.restored) != "state" {
		t.Errorf("restored %q, sequence %d", m.restored, seq)
	}
	m.refuse, m.restored = 1, nil // a core that has to run first
	if seq := tk.restore(); seq == 0 || m.restored == nil {
		t.Error("not tried again after a frame")
	}
	m.refuse = 2
	if seq := tk.restore(); seq != 0 {
		t.Error("a refused snapshot counts as restored")
	}
}

func TestSlowSnapshotsAreRare(t *testing.T) {
	m := &fakeMachine{state: []byte("state")}
	tk, v, _ := newTicker(t, m)
	slow := &slowState{m, v}
	tk.machine = slow
	runFrames(t, tk, 60*20)
	if n := tk.stats.Snapshots; n < 3 || n > 5 {
		t.Errorf("%d snapshots of 50 ms in 20 s, want one every 5 s", n)
	}
}

type slowState struct {
	*fakeMachine
	clock *virtual
}

func (s *slowState) serialize(dst []byte) (int, error) {
	s.clock.t += 50 * time.Millisecond
	return s.fakeMachine.serialize(dst)
}

func TestMachineWithoutState(t *testing.T) {
	m := &fakeMachine{stateErr: errors.New("cannot")}
	tk, _, _ := newTicker(t, m)
	runFrames(t, tk, 200)
	if tk.stats.Snapshots != 0 || tk.restore() != 0 {
		t.Errorf("stats %+v", tk.stats)
	}
}

func TestTickerEnds(t *testing.T) {
	broken := errors.New("broken")
	m := &fakeMachine{onStep: func(*[shm.Ports]shm.Pad, *output) error { return broken }}
	tk, _, _ := newTicker(t, m)
	if err := tk.run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	m.onStep = func(_ *[shm.Ports]shm.Pad, out *output) error { out.ended = true; return nil }
	if err := tk.run(t.Context()); !errors.Is(err, errEnded) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	m.onStep = func(_ *[shm.Ports]shm.Pad, out *output) error { out.ended = false; cancel(); return nil }
	if err := tk.run(ctx); err != nil {
		t.Errorf("got %v", err)
	}
}

func picture(width, height int, value byte) *media.Picture {
	data := make([]byte, 4*width*height)
	for i := range data {
		data[i] = value
	}
	return &media.Picture{Format: media.FormatXRGB8888, Width: width, Height: height, Stride: 4 * width, Data: data}
}
