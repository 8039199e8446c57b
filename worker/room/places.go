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

// Reserve takes a place. Who was here a moment ago, by one of the two sessions,
// has what it had: its seat, its right as host, its admission; what still runs of
// it ends. Anybody else needs an open door or an invitation and gets the wished
// seat if it is free, else any free one that nobody may come back to, else a
// view; the seat that an invitation names comes before the wish. The error wraps
// ErrFull or ErrClosed, or is a *signal.Error.
func (r *Room) Reserve(ctx context.Context, e Entry) (*Member, error) {
	if e.Player < 0 || e.Player > r.cfg.Seats {
		return nil, signal.Errorf(signal.CodeBadRequest, "there is no player %d here: 1..%d play", e.Player, r.cfg.Seats)
	}
	select {
	case <-r.started:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the room: %w", ctx.Err())
	}
	var m *Member
	var refused error
	err := r.do(func() { m, refused = r.reserve(e) })
	if err = errors.Join(err, refused); err != nil {
		return nil, err
	}
	return m, nil
}

func (r *Room) reserve(e Entry) (*Member, error) {
	switch {
	case r.why != nil:
		return nil, r.closed()
	case r.isBanned(e):
		return nil, signal.Errorf(signal.CodeRemoved, "the host has removed you from the room")
	case len(r.members) >= 2*r.cfg.MaxMembers: // with those on their way out
		return nil, ErrFull
	}
	if old := r.inside(e); old != nil {
		return r.takeOver(e, old), nil
	}
	if r.present() >= r.cfg.MaxMembers {
		return nil, ErrFull
	}
	if p := r.recall(e); p != nil {
		return r.comeBack(e, p), nil
	}
	p, err := r.admit(e)
	if err != nil {
		return nil, err
	}
	seat, hope := r.choose(p, e.Player)
	m := r.add(p, seat, len(r.members))
	m.mute(p.muted)
	m.hopes = hope
	r.arrived()
	return m, nil
}

// inside is the member that an entry takes the place of, nil if there is none.
func (r *Room) inside(e Entry) *Member {
	for _, m := range r.members {
		if !m.leaving && e.names(m.pass.session) && e.fits(m.pass.user) {
			return m
		}
	}
	return nil
}

// admit makes a pass for somebody who was not here.
func (r *Room) admit(e Entry) (*pass, error) {
	if e.Invite != "" {
		return r.accept(e)
	}
	if r.Closed() {
		return nil, signal.Errorf(signal.CodeInvite, "the room is entered by invitation only; ask the host for a link")
	}
	return r.newPass(e), nil
}

// add makes a member at a position of the list, which is by arrival.
func (r *Room) add(p *pass, seat, at int) *Member {
	m := newMember(r, p, seat)
	if seat > 0 {
		r.seats[seat-1] = m
	}
	r.members = slices.Insert(r.members, at, m)
	return m
}

// arrived is called when somebody new is there.
func (r *Room) arrived() {
	r.grace.Stop()
	r.succeed()
	r.expect()
	r.changed()
}

// takeOver puts a page that was loaded anew in the place of what is left of it.
// Nothing is free in between.
func (r *Room) takeOver(e Entry, old *Member) *Member {
	p, seat, muted := old.pass, old.Player(), old.isMuted()
	hosting := r.host == old
	r.rename(p, e)
	at := slices.Index(r.members, old)
	if r.widen(p, e) {
		if seat > 0 {
			r.seats[seat-1] = nil
		}
		seat, _ = r.choose(p, e.Player)
	}
	old.sit(0)
	m := r.add(p, seat, at)
	m.mute(muted)
	if hosting {
		r.setHost(m)
	}
	old.pass = nil
	r.dismiss(old, Leave{Reason: "the game goes on in a page that was opened later", Code: signal.CodeElsewhere}, 0)
	r.arrived()
	return m
}

// comeBack gives somebody who left what still waits for it.
func (r *Room) comeBack(e Entry, p *pass) *Member {
	now, seat := time.Now(), p.seat
	if r.widen(p, e) || !now.Before(p.until) || seat > 0 && r.seats[seat-1] != nil {
		seat, _ = r.choose(p, e.Player)
	}
	m := r.add(p, seat, len(r.members))
	m.mute(p.muted)
	if now.Before(p.hostUntil) {
		r.setHost(m)
	}
	r.arrived()
	return m
}

func (r *Room) attach(m *Member, v viewer, left func(Leave)) {
	m.viewer, m.left, m.pass.entered = v, left, true
	r.sender.Attach(v.Viewer())
	r.matchProfile()
	if r.known {
		m.tell(newGeometry(r.info))
	}
	r.tellRoom(m, r.list())
	if !r.ends.IsZero() {
		m.tell(r.ending())
	}
	r.tellSoon()
	go func() {
		err := v.Run(m.ctx)
		_ = r.do(func() { r.ended(m, err) }) // the room outlives its members
	}()
}

