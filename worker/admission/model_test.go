package admission

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// model plays coordinators and rooms at random against a desk and keeps its own
// books, from what it was told alone.
type model struct {
	t      *testing.T
	next   func(n int) int // the next choice, 0..n-1
	desk   *Desk[int]
	now    time.Time
	places int
	gone   map[string]bool // games that are not there

	asks     int
	standing map[string]asked     // by ticket
	open     map[string]bool      // ids of requests that are not answered
	held     map[string]time.Time // by ticket, to when
	owner    map[string]int       // of what is held
	rooms    map[string]*played   // those that run and were not evicted
	granted  int
	evicted  int
}

type asked struct {
	from   int
	id     string
	game   string
	since  int64
	ticket string
}

type played struct {
	ticket string
	empty  bool
	since  time.Time
	until  time.Time
}

func (p *played) counts(now time.Time) bool { return !p.empty || now.Before(p.until) }

func newModel(t *testing.T, places int, next func(int) int) *model {
	m := &model{
		t: t, next: next, now: time.Unix(1_000, 0), places: places, gone: map[string]bool{},
		standing: map[string]asked{}, open: map[string]bool{}, held: map[string]time.Time{}, owner: map[string]int{},
		rooms: map[string]*played{},
	}
	m.desk = New[int](Config{Places: places, Known: func(g string) bool { return !m.gone[g] }})
	return m
}

func (m *model) ticket() string { return fmt.Sprintf("t%d", m.next(24)) }

func (m *model) room() string {
	ids := slices.Sorted(maps.Keys(m.rooms))
	if len(ids) == 0 {
		return "none"
	}
	return ids[m.next(len(ids))]
}

// step does one thing and compares.
func (m *model) step() {
	fair := true
	switch m.next(12) {
	case 0, 1, 2, 3:
		fair = m.reserve()
	case 4:
		from, ticket := m.next(3), m.ticket()
		m.desk.Cancel(m.now, from, ticket)
		if m.owner[ticket] == from {
			delete(m.held, ticket)
		}
		m.forget(func(a asked) bool { return a.from == from && a.ticket == ticket })
	case 5:
		if m.next(8) == 0 {
			from := m.next(3)
			m.desk.Gone(m.now, from)
			m.forget(func(a asked) bool { return a.from == from })
		}
	case 6, 7:
		m.take()
	case 8:
		m.visit()
	case 9:
		if m.next(3) == 0 {
			id := m.room()
			m.desk.End(m.now, id)
			delete(m.rooms, id)
		}
	case 10:
		m.now = m.now.Add(time.Duration(m.next(6000)) * time.Millisecond)
		m.expire()
		m.desk.Advance(m.now)
	case 11:
		m.state()
	}
	m.hear(fair)
	m.check()
}

func (m *model) forget(which func(asked) bool) {
	for ticket, a := range m.standing {
		if which(a) {
			delete(m.standing, ticket)
			delete(m.open, a.id)
		}
	}
}

func (m *model) expire() {
	maps.DeleteFunc(m.held, func(_ string, until time.Time) bool { return !m.now.Before(until) })
}

// reserve says whether what is granted now must go to who waits.
func (m *model) reserve() (fair bool) {
	m.asks++
	a := asked{from: m.next(3), id: fmt.Sprint(m.asks), ticket: m.ticket(), since: int64(m.next(50)), game: fmt.Sprintf("g%d", m.next(3))}
	wait := m.next(2) == 0
	m.open[a.id] = true
	_, hasPlace := m.held[a.ticket]
	m.desk.Reserve(m.now, a.from, a.id, signal.Reserve{Ticket: a.ticket, Game: a.game, Since: a.since, Wait: wait})
	if !hasPlace && wait {
		m.standing[a.ticket] = a // what stood is answered in hear
	}
	if hasPlace {
		if m.owner[a.ticket] != a.from {
			m.held[a.ticket] = m.now.Add(DefaultHold)
		}
		m.owner[a.ticket] = a.from
	}
	return wait || hasPlace
}

func (m *model) take() {
	ticket, id := m.ticket(), fmt.Sprintf("r%d", m.asks*1000+m.next(1000))
	if held := slices.Sorted(maps.Keys(m.held)); len(held) > 0 && m.next(3) > 0 {
		ticket = held[m.next(len(held))]
	}
	if m.rooms[id] != nil {
		return
	}
	_, want := m.held[ticket]
	evict, err := m.desk.Take(m.now, ticket, id)
	if (err == nil) != want {
		m.t.Fatalf("take with %s = %v, held: %v", ticket, err, want)
	}
	if err != nil {
		return
	}
	delete(m.held, ticket)
	m.rooms[id] = &played{ticket: ticket}
	for _, e := range evict {
		if r := m.rooms[e]; r == nil || r.counts(m.now) {
			m.t.Fatalf("%s is ended although somebody is in it", e)
		}
		for id, r := range m.rooms {
			if !slices.Contains(evict, id) && !r.counts(m.now) && r.since.Before(m.rooms[e].since) {
				m.t.Fatalf("%s is ended before %s, which was left earlier", e, id)
			}
		}
	}
	for _, e := range evict {
		delete(m.rooms, e)
		m.evicted++
	}
	if len(evict) > 0 && len(m.rooms) != m.places {
		m.t.Fatalf("%d rooms were ended, %d run at %d places", len(evict), len(m.rooms), m.places)
	}
}

