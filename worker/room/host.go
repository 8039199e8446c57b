package room

import (
	"slices"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func errNotHost() *signal.Error {
	return signal.Errorf(signal.CodeHost, "only the host of the room may do that")
}

// Closed says whether the room is entered by invitation only.
func (r *Room) Closed() bool { return r.shut.Load() }

// asked does what a member wants of the room.
func (r *Room) asked(m *Member, q request) {
	if m.leaving || m.viewer == nil {
		return
	}
	var err error
	switch q.Type {
	case "ping":
		m.tell(pongMessage{"pong", *q.T})
	case "seat":
		err = r.change(m, *q.Player)
	case "save", "load":
		err = r.remake(m, q)
	default:
		err = r.command(m, q)
	}
	if err != nil {
		m.tell(newError(signal.AsError(err), q.Ref))
	}
}

// command does what only the host may want.
func (r *Room) command(m *Member, q request) error {
	if m != r.host {
		return errNotHost()
	}
	switch q.Type {
	case "invite":
		return r.hand(m, q)
	case "revoke":
		return r.revoke(q.ID)
	case "door":
		r.setDoor(*q.Closed)
		r.changed()
		return nil
	}
	other := r.named(q.Member)
	if other == nil {
		return signal.Errorf(signal.CodeNotFound, "that person is not in the room any more")
	}
	switch q.Type {
	case "host":
		return r.passOn(other)
	case "mute":
		other.mute(*q.On)
		r.changed()
		return nil
	}
	return r.banish(other)
}

// hand gives the host an invitation.
func (r *Room) hand(m *Member, q request) error {
	made, err := r.invite(q.invite(r.cfg.ID))
	if err != nil {
		return err
	}
	m.tell(invitedMessage{"invited", q.Ref, made.ID, made.Token, made.Expires})
	return nil
}

// named is the member with an id of channel control, nil if there is none.
func (r *Room) named(id string) *Member {
	for _, m := range r.members {
		if !m.leaving && m.pass.id() == id {
			return m
		}
	}
	return nil
}

// setDoor closes the room to bare links, or opens it to them.
func (r *Room) setDoor(closed bool) { r.shut.Store(closed) }

// setHost makes a member the host, whom no invitation binds any more.
func (r *Room) setHost(m *Member) {
	if r.host != nil {
		r.host.setHosting(false)
	}
	r.host = m
	if m != nil {
		m.pass.watch, m.pass.only = false, 0
		m.setHosting(true)
	}
}

func (r *Room) passOn(other *Member) error {
	if other.Status().Away {
		return signal.Errorf(signal.CodeBadRequest, "%s is away just now", other.pass.name())
	}
	other.mute(false)
	r.setHost(other)
	r.changed()
	return nil
}

// succeed finds a host if there is none: the player, else the viewer who has
// been here for longest; who is away only if nobody else is here.
func (r *Room) succeed() {
	if r.host != nil || r.why != nil {
		return
	}
	var next *Member
	for _, m := range r.members {
		if !m.leaving && (next == nil || m.rank() < next.rank()) {
			next = m
		}
	}
	if next != nil {
		next.mute(false)
		r.setHost(next)
	}
}

// rank orders who may become the host; the lowest does.
func (m *Member) rank() int {
	s := m.Status()
	switch {
	case s.Away || m.viewer == nil:
		return 3
	case s.Player > 0:
		return 0
	case m.pass.watch:
		return 2
	}
	return 1
}

// banish removes somebody for good, and with them the invitation that they came
// by; bare links would bring them back, so the room is closed.
func (r *Room) banish(m *Member) error {
	if m == r.host {
		return signal.Errorf(signal.CodeBadRequest, "the host cannot be removed; leave, or make somebody else the host first")
	}
	p := m.pass
	hosts := r.host.pass.user
	if p.user != nil && (hosts == nil || hosts.ID != p.user.ID) {
		r.ban(bannedUser + p.user.ID)
		r.past = slices.DeleteFunc(r.past, func(q *pass) bool { return q.user != nil && q.user.ID == p.user.ID })
		for _, other := range slices.Clone(r.members) {
			if o := other.pass; other != m && !other.leaving && o.user != nil && o.user.ID == p.user.ID {
				r.banishOne(other)
			}
		}
	}
	r.setDoor(true)
	r.banishOne(m)
	return nil
}

func (r *Room) banishOne(m *Member) {
	r.ban(bannedSession + m.pass.session)
	delete(r.invites, m.pass.invite)
	m.pass = nil // nothing waits for it
	r.dismiss(m, Leave{Reason: "the host has removed you from the room", Code: signal.CodeRemoved}, 0)
}

// Dismiss makes the member leave for a reason. Its seat is free at once.
func (m *Member) Dismiss(why Leave) {
	_ = m.room.do(func() {
		if !m.leaving {
			m.room.dismiss(m, why, 0)
		}
	})
}

// End makes the room end: everybody hears the reason and leaves.
func (r *Room) End(reason string) {
	_ = r.do(func() { r.close(signal.Errorf(signal.CodeFailed, "%s", reason)) })
}
