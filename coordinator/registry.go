package coordinator

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// silentAfter is how long nothing may have come from a worker, which is pinged
// every rolePing and answers, for it still to be asked for a place.
const silentAfter = 5 * time.Second

// awaitedFor is how long it is remembered that somebody waits for a worker.
const awaitedFor = time.Minute

// returnTime is how long after the last worker left others are looked for, and the
// first one where workers start with the coordinator: a rollout, or a restart of the
// only one, is done by then.
const returnTime = time.Minute

// registry is what the connected workers and gates have said. All methods may
// be called concurrently; none blocks.
type registry struct {
	games *catalogue

	mu        sync.Mutex
	workers   map[string]*workerLink // by id
	coming    map[string]string      // pods of those that are admitted and not here yet, by id
	emptied   time.Time              // when the last of them left, or the first was to come
	rooms     map[string]*workerLink // by the id of a room
	libraries libraries
	byZone    *zones
	gates     map[*gateLink]struct{}
	awaited   map[string]*awaited // by the id of a worker
	late      uint64              // answers that came when nobody waited any more
}

// awaited is a worker that somebody waits for.
type awaited struct {
	here  chan struct{} // closed when it joins
	until time.Time     // nobody waits any more
}

func newRegistry() *registry {
	changes := &atomic.Uint64{}
	r := &registry{
		workers: map[string]*workerLink{}, coming: map[string]string{}, rooms: map[string]*workerLink{},
		libraries: newLibraries(changes), byZone: newZones(),
		gates: map[*gateLink]struct{}{}, awaited: map[string]*awaited{},
	}
	r.games = newCatalogue(r.allLibraries, changes)
	return r
}

// addWorker registers a link, tells it so and answers the one it replaces: the
// same worker reconnected before its old connection was missed.
func (r *registry) addWorker(w *workerLink, digest string, rooms []signal.Room) (old *workerLink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ask := r.libraries.announce(w, digest, time.Now())
	w.sock.send(encode(signal.TypeAccepted, "", "", signal.Accepted{Library: ask == w, Invites: w.invites}))
	if ask == w {
		r.remind(w)
	}
	if old = r.workers[w.id]; old != nil {
		r.takeOut(old) // when the new one shares its library already
	}
	r.workers[w.id] = w
	delete(r.coming, w.id)
	r.putRooms(w, rooms)
	r.byZone.count(w.zone, w.probe, 1)
	r.pushPeers()
	if one := r.awaited[w.id]; one != nil {
		close(one.here)
		delete(r.awaited, w.id)
	}
	return old
}

// removeWorker takes a link out; false if it has been replaced before.
func (r *registry) removeWorker(w *workerLink) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.workers[w.id] != w {
		return false
	}
	r.takeOut(w)
	delete(r.workers, w.id)
	if len(r.workers) == 0 {
		r.emptied = time.Now()
	}
	r.pushPeers()
	return true
}

// expects says whether workers may offer games in a moment, where none does now:
// they were here just now, start with us, or have come and not said what games they
// have.
func (r *registry) expects(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.workers) == 0 {
		return now.Sub(r.emptied) < returnTime
	}
	return len(r.libraries.known) == 0 && len(r.libraries.wanted) > 0
}

// takeOut forgets what a worker announced. r.mu is held.
func (r *registry) takeOut(w *workerLink) {
	r.putRooms(w, nil)
	r.byZone.count(w.zone, w.probe, -1)
	r.libraries.forget(w)
	r.libraries.drop(w)
	r.askLibraries(time.Now())
}

// putRooms replaces a worker's rooms. Those that another one has said before stay
// with that one, and those of another pod count for nothing; answered is how many
// they are. r.mu is held.
func (r *registry) putRooms(w *workerLink, rooms []signal.Room) (foreign int) {
	for id := range w.rooms {
		if r.rooms[id] == w {
			delete(r.rooms, id)
		}
	}
	w.rooms = make(map[string]signal.Room, len(rooms))
	for _, room := range rooms {
		if owner := r.rooms[room.ID]; owner != nil && owner != w || !signal.RoomOf(w.part, room.ID) {
			foreign++
			continue
		}
		w.rooms[room.ID] = room
		r.rooms[room.ID] = w
	}
	return foreign
}

// setRooms is what a worker says that it has. A link that has been replaced has
// nothing to say any more. The error says that some are another worker's.
func (r *registry) setRooms(w *workerLink, rooms []signal.Room) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.workers[w.id] != w {
		return nil
	}
	if foreign := r.putRooms(w, rooms); foreign > 0 {
		return signal.Errorf(signal.CodeDenied, "%d of the rooms are another worker's", foreign)
	}
	return nil
}

// addRoom notes a room that a worker has just opened and not yet announced. The
// error says that it is another worker's.
func (r *registry) addRoom(w *workerLink, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if owner := r.rooms[id]; owner != nil && owner.id != w.id || !signal.RoomOf(w.part, id) {
		return signal.Errorf(signal.CodeFailed, "the worker answered with a room of another one")
	}
	if _, ok := w.rooms[id]; ok || r.workers[w.id] != w || len(w.rooms) >= signal.MaxRooms {
		return nil
	}
	w.rooms[id] = signal.Room{ID: id}
	r.rooms[id] = w
	return nil
}

// worker is the link of a worker, nil if it is not connected.
func (r *registry) worker(id string) *workerLink {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.workers[id]
}

// workerOrWait is worker and, if it is nil, a channel that is closed when that
// worker comes.
func (r *registry) workerOrWait(id string) (*workerLink, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.workers[id]; w != nil {
		return w, nil
	}
	one := r.awaited[id]
	if one == nil {
		one = &awaited{here: make(chan struct{})}
		r.awaited[id] = one
	}
	one.until = time.Now().Add(awaitedFor)
	return nil, one.here
}

// forRoom is the worker that has the room.
func (r *registry) forRoom(room string) (*workerLink, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.rooms[room]; w != nil {
		return w, nil
	}
	return nil, signal.Errorf(signal.CodeNotFound, "the room is closed, or its worker is not connected just now")
}

// countLate counts an answer that nobody waits for any more.
func (r *registry) countLate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late++
}

// sweep asks for libraries that others owe us and forgets who is awaited in vain.
func (r *registry) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.askLibraries(now)
	for id, one := range r.awaited {
		if now.After(one.until) {
			delete(r.awaited, id)
		}
	}
}

// encode is signal.Encode for payloads that are our own and cannot fail.
func encode(t signal.Type, id, session string, payload any) []byte {
	data, err := signal.Encode(t, id, session, payload)
	if err != nil {
		panic(fmt.Sprintf("coordinator: %v", err))
	}
	return data
}
