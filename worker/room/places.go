package room

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/peer"
)

// Reserve takes a place: the wished seat if it is free, else any free one, else
// a view. wish is 0 for any; the error wraps ErrFull or ErrClosed, or is a
// *signal.Error for a seat that cannot exist.
func (r *Room) Reserve(ctx context.Context, wish int) (*Member, error) {
	if wish < 0 || wish > r.cfg.Seats {
		return nil, signal.Errorf(signal.CodeBadRequest, "there is no player %d here: 1..%d play", wish, r.cfg.Seats)
	}
	select {
	case <-r.started:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the room: %w", ctx.Err())
	}
	var m *Member
	var refused error
	err := r.do(func() { m, refused = r.reserve(wish) })
	if err = errors.Join(err, refused); err != nil {
		return nil, err
	}
	return m, nil
}

func (r *Room) reserve(wish int) (*Member, error) {
	if r.why != nil {
		return nil, r.closed()
	}
	if len(r.members) >= r.cfg.MaxMembers {
		return nil, ErrFull
	}
	seat := slices.Index(r.seats, nil) + 1 // 0 if none is free
	if wish > 0 && r.seats[wish-1] == nil {
		seat = wish
	}
	m := newMember(r, seat)
	if seat > 0 {
		r.seats[seat-1] = m
	}
	r.members[m] = struct{}{}
	r.grace.Stop()
	r.idle.Store(nil)
	r.changed()
	return m, nil
}

func (r *Room) attach(m *Member, v viewer, left func(Leave)) {
	m.viewer, m.left = v, left
	r.sender.Attach(v.Viewer())
	r.matchProfile()
	if r.known {
		m.tell(newGeometry(r.info))
	}
	r.changed()
	go func() {
		err := v.Run(m.ctx)
		_ = r.do(func() { r.ended(m, err) }) // the room outlives its members
	}()
}

// ended is told when a member's browser is gone. One that only has to come back
// another way keeps its place.
func (r *Room) ended(m *Member, err error) {
	if !errors.Is(err, peer.ErrSRTP) || m.gone || r.why != nil || m.ctx.Err() != nil {
		r.remove(m, leaveText(err))
		return
	}
	r.sender.Detach(m.viewer.Viewer())
	m.viewer = nil
	r.matchProfile()
	m.left(Leave{Reason: leaveText(err), Again: true})
}

// leaveText is what Closed says of a browser's end; it is rarely read by it.
func leaveText(err error) string {
	if errors.Is(err, peer.ErrLost) || errors.Is(err, peer.ErrSRTP) {
		return err.Error()
	}
	return "the session ended"
}

func (r *Room) remove(m *Member, reason string) {
	if m.gone {
		return
	}
	m.gone = true
	m.stop()
	if seat := m.Player(); seat > 0 {
		r.seats[seat-1] = nil
	}
	m.sit(0)
	delete(r.members, m)
	if m.viewer != nil {
		r.sender.Detach(m.viewer.Viewer())
	}
	r.matchProfile()
	if len(r.members) == 0 {
		r.grace.Reset(r.cfg.Grace)
		since := time.Time{}
		if r.played.Load() {
			since = time.Now()
		}
		r.idle.Store(&since)
	}
	r.changed()
	if m.left != nil {
		if r.why != nil {
			reason = r.why.Message
		}
		m.left(Leave{Reason: reason})
	}
}

// change gives a member the seat it asks for, 0 to watch.
func (r *Room) change(m *Member, seat int) {
	old := m.Player()
	switch {
	case seat == old:
	case seat > 0 && r.seats[seat-1] != nil:
		m.tell(errorMessage{"error", signal.CodeFull, fmt.Sprintf("player %d is taken", seat)})
		return
	default:
		m.sit(seat)
		if old > 0 {
			r.seats[old-1] = nil
		}
		if seat > 0 {
			r.seats[seat-1] = m
		}
	}
	r.changed()
}

// matchProfile sets what all viewers can decode.
func (r *Room) matchProfile() {
	lowest, present := r.cfg.Profile, false
	for m := range r.members {
		if m.viewer != nil {
			lowest, present = min(lowest, m.viewer.Profile()), true
		}
	}
	if present && lowest != r.profile && r.why == nil {
		r.profile = lowest
		r.engine.SetProfile(lowest)
	}
}

// changed counts and tells everybody who is there.
func (r *Room) changed() {
	players := 0
	for _, m := range r.seats {
		if m != nil {
			players++
		}
	}
	viewers := len(r.members) - players
	r.players.Store(int32(players))
	r.viewers.Store(int32(viewers))
	for m := range r.members {
		m.tell(roomMessage{
			Type: "room", Room: r.cfg.ID, Game: r.cfg.Game.ID, Title: r.cfg.Game.Title, System: r.cfg.Game.System,
			Player: m.Player(), Seats: r.cfg.Seats, Players: players, Viewers: viewers,
		})
	}
	if r.cfg.Changed != nil {
		r.cfg.Changed()
	}
}

func (r *Room) tellAll(message any) {
	for m := range r.members {
		m.tell(message)
	}
}
