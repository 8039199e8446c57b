// Package admission decides who gets a worker's places, which nobody else does:
// any number of coordinators ask, and the answer to each comes from here. It is
// arithmetic alone: no goroutine, no lock, no clock. Its owner says what happens
// and what time it is, and delivers the answers.
//
// A place is one game at once. It is held for a ticket for a while, and taken by
// a room that is started with the ticket. A room in which nobody is any more
// keeps its place for a moment, as its player may only be loading the page
// anew; then the place is free although the room still runs, and the room ends
// when the place is taken by another.
package admission

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Bounds and defaults.
const (
	// MaxStanding is how many requests of one coordinator may stand; further
	// ones are refused.
	MaxStanding = 256
	// DefaultHold is how long a place is held for who was granted it.
	DefaultHold = 15 * time.Second
	// DefaultSpare is how long a room that was left keeps its place.
	DefaultSpare = 2 * time.Second
	// ReturnTime is how long a room keeps its place for somebody who is about to
	// come back into it.
	ReturnTime = 10 * time.Second
)

// Config is what a Desk needs.
type Config struct {
	Places int                    // games at once
	Known  func(game string) bool // whether the game can be played here; nil = all can
	Hold   time.Duration          // 0 = DefaultHold
	Spare  time.Duration          // 0 = DefaultSpare
}

// Answer is what a coordinator is to be told: a place is held for its request,
// or Err. Each request is answered once, unless it is cancelled or its
// coordinator goes before.
type Answer[C comparable] struct {
	To     C
	ID     string // of the request
	Ticket string
	Hold   time.Duration // how long the place is held
	Err    *signal.Error // nil = granted
}

// request is a Reserve that stands.
type request[C comparable] struct {
	from   C
	id     string
	ticket string
	game   string
	since  int64
}

// before is the order in which requests are served.
func (r request[C]) before(o request[C]) int {
	return cmp.Or(cmp.Compare(r.since, o.since), cmp.Compare(r.ticket, o.ticket))
}

// held is a place that waits for its Start.
type held[C comparable] struct {
	from  C
	until time.Time
}

// room is a place that was taken.
type room struct {
	ticket string
	empty  bool
	since  time.Time // when it was left
	until  time.Time // it keeps its place to then although it is empty
}

// Desk keeps the places of one worker. C names a connection to a coordinator. Its
// methods must not be called at the same time; now must not run backwards. After
// each of them, Answers says what there is to be told.
type Desk[C comparable] struct {
	cfg        Config
	draining   bool
	closed     bool
	overloaded bool
	standing   []request[C] // in order
	held       map[string]held[C]
	rooms      map[string]*room
	answers    []Answer[C]
}

// New makes a desk with all places free.
func New[C comparable](cfg Config) *Desk[C] {
	if cfg.Known == nil {
		cfg.Known = func(string) bool { return true }
	}
	if cfg.Hold <= 0 {
		cfg.Hold = DefaultHold
	}
	if cfg.Spare <= 0 {
		cfg.Spare = DefaultSpare
	}
	return &Desk[C]{cfg: cfg, held: map[string]held[C]{}, rooms: map[string]*room{}}
}

// Answers takes what is to be told, in the order in which it came to be.
func (d *Desk[C]) Answers() []Answer[C] {
	a := d.answers
	d.answers = nil
	return a
}

// Reserve takes a request of a coordinator; id is that of its message. A ticket
// for which a place is held already, or which stands, is taken over by who asks
// last: the page has gone from one coordinator to another.
func (d *Desk[C]) Reserve(now time.Time, from C, id string, r signal.Reserve) {
	d.Advance(now)
	if h, ok := d.held[r.Ticket]; ok {
		if h.from != from {
			h = held[C]{from, now.Add(d.cfg.Hold)}
			d.held[r.Ticket] = h
		}
		d.grantTo(from, id, r.Ticket, h.until.Sub(now))
		return
	}
	q := request[C]{from: from, id: id, ticket: r.Ticket, game: r.Game, since: r.Since}
	if r.Wait {
		d.supersede(r.Ticket)
	}
	switch err := d.judge(now, q, r.Wait); {
	case err != nil:
		d.refuse(q, err)
	case d.open() && d.Free(now) > 0:
		d.hold(now, q)
	default:
		i, _ := slices.BinarySearchFunc(d.standing, q, request[C].before)
		d.standing = slices.Insert(d.standing, i, q)
	}
}

