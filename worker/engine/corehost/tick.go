package corehost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/worker/engine/shm"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// snapshotShare bounds what snapshots cost: one that takes a millisecond is
// taken every second, one that takes longer the less often.
const (
	snapshotEvery = time.Second
	snapshotShare = 100
)

// errEnded says that the machine has switched itself off.
var errEnded = errors.New("the game has ended")

// ticker is the first half of a core process: it runs the machine at its exact
// rate, on the goroutine that opened it.
type ticker struct {
	machine  machine
	memory   *shm.Memory
	handoff  *handoff
	clock    clock
	log      *slog.Logger
	schedule schedule
	pads     [shm.Ports]shm.Pad
	out      output
	orders   *atomic.Pointer[order]
	stats    wire.Stats
	jumped   bool

	nextSnapshot  time.Duration
	snapshotWrong bool // reported
}

// run runs frames until ctx ends or the machine cannot go on.
func (t *ticker) run(ctx context.Context) error {
	now := t.clock.now()
	t.schedule = schedule{fps: t.machine.traits().fps, anchor: now}
	t.nextSnapshot = now + snapshotEvery
	t.jumped = true
	for ctx.Err() == nil {
		t.clock.sleepUntil(t.schedule.at(0))
		if err := t.frame(); err != nil {
			return err
		}
	}
	return nil
}

// frame runs the frame that is due.
func (t *ticker) frame() error {
	began := t.clock.now()
	if t.schedule.behind(began) {
		t.schedule.restart(began)
		t.jumped = true
		t.stats.Reanchored++
	}
	due := t.schedule.at(0)
	if began-due > t.schedule.period()/2 {
		t.stats.LateTicks++
	}
	done := t.obey()
	t.memory.ReadPads(&t.pads)
	if err := t.machine.step(&t.pads, &t.out); err != nil {
		return fmt.Errorf("run machine: %w", err)
	}
	ran := t.clock.now()
	t.stats.Ticks++
	t.stats.RunTime += uint64(ran - began)
	t.memory.Advance()

	traits := t.machine.traits()
	t.schedule.setRate(traits.fps)
	t.schedule.n++
	t.handoff.put(tick{traits: traits, pts: due, end: t.schedule.at(0), jumped: t.jumped, done: done}, &t.out, &t.stats)
	t.jumped = false
	if t.out.ended {
		return errEnded
	}
	if ran >= t.nextSnapshot && ran < t.schedule.at(0) {
		t.snapshot(ran)
	}
	return nil
}

// snapshot saves the machine's state in the shared memory; false if it cannot.
func (t *ticker) snapshot(now time.Duration) bool {
	size, err := t.memory.WriteSnapshot(t.machine.serialize)
	took := t.clock.now() - now
	t.nextSnapshot = now + max(snapshotEvery, took*snapshotShare)
	if err != nil {
		if !t.snapshotWrong {
			t.log.Warn("no snapshot: after a crash the game begins anew", "error", err)
			t.snapshotWrong = true
		}
		return false
	}
	t.stats.Snapshots++
	t.stats.SnapshotBytes = uint64(size)
	t.stats.SnapshotTime += uint64(took)
	return true
}

// restore brings the machine to the newest snapshot and returns its sequence
// number, 0 if there is none or the machine refuses it.
func (t *ticker) restore() uint64 {
	data, seq, err := t.memory.ReadSnapshot()
	if err != nil {
		return 0
	}
	if err = t.machine.unserialize(data); err != nil {
		// Some cores accept a state only once they have run.
		if stepErr := t.machine.step(&t.pads, &t.out); stepErr == nil {
			err = t.machine.unserialize(data)
		}
	}
	if err != nil {
		t.log.Warn("snapshot refused, the game begins anew", "bytes", len(data), "error", err)
		return 0
	}
	return seq
}
