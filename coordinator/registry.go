package coordinator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// registry is what the connected workers and gates have said. All methods may
// be called concurrently; none blocks.
type registry struct {
	games   atomic.Pointer[asset] // /api/games, rebuilt when a library changes
	mu      sync.Mutex
	workers map[string]*workerLink // by id
	gates   map[*gateLink]struct{}
	changed chan struct{} // closed and replaced when a worker comes
}

func newRegistry() *registry {
	r := &registry{
		workers: map[string]*workerLink{},
		gates:   map[*gateLink]struct{}{},
		changed: make(chan struct{}),
	}
	r.rebuild()
	return r
}

// addWorker registers a link and answers the one it replaces: the same worker
// reconnected before its old connection was missed.
func (r *registry) addWorker(w *workerLink, rooms []signal.Room) (old *workerLink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old = r.workers[w.id]
	r.workers[w.id] = w
	w.rooms = roomIDs(rooms)
	r.rebuild()
	r.pushPeers()
	close(r.changed)
	r.changed = make(chan struct{})
	return old
}

// removeWorker takes a link out unless it has been replaced.
func (r *registry) removeWorker(w *workerLink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.workers[w.id] != w {
		return
	}
	delete(r.workers, w.id)
	r.rebuild()
	r.pushPeers()
}

func (r *registry) setGames(w *workerLink, games []signal.Game) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.games = byID(games)
	r.rebuild()
}

func (r *registry) setLoad(w *workerLink, load signal.Load) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.load = load
}

func (r *registry) setRooms(w *workerLink, rooms []signal.Room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.rooms = roomIDs(rooms)
}

// addRoom notes a room that a worker has just opened and not yet announced.
func (r *registry) addRoom(w *workerLink, room string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(w.rooms) < signal.MaxRooms {
		w.rooms[room] = struct{}{}
	}
}

// worker is the link of a worker, nil if it is not connected.
func (r *registry) worker(id string) *workerLink {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.workers[id]
}

// workerOrWait is worker and, if it is nil, a channel that is closed when
// another worker comes.
func (r *registry) workerOrWait(id string) (*workerLink, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.workers[id], r.changed
}

// forGame is who to ask for a room with the game, in order. Its error is an
// *signal.Error that says what is missing.
func (r *registry) forGame(game string) ([]*workerLink, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.workers) == 0 {
		return nil, signal.Errorf(signal.CodeNoWorker,
			"no worker is connected; is the worker role running, and does its secrets.worker match?")
	}
	var loads []load
	for id, w := range r.workers {
		if _, ok := w.games[game]; ok {
			loads = append(loads, load{worker: id, rooms: len(w.rooms), starting: w.starting, maxRooms: w.load.Places})
		}
	}
	if len(loads) == 0 {
		return nil, signal.Errorf(signal.CodeNotFound, "there is no game %q; choose one from the menu", game)
	}
	var links []*workerLink
	for _, l := range place(loads) {
		links = append(links, r.workers[l.worker])
	}
	return links, nil
}

// candidates is who to ask for a place, in order.
func (r *registry) candidates(game, _ string, _ map[string]int) ([]*workerLink, error) {
	return r.forGame(game)
}

// forRoom is the worker that has the room.
func (r *registry) forRoom(room string) (*workerLink, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.workers {
		if _, ok := w.rooms[room]; ok {
			return w, nil
		}
	}
	return nil, signal.Errorf(signal.CodeNotFound, "the room is closed, or its worker is not connected just now")
}

// begin counts a start that a worker is asked for, until the func is called.
func (r *registry) begin(w *workerLink) (end func()) {
	r.mu.Lock()
	w.starting++
	r.mu.Unlock()
	return func() {
		r.mu.Lock()
		w.starting--
		r.mu.Unlock()
	}
}

// addGate registers a gate and sends it the peers.
func (r *registry) addGate(g *gateLink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gates[g] = struct{}{}
	g.sock.send(r.peers())
}

func (r *registry) removeGate(g *gateLink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.gates, g)
}

// drainGate keeps pages from a gate that opens no more relays. It still hears
// of workers, for the sake of those that are open.
func (r *registry) drainGate(g *gateLink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g.draining = true
}

// gateURLs are the URLs of each gate that is not draining, in a stable order.
func (r *registry) gateURLs() [][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	gates := slices.SortedFunc(maps.Keys(r.gates), func(a, b *gateLink) int { return cmp.Compare(a.id, b.id) })
	urls := make([][]string, 0, len(gates))
	for i, g := range gates {
		if g.draining || i > 0 && gates[i-1].id == g.id {
			continue // reconnected, and the old connection is not yet missed
		}
		urls = append(urls, g.urls)
	}
	return urls
}

// pushPeers tells all gates the new set. r.mu is held.
func (r *registry) pushPeers() {
	if len(r.gates) == 0 {
		return
	}
	data := r.peers()
	for g := range r.gates {
		g.sock.send(data)
	}
}

// peers is the message with the media addresses of all workers. r.mu is held.
func (r *registry) peers() []byte {
	addrs := []string{}
	for _, w := range r.workers {
		addrs = append(addrs, w.mediaAddrs...)
	}
	slices.Sort(addrs)
	addrs = slices.Compact(addrs)
	addrs = addrs[:min(len(addrs), signal.MaxPeers)]
	return encode(signal.TypePeers, "", "", signal.Peers{Addrs: addrs})
}

// rebuild makes the list of all games, sorted by system and title; of equal
// ids the one of the worker with the lowest id counts. r.mu is held.
func (r *registry) rebuild() {
	union := map[string]signal.Game{}
	for _, id := range slices.Sorted(maps.Keys(r.workers)) {
		for game, g := range r.workers[id].games {
			if _, ok := union[game]; !ok {
				union[game] = g
			}
		}
	}
	games := slices.SortedFunc(maps.Values(union), func(a, b signal.Game) int {
		return cmp.Or(cmp.Compare(a.System, b.System), cmp.Compare(a.Title, b.Title), cmp.Compare(a.ID, b.ID))
	})
	if games == nil {
		games = []signal.Game{}
	}
	body, err := json.Marshal(games)
	if err != nil {
		panic(fmt.Sprintf("coordinator: games cannot be encoded: %v", err)) // only strings and ints
	}
	r.games.Store(newAsset("games.json", body))
}

func byID(games []signal.Game) map[string]signal.Game {
	m := make(map[string]signal.Game, len(games))
	for _, g := range games {
		m[g.ID] = g
	}
	return m
}

func roomIDs(rooms []signal.Room) map[string]struct{} {
	m := make(map[string]struct{}, len(rooms))
	for _, r := range rooms {
		m[r.ID] = struct{}{}
	}
	return m
}

// encode is signal.Encode for payloads that are our own and cannot fail.
func encode(t signal.Type, id, session string, payload any) []byte {
	data, err := signal.Encode(t, id, session, payload)
	if err != nil {
		panic(fmt.Sprintf("coordinator: %v", err))
	}
	return data
}
