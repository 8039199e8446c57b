package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/cloudretro/cloudretro/worker/engine/shm"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// Errors of Save and Load.
var (
	// ErrState says that the machine cannot save its state, or does not take the one it was given.
	ErrState = errors.New("the machine cannot do that")
	// ErrNotRunning says that there is no machine just now: it is being started again, or has ended.
	ErrNotRunning = errors.New("the game is being started again")
	// ErrBusy says that another state is on its way.
	ErrBusy = errors.New("another state is being saved or loaded")
)

// orders are what Save and Load want of the core process, one at a time: the
// shared memory has room for one state on its way.
type orders struct {
	mu      sync.Mutex
	memory  *os.File // nil while no core process takes orders
	taken   bool     // by a Save or Load
	id      uint32   // of the last order
	waiting chan wire.Outcome
}

// open lets orders be given to a core process that is ready.
func (o *orders) open(memory *os.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.memory = memory
}

// close refuses orders from now on; the one on its way will not be answered.
func (o *orders) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.memory = nil
	if o.waiting != nil {
		close(o.waiting)
		o.waiting = nil
	}
}

// take makes the caller the one who gives an order; it must call release.
func (o *orders) take() (memory *os.File, release func(), err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.memory == nil:
		return nil, nil, ErrNotRunning
	case o.taken:
		return nil, nil, ErrBusy
	}
	o.taken = true
	return o.memory, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.taken, o.waiting = false, nil
	}, nil
}

// give numbers an order and lets tell pass it on, while the core process that it
// is for is there. Its outcome will come through answer, which is closed if that
// process ends before.
func (o *orders) give(tell func(id uint32)) (answer <-chan wire.Outcome, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.memory == nil {
		return nil, ErrNotRunning
	}
	o.id++
	o.waiting = make(chan wire.Outcome, 1)
	tell(o.id)
	return o.waiting, nil
}

// answered hands an outcome to who waits for it. One that nobody waits for any
// more is late.
func (o *orders) answered(out wire.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting != nil && out.ID == o.id {
		o.waiting <- out
		o.waiting = nil
	}
}

// Save returns the state of the machine between two of its frames. The error
// wraps ErrState, ErrNotRunning, ErrBusy or that of ctx.
func (e *Engine) Save(ctx context.Context) ([]byte, error) {
	memory, release, err := e.orders.take()
	if err != nil {
		return nil, fmt.Errorf("save state: %w", err)
	}
	defer release()
	out, err := e.order(ctx, wire.TypeSave, wire.Order{})
	if err != nil {
		return nil, fmt.Errorf("save state: %w", err)
	}
	state, err := shm.TakeState(memory, e.cfg.SnapshotSize, int(out.Size), out.Sum)
	if err != nil {
		return nil, fmt.Errorf("save state: %w: %w", ErrState, err)
	}
	return state, nil
}

// Load brings the machine to a state that Save returned, also of an earlier core
// process, before one of its next frames. If it is refused, the machine goes on as
// it was. The error wraps ErrState, ErrNotRunning, ErrBusy or that of ctx.
func (e *Engine) Load(ctx context.Context, state []byte) error {
	memory, release, err := e.orders.take()
	if err != nil {
		return fmt.Errorf("load state: %w", err)
	}
	defer release()
	sum, err := shm.GiveState(memory, e.cfg.SnapshotSize, state)
	if err != nil {
		return fmt.Errorf("load state: %w: %w", ErrState, err)
	}
	if _, err := e.order(ctx, wire.TypeLoad, wire.Order{Size: uint32(len(state)), Sum: sum}); err != nil {
		return fmt.Errorf("load state: %w", err)
	}
	return nil
}

// order tells the core process and waits for what becomes of it.
func (e *Engine) order(ctx context.Context, t wire.Type, o wire.Order) (wire.Outcome, error) {
	answer, err := e.orders.give(func(id uint32) {
		o.ID = id
		e.commands.setOrder(t, o.Append(nil))
	})
	if err != nil {
		return wire.Outcome{}, err
	}
	select {
	case out, ok := <-answer:
		switch {
		case !ok:
			return out, ErrNotRunning
		case out.Text != "":
			return out, fmt.Errorf("%w: %s", ErrState, out.Text)
		}
		return out, nil
	case <-ctx.Done():
		return wire.Outcome{}, ctx.Err()
	}
}
