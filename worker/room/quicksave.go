package room

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/engine"
)

// Bounds of saving and loading.
const (
	maxSave      = 32 << 20 // bytes of a state
	saveEach     = time.Second
	savePatience = 3 * time.Second // the engine may take, which finds a hang sooner
)

// quickSave is the one state that a room keeps for its players. It lies in the
// worker's memory, so that it outlives the core process, and goes with the room.
type quickSave struct {
	state []byte
	at    time.Time // when it was taken
	busy  bool      // one is being taken, or given back
	last  time.Time // when that was begun
}

// when is the time of the save for a page, 0 if there is none.
func (q *quickSave) when() int64 {
	if q.state == nil {
		return 0
	}
	return q.at.UnixMilli()
}

// remake saves the game for a member, or brings it back to what was saved.
func (r *Room) remake(m *Member, q request) error {
	now := time.Now()
	switch {
	case m.Player() == 0:
		return signal.Errorf(signal.CodeDenied, "only who plays may save and load; take a seat first")
	case m.isMuted():
		return signal.Errorf(signal.CodeDenied, "the host has muted your buttons, also those to save and load")
	case q.Type == "load" && r.quick.state == nil:
		return signal.Errorf(signal.CodeNotFound, "the game has not been saved yet")
	case r.quick.busy || !r.quick.last.IsZero() && now.Sub(r.quick.last) < saveEach:
		return signal.Errorf(signal.CodeBadRequest, "the game was saved or loaded just now; once a second is possible")
	}
	r.quick.busy, r.quick.last = true, now
	if q.Type == "save" {
		r.save(m, q.Ref)
	} else {
		r.load(m, q.Ref)
	}
	return nil
}

// save takes the state beside the room's goroutine.
func (r *Room) save(m *Member, ref json.RawMessage) {
	id, name := m.pass.id(), m.pass.name()
	r.errand(m, "saved", ref, func(ctx context.Context) (func(), error) {
		state, err := r.engine.Save(ctx)
		if err == nil && len(state) > maxSave {
			err = signal.Errorf(signal.CodeTooLarge, "it takes %d bytes, at most %d can be kept", len(state), maxSave)
		}
		return func() {
			r.quick.state, r.quick.at = state, time.Now()
			r.log.Debug("game saved", "bytes", len(state), "member", id)
			r.tellAll(savedMessage{"saved", r.quick.when(), name, id})
		}, err
	})
}

// load gives the state back. Its first picture shows another scene: it shall be
// a key frame.
func (r *Room) load(m *Member, ref json.RawMessage) {
	id, name, state := m.pass.id(), m.pass.name(), r.quick.state
	r.errand(m, "loaded", ref, func(ctx context.Context) (func(), error) {
		err := r.engine.Load(ctx, state)
		return func() {
			r.keys.Request()
			r.log.Debug("game loaded", "bytes", len(state), "member", id)
			r.tellAll(loadedMessage{"loaded", name, id})
		}, err
	})
}

// errand does something that blocks, and then, in the room's goroutine, what
// follows from it; or tells the member why it could not be done.
func (r *Room) errand(m *Member, what string, ref json.RawMessage, do func(context.Context) (then func(), err error)) {
	r.errands.Go(func() error {
		ctx, cancel := context.WithTimeout(r.playing, savePatience)
		defer cancel()
		then, err := do(ctx)
		_ = r.do(func() {
			r.quick.busy = false
			if err == nil {
				then()
				return
			}
			r.log.Debug("state refused", "error", err)
			m.tell(newError(signal.Errorf(signal.CodeFailed, "the game cannot be %s: %s", what, reason(err)), ref))
		})
		return nil
	})
}

// reason says in words why a state could not be saved or loaded.
func reason(err error) string {
	var said *signal.Error
	switch {
	case errors.As(err, &said):
		return said.Message
	case errors.Is(err, engine.ErrNotRunning):
		return "it is just being started again"
	case errors.Is(err, engine.ErrState):
		return "its core does not allow it"
	case errors.Is(err, context.DeadlineExceeded):
		return "it does not answer"
	}
	return err.Error()
}