// ended is told when a member's browser is gone. One that only has to come back
// another way keeps its place.
func (r *Room) ended(m *Member, err error) {
	r.sender.Detach(m.viewer.Viewer())
	m.viewer = nil
	if m.leaving {
		r.remove(m)
		return
	}
	if errors.Is(err, peer.ErrSRTP) && r.why == nil && m.ctx.Err() == nil {
		r.matchProfile()
		m.left(Leave{Reason: leaveText(err), Again: true})
		return
	}
	keep := time.Duration(0)
	if errors.Is(err, peer.ErrLeft) { // a page that is loaded anew looks like this
		keep = kept
	}
	why := Leave{Reason: leaveText(err)}
	if errors.Is(err, peer.ErrLost) {
		why.Code = signal.CodeLost
	}
	r.dismiss(m, why, keep)
}

// leaveText is what Closed says of a browser's end; it is rarely read by it.
func leaveText(err error) string {
	if errors.Is(err, peer.ErrLost) || errors.Is(err, peer.ErrSRTP) {
		return err.Error()
	}
	return "the session ended"
}

// dismiss takes a member out of the room's life; its browser is gone a moment
// later. What it had is kept for a while, for it alone.
func (r *Room) dismiss(m *Member, why Leave, keep time.Duration) {
	if m.leaving {
		return
	}
	m.leaving, m.why = true, why
	r.remember(m, keep)
	if seat := m.Player(); seat > 0 {
		r.seats[seat-1] = nil
	}
	m.sit(0)
	if r.host == m {
		r.setHost(nil)
	}
	if why.Code != "" {
		m.tell(newError(signal.Errorf(why.Code, "%s", why.Reason), nil))
	}
	m.stop()
	if m.viewer != nil {
		r.sender.Detach(m.viewer.Viewer())
	} else {
		r.remove(m)
	}
	r.matchProfile()
	r.succeed()
	r.expect()
	r.changed()
}

// remove forgets a member that is on its way out and has no browser any more.
func (r *Room) remove(m *Member) {
	r.members = slices.DeleteFunc(r.members, func(other *Member) bool { return other == m })
	if len(r.members) == 0 {
		r.grace.Reset(r.cfg.Grace)
	}
	if m.left != nil {
		if r.why != nil {
			m.why = Leave{Reason: r.why.Message}
		}
		m.left(m.why)
	}
}

// change gives a member the seat it asks for, 0 to watch.
func (r *Room) change(m *Member, seat int) error {
	old := m.Player()
	switch {
	case seat == old:
		r.tellRoom(m, r.list())
		return nil
	case !m.pass.allows(seat) && m.pass.watch:
		return signal.Errorf(signal.CodeDenied, "your invitation is for watching; ask the host for one to play")
	case !m.pass.allows(seat):
		return signal.Errorf(signal.CodeDenied, "your invitation is for player %d", m.pass.only)
	case seat > 0 && r.seats[seat-1] != nil:
		return signal.Errorf(signal.CodeFull, "player %d is taken", seat)
	}
	m.hopes = false
	r.seat(m, seat)
	r.changed()
	return nil
}

// seat moves a member.
func (r *Room) seat(m *Member, seat int) {
	if old := m.Player(); old > 0 {
		r.seats[old-1] = nil
	}
	m.sit(seat)
	if seat > 0 {
		r.seats[seat-1] = m
	}
}

// expect sees to it that those who hope for a seat that is kept for somebody
// else get it when that one does not come back.
func (r *Room) expect() {
	if !slices.ContainsFunc(r.members, func(m *Member) bool { return m.hopes && !m.leaving }) {
		return
	}
	now, next := time.Now(), kept
	for _, p := range r.past {
		if left := p.until.Sub(now); p.seat > 0 && left > 0 {
			next = min(next, left)
		}
	}
	r.hope.Reset(next)
}

// fulfil gives free seats to those who hope for one.
func (r *Room) fulfil() {
	for _, m := range r.members {
		if !m.hopes || m.leaving {
			continue
		}
		seat, hope := r.choose(m.pass, 0)
		m.hopes = seat == 0 && hope
		if seat > 0 {
			r.seat(m, seat)
			r.changed()
		}
	}
	r.expect()
}

// matchProfile sets what all viewers can decode.
func (r *Room) matchProfile() {
	lowest, present := r.cfg.Profile, false
	for _, m := range r.members {
		if m.viewer != nil && !m.leaving {
			lowest, present = min(lowest, m.viewer.Profile()), true
		}
	}
	if present && lowest != r.profile && r.why == nil {
		r.profile = lowest
		r.engine.SetProfile(lowest)
	}
}