// visit lets somebody leave a room or come back.
func (m *model) visit() {
	id := m.room()
	r := m.rooms[id]
	if r == nil {
		return
	}
	if !r.empty && m.next(4) > 0 {
		r.empty, r.since = true, m.now
		if m.next(4) == 0 {
			r.since = time.Time{}
		}
		if keep := r.since.Add(DefaultSpare); keep.After(r.until) {
			r.until = keep
		}
		m.desk.Vacate(m.now, id, r.since)
		return
	}
	free := m.free()
	err := m.desk.Return(m.now, id)
	if (err == nil) != (r.counts(m.now) || free > 0) {
		m.t.Fatalf("return = %v, counts %v, free %d", err, r.counts(m.now), free)
	}
	if err != nil {
		return
	}
	r.until = m.now.Add(ReturnTime)
	if m.next(2) == 0 {
		if r.empty {
			r.empty, r.until = false, time.Time{}
		}
		m.desk.Occupy(m.now, id)
	}
}

func (m *model) state() {
	switch m.next(16) { // mostly it is ready
	case 0:
		m.desk.Drain(m.now, true)
	case 1, 2, 3, 4:
		m.desk.Drain(m.now, false)
	case 5:
		m.desk.Overload(m.now, true)
	case 6, 7, 8, 9:
		m.desk.Overload(m.now, false)
	case 10:
		game := fmt.Sprintf("g%d", m.next(3))
		m.gone[game] = !m.gone[game]
		m.desk.Refresh(m.now)
	}
}

func (m *model) free() int {
	taken := 0
	for _, r := range m.rooms {
		if r.counts(m.now) {
			taken++
		}
	}
	return m.places - taken - len(m.held)
}

// hear books the answers. The places that are given to who waits go in order.
func (m *model) hear(fair bool) {
	for _, a := range m.desk.Answers() {
		if !m.open[a.ID] {
			m.t.Fatalf("%s is answered twice, or after it was taken back", a.ID)
		}
		delete(m.open, a.ID)
		s, stood := m.standing[a.Ticket]
		stood = stood && s.id == a.ID
		if stood {
			delete(m.standing, a.Ticket)
		}
		if a.Err != nil {
			continue
		}
		m.granted++
		if until, ok := m.held[a.Ticket]; ok {
			if m.owner[a.Ticket] != a.To || until.Sub(m.now) != a.Hold {
				m.t.Fatalf("%s is held for %d to %v, granted to %d", a.Ticket, m.owner[a.Ticket], until, a.To)
			}
			continue // the same place once more
		}
		for _, r := range m.rooms {
			if r.ticket == a.Ticket {
				m.t.Fatalf("%s has a room and is granted a place", a.Ticket)
			}
		}
		if state := m.desk.Counts(m.now).State; state != signal.StateReady {
			m.t.Fatalf("%s is granted a place by a worker that is %s", a.Ticket, state)
		}
		if fair && !stood {
			m.t.Fatalf("%s did not wait and is granted a place", a.Ticket)
		}
		m.held[a.Ticket], m.owner[a.Ticket] = m.now.Add(DefaultHold), a.To
		for _, o := range m.standing {
			if stood && (o.since < s.since || o.since == s.since && o.ticket < s.ticket) {
				m.t.Fatalf("%v is granted a place before %v", s, o)
			}
		}
	}
}

// check compares the books.
func (m *model) check() {
	c := m.desk.Counts(m.now)
	if m.free() < 0 || c.Taken+c.Held > c.Places {
		m.t.Fatalf("more than all places are given: %+v", c)
	}
	if c.Free() != m.free() || c.Held != len(m.held) || c.Standing != len(m.standing) || len(m.open) != len(m.standing) {
		m.t.Fatalf("%+v; the books say %d free, %d held, %d stand, %d open", c, m.free(), len(m.held), len(m.standing), len(m.open))
	}
	if c.State == signal.StateReady && c.Free() > 0 && c.Standing > 0 {
		m.t.Fatalf("a place is free while somebody waits: %+v", c)
	}
	if c.State == signal.StateDraining && c.Standing > 0 {
		m.t.Fatalf("somebody waits at a desk that drains: %+v", c)
	}
	if len(m.rooms) > m.places {
		m.t.Fatalf("%d rooms run at %d places", len(m.rooms), m.places)
	}
	at, ok := m.desk.Next(m.now)
	if ok && !at.After(m.now) {
		m.t.Fatalf("due at %v, now %v", at, m.now)
	}
	for ticket, until := range m.held {
		if !ok || until.Before(at) {
			m.t.Fatalf("%s runs out at %v; due at %v, %v", ticket, until, at, ok)
		}
	}
}

// TestModel: whatever happens in whatever order, the books agree.
func TestModel(t *testing.T) {
	granted, evicted := 0, 0
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			m := newModel(t, 1+int(seed%5), r.IntN)
			for range 1500 {
				m.step()
			}
			granted += m.granted
			evicted += m.evicted
		})
	}
	if granted < 1000 || evicted < 100 {
		t.Errorf("%d places were granted, %d rooms evicted: the test shows nothing", granted, evicted)
	}
}

func FuzzDesk(f *testing.F) {
	f.Add([]byte{1, 0, 0, 1, 0, 0, 0, 4, 1, 2})
	f.Add([]byte("reserve, take, leave, and come again; and so on for a while"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		places, data := 1+int(data[0]%4), data[1:]
		m := newModel(t, places, func(n int) int {
			if len(data) == 0 {
				return 0
			}
			v := int(data[0])
			if n > 256 {
				v *= n / 256
			}
			data = data[1:]
			return v % n
		})
		for len(data) > 0 {
			m.step()
		}
	})
}
