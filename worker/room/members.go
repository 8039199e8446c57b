package room

import (
	"slices"
	"time"
)

// Pages are told of changes at once after a pause, else at most so often: the
// list of all goes to all.
const (
	tellEach    = 50 * time.Millisecond
	tellEachFor = 8 * time.Millisecond // and for each member
)

// changed counts, and sees to it that everybody who is there is told soon.
func (r *Room) changed() {
	players, viewers := 0, 0
	for _, m := range r.members {
		switch {
		case m.leaving:
		case m.Player() > 0:
			players++
		default:
			viewers++
		}
	}
	r.players.Store(int32(players))
	r.viewers.Store(int32(viewers))
	switch {
	case players+viewers > 0:
		r.idle.Store(nil)
	case r.persons > 0 && r.idle.Load() == nil:
		since := time.Time{}
		if r.played.Load() {
			since = time.Now()
		}
		r.idle.Store(&since)
	}
	r.tellSoon()
	if r.cfg.Changed != nil {
		r.cfg.Changed()
	}
}

// tellSoon arranges for a tellRoom to all.
func (r *Room) tellSoon() {
	if r.stale {
		return
	}
	r.stale = true
	spacing := max(tellEach, time.Duration(len(r.members))*tellEachFor)
	r.news.Reset(max(0, spacing-time.Since(r.told)))
}

// announce tells everybody what the room is like now.
func (r *Room) announce() {
	if !r.stale {
		return
	}
	r.stale, r.told = false, time.Now()
	list := r.list()
	for _, m := range r.members {
		if !m.leaving && m.viewer != nil {
			r.tellRoom(m, list)
		}
	}
}

// list is what all members are told alike: the end of a room message.
func (r *Room) list() []byte {
	out := make([]memberEntry, 0, len(r.members))
	for _, m := range r.members {
		if !m.leaving {
			s := m.Status()
			out = append(out, memberEntry{m.pass.id(), m.pass.name(), s.Player, s.Host, m.isMuted(), s.Away})
		}
	}
	return slices.Concat([]byte(`,"members":`), encode(out), []byte("}"))
}

// tellRoom tells one member what the room is like.
func (r *Room) tellRoom(m *Member, list []byte) {
	message := roomMessage{
		Type: "room", Room: r.cfg.ID, Game: r.cfg.Game.ID, Title: r.cfg.Game.Title, System: r.cfg.Game.System,
		Player: m.Player(), Seats: r.cfg.Seats, Players: int(r.players.Load()), Viewers: int(r.viewers.Load()),
		You: m.pass.id(), Host: m == r.host, Closed: r.Closed(), Saved: r.quick.when(),
	}
	if m == r.host {
		message.Invitations = r.invitations()
	}
	if m.viewer != nil {
		head := encode(message)
		m.viewer.Control(slices.Concat(head[:len(head)-1], list))
	}
}

func (r *Room) tellAll(message any) {
	for _, m := range r.members {
		m.tell(message)
	}
}

// present is how many members there are that are not on their way out.
func (r *Room) present() int { return int(r.players.Load() + r.viewers.Load()) }
