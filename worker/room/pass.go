package room

import (
	"slices"
	"strconv"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Bounds of what a room remembers of those who left.
const (
	maxPast   = 256  // who may come back by their session
	maxBanned = 1024 // who was removed; the oldest is forgotten
	// kept is for how long a seat waits for a page that is being loaded anew. Who
	// asks for that very seat gets it all the same.
	kept = 5 * time.Second
	// hostKept is for how long the right of the host goes back to who had it,
	// even if somebody else had it meanwhile.
	hostKept = 30 * time.Second
)

// Entry is who asks for a place.
type Entry struct {
	Session  string       // of who asks
	Replaces string       // a session of the same page from before, "" = none
	Player   int          // wished seat, 0 = any free one
	Invite   string       // token of an invitation, "" = none
	User     *signal.User // nil = nobody is signed in
}

// names says whether session is one of the entry's.
func (e Entry) names(session string) bool {
	return session != "" && (session == e.Session || session == e.Replaces)
}

// fits says whether the entry is not of somebody else than user.
func (e Entry) fits(user *signal.User) bool {
	return e.User == nil || user == nil || e.User.ID == user.ID
}

// pass is what a session may do in the room. It outlives the member, so that
// a page that was loaded anew has its place back. Of the room's goroutine only.
type pass struct {
	session string
	number  int // of the person in this room, from 1
	user    *signal.User
	invite  string // id of the invitation that it came by, "" = none
	watch   bool   // takes no seat
	only    int    // the one seat that it may take, 0 = any
	entered bool   // it had a browser: an invitation for one is used up

	// Once it has left: what waits for it, and until when.
	until     time.Time
	seat      int
	hostUntil time.Time // zero: it was not the host
	muted     bool
}

// id names the person among the members, on channel control.
func (p *pass) id() string { return "m" + strconv.Itoa(p.number) }

func (p *pass) name() string {
	if p.user != nil && p.user.Name != "" {
		return p.user.Name
	}
	return "Guest " + strconv.Itoa(p.number)
}

// allows says whether it may take a seat.
func (p *pass) allows(seat int) bool {
	return seat == 0 || !p.watch && (p.only == 0 || p.only == seat)
}

// newPass is one for somebody who was never here.
func (r *Room) newPass(e Entry) *pass {
	r.persons++
	p := &pass{session: e.Session, number: r.persons, user: e.User}
	if e.User != nil { // another page of somebody who was muted
		p.muted = slices.ContainsFunc(r.past, func(q *pass) bool { return q.muted && q.user != nil && q.user.ID == e.User.ID })
	}
	return p
}

// remember keeps what a member had when it left.
func (r *Room) remember(m *Member, keep time.Duration) {
	p := m.pass
	switch {
	case p == nil:
		return
	case !p.entered:
		r.giveBack(p)
		return
	case p.session == "": // nobody can come back by that
		return
	}
	now := time.Now()
	p.seat, p.muted, p.until, p.hostUntil = m.Player(), m.isMuted(), now.Add(keep), time.Time{}
	if r.host == m && keep > 0 {
		p.hostUntil = now.Add(hostKept)
	}
	r.past = append(r.past, p)
	if len(r.past) > maxPast {
		r.past = slices.Delete(r.past, 0, 1)
	}
}

// recall is what a session had that left, nil if that is not known, or was by
// an invitation that is none any more.
func (r *Room) recall(e Entry) *pass {
	i := slices.IndexFunc(r.past, func(p *pass) bool { return e.names(p.session) && e.fits(p.user) })
	if i < 0 {
		return nil
	}
	p := r.past[i]
	if p.invite != "" && r.invites[p.invite] == nil && !time.Now().Before(p.until) {
		return nil
	}
	r.past = slices.Delete(r.past, i, i+1)
	r.rename(p, e)
	return p
}

// rename gives a pass to the session that the same page has now.
func (r *Room) rename(p *pass, e Entry) {
	if i := r.invites[p.invite]; i != nil && i.usedBy == p.session {
		i.usedBy = e.Session
	}
	p.session = e.Session
	if e.User != nil {
		p.user = e.User
	}
}

// waits says whether a free seat is kept for somebody who may come back.
func (r *Room) waits(seat int) bool {
	now := time.Now()
	return slices.ContainsFunc(r.past, func(p *pass) bool { return p.seat == seat && now.Before(p.until) })
}

// choose finds a seat for who holds p: the wished one if it is free, else any
// that nobody may come back to, else 0. hope says that one of those may become
// free in a moment.
func (r *Room) choose(p *pass, wish int) (seat int, hope bool) {
	if p.only > 0 {
		wish = p.only
	}
	if wish > 0 && p.allows(wish) && r.seats[wish-1] == nil {
		return wish, false
	}
	for i, m := range r.seats {
		switch {
		case m != nil || !p.allows(i+1):
		case r.waits(i + 1):
			hope = true
		default:
			return i + 1, false
		}
	}
	return 0, hope
}

// ban keeps somebody out for as long as the room lives.
func (r *Room) ban(who string) {
	r.banned = append(r.banned, who)
	if len(r.banned) > maxBanned {
		r.banned = slices.Delete(r.banned, 0, 1)
	}
}

// isBanned: sessions and users are told apart by what is before them.
func (r *Room) isBanned(e Entry) bool {
	return slices.Contains(r.banned, bannedSession+e.Session) ||
		e.Replaces != "" && slices.Contains(r.banned, bannedSession+e.Replaces) ||
		e.User != nil && slices.Contains(r.banned, bannedUser+e.User.ID)
}

const (
	bannedSession = "session "
	bannedUser    = "user "
)