// judge is why a request gets no place and may not stand either, or nil.
func (d *Desk[C]) judge(now time.Time, q request[C], wait bool) *signal.Error {
	for _, r := range d.rooms {
		if r.ticket == q.ticket {
			return signal.Errorf(signal.CodeExpired, "the place has been taken")
		}
	}
	switch {
	case d.draining:
		return errDraining()
	case !d.cfg.Known(q.game):
		return errUnknown(q.game)
	case d.open() && d.Free(now) > 0:
		return nil
	case d.overloaded && !wait:
		return signal.Errorf(signal.CodeBusy, "the worker misses frame deadlines; try again in a moment")
	case !wait:
		return signal.Errorf(signal.CodeFull, "all %d places of the worker are taken; try again in a moment", d.cfg.Places)
	case d.count(q.from) >= MaxStanding:
		return signal.Errorf(signal.CodeFull, "%d requests stand already", MaxStanding)
	}
	return nil
}

func errDraining() *signal.Error {
	return signal.Errorf(signal.CodeDraining, "the worker takes no new games")
}

func errUnknown(game string) *signal.Error {
	return signal.Errorf(signal.CodeNotFound, "there is no game %q here", game)
}

// supersede ends the request that stands with a ticket, for a newer one.
func (d *Desk[C]) supersede(ticket string) {
	i := slices.IndexFunc(d.standing, func(q request[C]) bool { return q.ticket == ticket })
	if i >= 0 {
		q := d.standing[i]
		d.standing = slices.Delete(d.standing, i, i+1)
		d.refuse(q, signal.Errorf(signal.CodeExpired, "the place was asked for again"))
	}
}

// Cancel takes back what a coordinator asked for. What another one has taken over
// stays.
func (d *Desk[C]) Cancel(now time.Time, from C, ticket string) {
	if h, ok := d.held[ticket]; ok && h.from == from {
		delete(d.held, ticket)
	}
	d.standing = slices.DeleteFunc(d.standing, func(q request[C]) bool { return q.from == from && q.ticket == ticket })
	d.Advance(now)
}

// Gone says that the connection to a coordinator has ended: its requests stand no
// more. Places that are held for it run out by time: the page may have its answer.
func (d *Desk[C]) Gone(now time.Time, from C) {
	d.standing = slices.DeleteFunc(d.standing, func(q request[C]) bool { return q.from == from })
	d.Advance(now)
}

// Take gives the place that is held for a ticket to a room, which is taken to be
// occupied. The rooms of evict are to be ended: they are empty, and their place is
// needed; the desk does not know them any more. The error says that no place is held.
func (d *Desk[C]) Take(now time.Time, ticket, id string) (evict []string, err *signal.Error) {
	d.Advance(now)
	if d.closed {
		return nil, signal.Errorf(signal.CodeDraining, "the worker is going down")
	}
	if _, ok := d.held[ticket]; !ok {
		return nil, signal.Errorf(signal.CodeExpired, "the place that was held has run out; start again")
	}
	delete(d.held, ticket)
	d.rooms[id] = &room{ticket: ticket}
	return d.evict(now), nil
}

// evict chooses the rooms that are too many: those that have been empty for
// longest.
func (d *Desk[C]) evict(now time.Time) []string {
	spare := []string{}
	for id, r := range d.rooms {
		if !r.counts(now) {
			spare = append(spare, id)
		}
	}
	slices.SortFunc(spare, func(a, b string) int {
		return cmp.Or(d.rooms[a].since.Compare(d.rooms[b].since), cmp.Compare(a, b))
	})
	spare = spare[:max(0, min(len(spare), len(d.rooms)-d.cfg.Places))]
	for _, id := range spare {
		delete(d.rooms, id)
	}
	return spare
}

// Vacate says that a room was left by its last member at a time, the zero one if
// none of them was ever really there.
func (d *Desk[C]) Vacate(now time.Time, id string, since time.Time) {
	if r := d.rooms[id]; r != nil {
		r.empty, r.since = true, since
		if keep := since.Add(d.cfg.Spare); keep.After(r.until) {
			r.until = keep
		}
	}
	d.Advance(now)
}

