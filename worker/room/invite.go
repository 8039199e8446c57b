package room

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Bounds of invitations.
const (
	maxInvites = 64 // of a room that somebody may still come by
	maxUsed    = 64 // that were used up, and are shown
)

// invitation is one that the room has made. Which are none any more are not in
// the table.
type invitation struct {
	signal.Invitation
	used   bool   // somebody came by it
	usedBy string // session of who came last
}

// spent: nobody else comes by it.
func (i *invitation) spent() bool { return i.Single && i.used }

// Invite makes an invitation. One that restricts who comes closes the room to
// bare links, which would let them in without it. The error is a *signal.Error.
func (r *Room) Invite(i signal.Invite) (signal.Invited, error) {
	if err := i.Validate(); err != nil {
		return signal.Invited{}, signal.Errorf(signal.CodeBadRequest, "%v", err)
	}
	var out signal.Invited
	err := r.ask(i.Session, func() (err error) {
		out, err = r.invite(i)
		return err
	})
	return out, err
}

// Revoke takes an invitation back: nobody enters by it any more. The error is a
// *signal.Error.
func (r *Room) Revoke(v signal.Revoke) error {
	return r.ask(v.Session, func() error { return r.revoke(v.ID) })
}

// ask does what a session wants that must be the host's; "" is somebody with
// the right of an admin.
func (r *Room) ask(session string, request func() error) error {
	var refused error
	err := r.do(func() {
		switch {
		case r.why != nil:
			refused = r.why
		case session != "" && (r.host == nil || r.host.pass.session != session):
			refused = errNotHost()
		default:
			refused = request()
		}
	})
	var why *signal.Error
	switch {
	case errors.As(err, &why):
		return why
	case err != nil:
		return signal.Errorf(signal.CodeNotFound, "%v", err)
	}
	return refused
}

func (r *Room) invite(i signal.Invite) (signal.Invited, error) {
	now := time.Now()
	r.prune(now)
	living := 0
	for _, i := range r.invites {
		if !i.spent() {
			living++
		}
	}
	switch {
	case r.cfg.InviteKey == "":
		return signal.Invited{}, signal.Errorf(signal.CodeFailed, "this worker has no secret to sign invitations with")
	case i.Player > r.cfg.Seats:
		return signal.Invited{}, signal.Errorf(signal.CodeBadRequest, "there is no player %d here: 1..%d play", i.Player, r.cfg.Seats)
	case living >= maxInvites:
		return signal.Invited{}, signal.Errorf(signal.CodeFull, "the room has %d invitations; take one back first", maxInvites)
	}
	lasts := time.Duration(i.Seconds) * time.Second
	if lasts == 0 {
		lasts = signal.DefaultInvite
	}
	made := &invitation{Invitation: signal.Invitation{
		ID: signal.NewID(), Room: r.cfg.ID, Player: i.Player, Watch: i.Watch, Single: i.Single,
		Expires: now.Add(lasts).Truncate(time.Second).Add(time.Second), // never earlier than was asked for
	}}
	r.invites[made.ID] = made
	if i.Watch || i.Single || i.Player > 0 {
		r.setDoor(true)
	}
	r.changed()
	return signal.Invited{
		ID: made.ID, Token: signal.MintInvite(r.cfg.InviteKey, made.Invitation), Expires: made.Expires.Unix(),
	}, nil
}

func (r *Room) revoke(id string) error {
	if r.invites[id] == nil {
		return signal.Errorf(signal.CodeNotFound, "there is no such invitation any more")
	}
	delete(r.invites, id)
	r.changed()
	return nil
}

// prune forgets invitations that are over, and of the used ones the oldest.
func (r *Room) prune(now time.Time) {
	maps.DeleteFunc(r.invites, func(_ string, i *invitation) bool { return !now.Before(i.Expires) })
	var spent []*invitation
	for _, i := range r.invites {
		if i.spent() {
			spent = append(spent, i)
		}
	}
	slices.SortFunc(spent, func(a, b *invitation) int { return a.Expires.Compare(b.Expires) })
	for _, i := range spent[:max(0, len(spent)-maxUsed)] {
		delete(r.invites, i.ID)
	}
}

// invited is the invitation that an entry comes by, if it still lets in.
func (r *Room) invited(e Entry) (*invitation, error) {
	said, err := signal.VerifyInvite(r.cfg.InviteKey, e.Invite, time.Now())
	if err != nil {
		return nil, err
	}
	if said.Room != r.cfg.ID {
		return nil, signal.Errorf(signal.CodeDenied, "the invitation is for another room; ask for a new link")
	}
	i := r.invites[said.ID]
	switch {
	case i == nil:
		return nil, signal.Errorf(signal.CodeRevoked, "the host has taken this invitation back; ask for a new link")
	case i.spent() && !e.names(i.usedBy):
		return nil, signal.Errorf(signal.CodeUsed, "the invitation was for one person and has been used; ask for a new link")
	}
	return i, nil
}

// accept makes a pass of an invitation, which is used from now on.
func (r *Room) accept(e Entry) (*pass, error) {
	i, err := r.invited(e)
	if err != nil {
		return nil, err
	}
	p := r.newPass(e)
	p.entered = i.spent() // it was here before: there is nothing to give back
	r.grant(p, i)
	return p, nil
}

func (r *Room) grant(p *pass, i *invitation) {
	p.invite, p.watch, p.only = i.ID, i.Watch, i.Player
	i.used, i.usedBy = true, p.session
}

// widen lets somebody who is bound by one invitation come by another one.
func (r *Room) widen(p *pass, e Entry) (widened bool) {
	if e.Invite == "" || !p.watch && p.only == 0 {
		return false
	}
	i, err := r.invited(e)
	if err != nil || i.ID == p.invite {
		return false
	}
	r.grant(p, i)
	return true
}

// giveBack makes an invitation for one person good again whose person did not
// get in.
func (r *Room) giveBack(p *pass) {
	if i := r.invites[p.invite]; i != nil && i.Single && i.usedBy == p.session {
		i.used, i.usedBy = false, ""
	}
}

// invitations lists them for the host, the first to expire first.
func (r *Room) invitations() []invitationEntry {
	r.prune(time.Now())
	out := make([]invitationEntry, 0, len(r.invites))
	for _, i := range r.invites {
		out = append(out, invitationEntry{i.ID, i.Player, i.Watch, i.Single, i.used, i.Expires.Unix()})
	}
	slices.SortFunc(out, func(a, b invitationEntry) int {
		return cmp.Or(cmp.Compare(a.Expires, b.Expires), cmp.Compare(a.ID, b.ID))
	})
	return out
}
