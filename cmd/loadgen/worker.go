package loadgen

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/uplink"
	"github.com/cloudretro/cloudretro/worker/admission"
)

type desk = admission.Desk[*uplink.Link]

// worker is one simulated worker: the desk of a real one, and rooms that are
// nothing but an id.
type worker struct {
	fleet  *fleet
	id     string
	name   string
	zone   string
	secret string
	places int
	shelf  *shelf
	keeper *uplink.Keeper
	media  sync.WaitGroup // answers that are being made

	mu       sync.Mutex
	desk     *desk
	told     admission.Counts
	sessions map[string]*session // by id
}

// session is a page at a worker.
type session struct {
	room  string
	game  string
	since time.Time
	send  *sender // nil without media
}

func newWorker(f *fleet, n int, zone string, s *shelf, o Options, endpoints []discovery.Endpoint) *worker {
	w := &worker{
		fleet: f, id: signal.NewID(), name: fmt.Sprintf("loadgen-%d", n+1), zone: zone, secret: o.Secret, places: o.placesOf(n),
		shelf: s, sessions: map[string]*session{},
	}
	w.desk = admission.New[*uplink.Link](admission.Config{
		Places: w.places,
		Known:  func(game string) bool { _, ok := s.byID[game]; return ok },
	})
	w.told = w.desk.Counts(time.Now())
	w.keeper = uplink.New(uplink.Role{
		Path: "/ws/worker", Introduce: w.introduce, Joined: w.joined, Message: w.handle, Left: w.left,
		Logger: o.Logger.With("worker", w.name),
	}, fixed(endpoints))
	return w
}

// run keeps the worker joined until ctx ends.
func (w *worker) run(ctx context.Context) {
	_ = w.keeper.Run(ctx) // always nil
	w.media.Wait()
	w.mu.Lock()
	all := w.sessions
	w.sessions = map[string]*session{}
	w.mu.Unlock()
	for id, s := range all {
		w.over(id, s)
	}
}

func (w *worker) introduce(c signal.Challenge, _ int) (signal.Type, any) {
	return signal.TypeRegister, signal.Register{
		ID: w.id, Name: w.name, Zone: w.zone, MAC: signal.MAC(w.secret, c.Nonce, signal.RoleWorker, w.id),
		Library: w.shelf.digest, Load: w.load(), Rooms: w.rooms(),
	}
}

func (w *worker) joined(l *uplink.Link, a signal.Accepted) {
	if a.Library {
		w.tellLibrary(l)
	}
	w.fleet.tally.workerJoined(1)
}

func (w *worker) left(l *uplink.Link) {
	w.decide(func(d *desk, now time.Time) { d.Gone(now, l) })
	w.fleet.tally.workerJoined(-1)
}

func (w *worker) tellLibrary(l *uplink.Link) {
	w.fleet.asked.Add(1)
	l.Announce("library", func() (signal.Type, any) {
		w.fleet.given.Add(1)
		return signal.TypeLibrary, signal.Library{Digest: w.shelf.digest, Put: w.shelf.games}
	})
}

func (w *worker) load() signal.Load {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.desk.Counts(time.Now())
	return signal.Load{State: c.State, Places: c.Places, Free: c.Free(), Sessions: len(w.sessions)}
}

func (w *worker) rooms() []signal.Room {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]signal.Room, 0, len(w.sessions))
	for _, s := range w.sessions {
		list = append(list, signal.Room{ID: s.room, Game: s.game, Players: 1, Seats: max(1, w.shelf.byID[s.game].Players)})
	}
	slices.SortFunc(list, func(a, b signal.Room) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// decide does something at the desk, delivers what it answers and announces what
// has changed, as a real worker does.
func (w *worker) decide(f func(d *desk, now time.Time)) {
	w.mu.Lock()
	now := time.Now()
	f(w.desk, now)
	for _, a := range w.desk.Answers() {
		if a.Err != nil {
			a.To.Send(signal.TypeError, a.ID, "", a.Err)
			continue
		}
		a.To.Send(signal.TypeReserved, a.ID, "", signal.Reserved{Ticket: a.Ticket, Seconds: max(1, int(a.Hold/time.Second))})
	}
	counts := w.desk.Counts(now)
	changed := w.told != counts
	w.told = counts
	w.mu.Unlock()
	if counts.Taken+counts.Held > w.places {
		w.fleet.tally.double()
	}
	if changed {
		w.keeper.Announce("load", func() (signal.Type, any) { return signal.TypeLoad, w.load() })
	}
}

// open takes the place that was held for a start.
func (w *worker) open(id string, start signal.Start) (*session, error) {
	s := &session{room: signal.NewID(), game: start.Game, since: time.Now()}
	var refused *signal.Error
	w.decide(func(d *desk, now time.Time) {
		if _, refused = d.Take(now, start.Ticket, s.room); refused == nil {
			w.sessions[id] = s // w.mu is held
		}
	})
	if refused != nil {
		return nil, refused
	}
	w.fleet.opened(s.room, w)
	w.fleet.tally.roomOpened(id)
	w.announceRooms()
	return s, nil
}

func (w *worker) announceRooms() {
	w.keeper.Announce("rooms", func() (signal.Type, any) { return signal.TypeRooms, signal.Rooms{Rooms: w.rooms()} })
}

// end ends a session and its room; false if it is not there.
func (w *worker) end(id string) bool {
	w.mu.Lock()
	s := w.sessions[id]
	delete(w.sessions, id)
	w.mu.Unlock()
	if s == nil {
		return false
	}
	w.over(id, s)
	w.decide(func(d *desk, now time.Time) { d.End(now, s.room) })
	w.announceRooms()
	return true
}

// over forgets a session that was taken out.
func (w *worker) over(id string, s *session) {
	if s.send != nil {
		s.send.close()
	}
	w.fleet.closed(s.room)
	w.fleet.tally.roomClosed(id)
}

// inRoom is the session that has a room, "" if there is none.
func (w *worker) inRoom(room string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, s := range w.sessions {
		if s.room == room {
			return id
		}
	}
	return ""
}

// find is a session, nil if it is not there.
func (w *worker) find(id string) *session {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sessions[id]
}