// Return asks whether somebody may come into a room, and keeps its place until
// they have; see ReturnTime. The error says that the place was given away. A room
// that is not known is none of the desk's business.
func (d *Desk[C]) Return(now time.Time, id string) *signal.Error {
	d.Advance(now)
	r := d.rooms[id]
	if r == nil {
		return nil
	}
	if !r.counts(now) && d.Free(now) == 0 {
		return signal.Errorf(signal.CodeFull, "the room was left, and its place was given to somebody else")
	}
	r.until = now.Add(ReturnTime)
	return nil
}

// Occupy says that somebody is in a room; see Return.
func (d *Desk[C]) Occupy(now time.Time, id string) {
	if r := d.rooms[id]; r != nil && r.empty {
		r.empty, r.until = false, time.Time{} // who was expected is there
	}
	d.Advance(now)
}

// End says that a room has ended.
func (d *Desk[C]) End(now time.Time, id string) {
	delete(d.rooms, id)
	d.Advance(now)
}

// Drain switches the granting of places off, for all who wait too, and on again.
func (d *Desk[C]) Drain(now time.Time, on bool) {
	d.draining = on || d.closed
	d.Advance(now)
	if !d.draining {
		return
	}
	for _, q := range d.standing {
		d.refuse(q, errDraining())
	}
	d.standing = nil
}

// Close is Drain for good, and no room starts any more.
func (d *Desk[C]) Close(now time.Time) {
	d.closed = true
	d.Drain(now, true)
}

// Resize changes the number of places. Rooms that are too many stay, and who
// waits is granted what there is more.
func (d *Desk[C]) Resize(now time.Time, places int) {
	d.cfg.Places = places
	d.Advance(now)
}

// Overload says that frames begin too late: nothing is granted until that is over.
func (d *Desk[C]) Overload(now time.Time, on bool) {
	d.overloaded = on
	d.Advance(now)
}

// Refresh says that the games have changed: who waits for one that is gone hears
// of it.
func (d *Desk[C]) Refresh(now time.Time) {
	d.standing = slices.DeleteFunc(d.standing, func(q request[C]) bool {
		known := d.cfg.Known(q.game)
		if !known {
			d.refuse(q, errUnknown(q.game))
		}
		return !known
	})
	d.Advance(now)
}

// Advance frees what has run out, and gives what is free to those who wait. All
// other methods do it too; Next says when it is due if nothing else happens.
func (d *Desk[C]) Advance(now time.Time) {
	maps.DeleteFunc(d.held, func(_ string, h held[C]) bool { return !now.Before(h.until) })
	if !d.open() {
		return
	}
	n := min(d.Free(now), len(d.standing))
	for _, q := range d.standing[:n] {
		d.hold(now, q)
	}
	d.standing = slices.Delete(d.standing, 0, n)
}

// Next is when Advance is due, false if time changes nothing.
func (d *Desk[C]) Next(now time.Time) (at time.Time, ok bool) {
	sooner := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	for _, h := range d.held {
		sooner(h.until)
	}
	for _, r := range d.rooms {
		if r.empty && r.counts(now) {
			sooner(r.until)
		}
	}
	return at, ok
}

// counts says whether a room has a place.
func (r *room) counts(now time.Time) bool { return !r.empty || now.Before(r.until) }

// open says whether places are granted at all.
func (d *Desk[C]) open() bool { return !d.draining && !d.overloaded }

// count is how many requests of a coordinator stand.
func (d *Desk[C]) count(from C) int {
	n := 0
	for _, q := range d.standing {
		if q.from == from {
			n++
		}
	}
	return n
}

func (d *Desk[C]) hold(now time.Time, q request[C]) {
	d.held[q.ticket] = held[C]{q.from, now.Add(d.cfg.Hold)}
	d.grantTo(q.from, q.id, q.ticket, d.cfg.Hold)
}

func (d *Desk[C]) grantTo(to C, id, ticket string, hold time.Duration) {
	d.answers = append(d.answers, Answer[C]{To: to, ID: id, Ticket: ticket, Hold: hold})
}

func (d *Desk[C]) refuse(q request[C], err *signal.Error) {
	d.answers = append(d.answers, Answer[C]{To: q.from, ID: q.id, Ticket: q.ticket, Err: err})
}
