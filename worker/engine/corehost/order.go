package corehost

import (
	"fmt"

	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// order is what the worker wants done with the machine's state.
type order struct {
	wire.Order
	load bool
}

// obey carries out the order that waits, between two frames, and returns what
// became of it, nil if none waits.
func (t *ticker) obey() *wire.Outcome {
	if t.orders == nil || t.orders.Load() == nil { // so it is 60 times a second
		return nil
	}
	if t.stats.Ticks == 0 { // some cores have no state before they have run
		return nil
	}
	o := t.orders.Swap(nil)
	done := &wire.Outcome{Order: wire.Order{ID: o.ID}}
	var err error
	if o.load {
		err = t.load(o.Order)
	} else {
		var size int
		size, done.Sum, err = t.memory.PutState(t.machine.serialize)
		done.Size = uint32(size)
	}
	if err != nil {
		done.Text = wire.CleanText(err.Error(), wire.MaxText)
	}
	return done
}

// load brings the machine to the state in the shared memory. A machine that
// refuses it may be left with half of it, so it goes back to where it was. The
// snapshot becomes the new state too: a crash must not undo what a player did.
func (t *ticker) load(o wire.Order) error {
	state, err := t.memory.State(int(o.Size), o.Sum)
	if err != nil {
		return err
	}
	before := t.snapshot(t.clock.now())
	if err := t.machine.unserialize(state); err != nil {
		if before {
			t.goBack()
		}
		return fmt.Errorf("load state: %w", err)
	}
	t.snapshot(t.clock.now())
	return nil
}

// goBack brings the machine to the snapshot just taken.
func (t *ticker) goBack() {
	data, _, err := t.memory.ReadSnapshot()
	if err == nil {
		err = t.machine.unserialize(data)
	}
	if err != nil {
		t.log.Warn("the machine did not take its own state back", "error", err)
	}
}
