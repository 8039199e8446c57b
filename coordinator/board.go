package coordinator

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Times and bounds of what coordinators tell one another by way of workers.
const (
	boardLife    = signal.QueueSeconds * time.Second
	tellPeriod   = boardLife / 3
	tellAtOnce   = time.Second // at most so often, if it changed
	carriers     = 2           // workers that carry it
	maxElsewhere = 256         // coordinators that are heard of
)

// board is who waits at the other coordinators. Its methods may be called
// concurrently; none blocks.
type board struct {
	self   string // our id
	secret string // signs what is on it
	mu     sync.Mutex
	queues map[string]elsewhere // by coordinator
	signed int64                // Queue.At of our last one
}

// elsewhere is who waits at one of them.
type elsewhere struct {
	since []int64   // rising
	until time.Time // it counts
	at    int64     // as Queue.At
}

func newBoard(self, secret string) *board {
	return &board{self: self, secret: secret, queues: map[string]elsewhere{}}
}

// sign is what a list of ours travels in: each is later than the one before.
func (b *board) sign(since []int64) signal.Queue {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.signed = max(b.signed+1, time.Now().UnixMilli())
	return signal.Queue{Coordinator: b.self, Since: since, At: b.signed}.Sign(b.secret)
}

// heard notes what a coordinator says. It comes by several workers, each of which
// may hold it back and say it again: what is not newer than the last one, or is too
// old to count, is passed over. The error says that no coordinator has said it.
func (b *board) heard(q signal.Queue) error {
	if q.Coordinator == b.self {
		return nil
	}
	if !q.Signed(b.secret) {
		return signal.Errorf(signal.CodeDenied,
			"no coordinator has signed who waits there: have all of them the same secrets.session, and the same version?")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.sweep(now)
	last, known := b.queues[q.Coordinator]
	if !known && len(b.queues) >= maxElsewhere || q.At <= last.at || stale(q.At, now) || time.UnixMilli(q.At).After(now.Add(clockSkew)) {
		return nil
	}
	b.queues[q.Coordinator] = elsewhere{q.Since, now.Add(boardLife), q.At}
	return nil
}

// stale says whether a list of that time counts nowhere any more, whatever the clocks.
func stale(at int64, now time.Time) bool {
	return now.After(time.UnixMilli(at).Add(boardLife + clockSkew))
}

// sweep forgets coordinators of which no list counts any more. Until then it is
// known which was the last one. b.mu is held.
func (b *board) sweep(now time.Time) {
	maps.DeleteFunc(b.queues, func(_ string, e elsewhere) bool { return stale(e.at, now) && now.After(e.until) })
}

// ahead is how many of the others wait longer than one of ours that waits since
// the time, and how many there are. Of equal times those of the coordinator with
// the lower id come first, as its tickets are lower.
func (b *board) ahead(since int64) (ahead, all int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for id, e := range b.queues {
		if now.After(e.until) {
			continue
		}
		end := since
		if id < b.self {
			end++
		}
		n, _ := slices.BinarySearch(e.since, end)
		ahead, all = ahead+n, all+len(e.since)
	}
	return ahead, all
}

// empty says whether nobody waits elsewhere.
func (b *board) empty() bool {
	_, all := b.ahead(0)
	return all == 0
}

// gossip tells the others who waits here. It belongs to the goroutine of the queue.
type gossip struct {
	q    *queue
	said []int64
	at   time.Time
}

// owes says whether the others think that somebody waits here. q.mu is held.
func (g *gossip) owes() bool { return len(g.said) > 0 }

// tell tells them if there is something new, and that it still holds now and then.
func (g *gossip) tell(now time.Time) {
	g.q.mu.Lock()
	since := make([]int64, len(g.q.line))
	for i, t := range g.q.line {
		since[i] = t.since
	}
	g.q.mu.Unlock()
	age := now.Sub(g.at)
	if slices.Equal(since, g.said) && (len(since) == 0 || age < tellPeriod) || age < tellAtOnce {
		return
	}
	g.said, g.at = since, now
	g.q.spread(since)
}

// spread tells the others since when who waits here does.
func (q *queue) spread(since []int64) {
	data := encode(signal.TypeQueue, "", "", q.c.board.sign(since))
	for _, w := range q.c.registry.carriers(carriers) {
		w.sock.send(data)
	}
}

// carriers are the n workers with the lowest ids: all coordinators know the same.
func (r *registry) carriers(n int) []*workerLink {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lowest []*workerLink
	for _, w := range r.workers {
		at, _ := slices.BinarySearchFunc(lowest, w, func(a, b *workerLink) int { return cmp.Compare(a.id, b.id) })
		if at < n {
			lowest = slices.Insert(lowest, at, w)
			lowest = lowest[:min(len(lowest), n)]
		}
	}
	return lowest
}
