package loadgen

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// ourGame is the one that all simulated workers have, besides those of their library.
const ourGame = "loadgen"

// libraryGames is how many games a simulated library has.
const libraryGames = 100

// fleet is the simulated workers.
type fleet struct {
	workers []*worker
	ramp    time.Duration
	tally   *tally
	canned  string       // answer to pages without media
	asked   atomic.Int64 // libraries that were wanted
	given   atomic.Int64

	mu    sync.Mutex
	rooms map[string]*worker // by the id of a room
}

// fixed are endpoints that never change: one look-up is enough for all workers.
type fixed []discovery.Endpoint

var _ discovery.Source = fixed(nil)

// Watch implements discovery.Source.
func (f fixed) Watch(ctx context.Context, update func([]discovery.Endpoint)) {
	update(f)
	<-ctx.Done()
}

func newFleet(o Options, endpoints []discovery.Endpoint, t *tally) *fleet {
	f := &fleet{ramp: o.Ramp, canned: canned(answerLines), tally: t, rooms: map[string]*worker{}}
	shelves := make([]shelf, o.Libraries)
	for i := range shelves {
		shelves[i] = newShelf(i)
	}
	for i := range o.Workers {
		zone := ""
		if o.Zones > 0 {
			zone = zoneName(i % o.Zones)
		}
		f.workers = append(f.workers, newWorker(f, i, zone, &shelves[i%o.Libraries], o, endpoints))
	}
	return f
}

func zoneName(n int) string { return fmt.Sprintf("zone-%d", n+1) }

// shelf is a library; nobody writes to it.
type shelf struct {
	games  []signal.Game
	byID   map[string]signal.Game
	digest string
}

func newShelf(n int) shelf {
	s := shelf{
		games: []signal.Game{{ID: ourGame, Title: "Load", System: "loadgen", Players: 2}},
		byID:  map[string]signal.Game{},
	}
	for i := range libraryGames {
		s.games = append(s.games, signal.Game{
			ID: fmt.Sprintf("loadgen-%d-%d", n, i), Title: fmt.Sprintf("Load %d of shelf %d", i, n), System: "loadgen", Players: 1,
		})
	}
	for _, g := range s.games {
		s.byID[g.ID] = g
	}
	s.digest = signal.LibraryDigest(s.games)
	return s
}

// run keeps all workers joined until ctx ends. They come one after the other
// within the ramp, unless coming ends before.
func (f *fleet) run(ctx, coming context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { f.advance(ctx) })
	each := f.ramp / time.Duration(max(1, len(f.workers)))
	begin := time.Now()
	for i, w := range f.workers {
		if !wait(coming, time.Until(begin.Add(time.Duration(i)*each))) {
			break
		}
		group.Go(func() { w.run(ctx) })
	}
}

// advance lets places run out.
func (f *fleet) advance(ctx context.Context) {
	tick := time.NewTicker(tickPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, w := range f.workers {
			w.decide((*desk).Advance)
		}
	}
}

// known says whether all libraries that were wanted have been given.
func (f *fleet) known() bool { return f.given.Load() >= f.asked.Load() }

// opened notes which worker has a room.
func (f *fleet) opened(room string, w *worker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rooms[room] = w
}

func (f *fleet) closed(room string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.rooms, room)
}

// vanished ends the room of a page that is gone without a word: a real worker
// would miss its media.
func (f *fleet) vanished(room string) {
	f.mu.Lock()
	w := f.rooms[room]
	f.mu.Unlock()
	if w != nil {
		w.end(w.inRoom(room))
	}
}
