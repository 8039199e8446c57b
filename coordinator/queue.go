package coordinator

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Bounds of the queue.
const (
	headOfLine     = 32 // tickets that stand at workers
	otherHeads     = 64 // wishes behind them whose first ticket stands, too
	placesAsked    = 64 // workers that a ticket stands at
	maxWaitingEach = 16 // tickets of one public address
	maxHeld        = 60 // seconds that a page may take to come, whatever a worker says
)

// wish is what a player waits for.
type wish struct{ game, zone string }

// ticket is a place in line, and then the place at a worker that came of it.
// Owner, id and what the player asked for never change; the rest belongs to the
// queue and is guarded by its mutex.
type ticket struct {
	id, session string // id changes while nobody knows of it, see rename
	serial      uint64
	owner       *session
	wish
	latencies map[string]int
	since     int64     // ms since 1970
	begun     time.Time // when the page asked
	host      string
	from      address

	sock    *socket
	said    int                  // position that the page was told
	renewed time.Time            // when it was given a token
	stands  map[*workerLink]bool // where it is asked for; false where it was refused
	worker  *workerLink          // that granted it, nil while it waits
	until   time.Time            // that it holds the place
}

// before is the order of the line, which is that of the workers too: by time,
// and of equals by ticket.
func before(a, b *ticket) int { return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(a.id, b.id)) }

// queue is who waits here for a place, in order, and who was granted one and has
// not taken it. The workers alone decide who comes next: the first of the line
// stand as requests at the workers that have their game. While anybody is in it
// one goroutine does what time asks for; none waits for a single player. All
// methods may be called concurrently; none blocks.
type queue struct {
	c     *Coordinator
	kick  chan struct{} // there is something to be asked; capacity 1
	crowd *crowd

	mu      sync.Mutex
	serial  uint64
	line    []*ticket // who waits, in order
	byID    map[string]*ticket
	byOwner map[*session]*ticket
	offers  map[*workerLink]struct{} // that may have places for who does not stand there
	missing map[wish]time.Time       // since when nobody offers it
	running bool
}

func newQueue(c *Coordinator) *queue {
	return &queue{
		c: c, kick: make(chan struct{}, 1), crowd: newCrowd(always(maxWaitingEach)),
		byID: map[string]*ticket{}, byOwner: map[*session]*ticket{},
		offers: map[*workerLink]struct{}{}, missing: map[wish]time.Time{},
	}
}

// ticket makes one for a player who asks. Those of one coordinator rise, and
// begin with its id, so that of equal times the workers' order is the one that
// all coordinators count by. Nobody can guess them.
func (q *queue) ticket(owner *session, session string, start signal.Start, since int64, from address) *ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.serial++
	t := &ticket{
		serial: q.serial, session: session, owner: owner,
		wish: wish{start.Game, start.Zone}, latencies: start.Latencies, since: since, begun: time.Now(),
		host: start.Host, from: from, stands: map[*workerLink]bool{},
	}
	q.name(t)
	return t
}

// name gives a ticket an id by its place in the order, and by chance.
func (q *queue) name(t *ticket) {
	t.id = fmt.Sprintf("%s-%08x-%s", q.c.id, t.serial&math.MaxUint32, signal.NewID())
}

// rename gives a ticket that was refused another id in the same place, so that
// nothing late of the old one can be taken for the new one.
func (q *queue) rename(t *ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.name(t)
	t.worker = nil
}

// waits says whether anybody waits here for the same.
func (q *queue) waits(w wish) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.line, func(t *ticket) bool { return t.wish == w })
}

// enter puts a ticket in line and tells its page; the token is for the page to
// keep its place elsewhere. ctx is for the goroutine that serves the queue.
func (q *queue) enter(ctx context.Context, t *ticket, sock *socket, id, token string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.line) >= signal.MaxQueue {
		return signal.Errorf(signal.CodeFull, "all places are taken, and %d players wait already; try again later", len(q.line))
	}
	if !q.crowd.enter(public(t.from)) {
		return signal.Errorf(signal.CodeFull, "all places are taken, and %d players wait at your address already", maxWaitingEach)
	}
	at, _ := slices.BinarySearchFunc(q.line, t, before)
	q.line = slices.Insert(q.line, at, t)
	q.byID[t.id], q.byOwner[t.owner] = t, t
	t.sock, t.renewed = sock, time.Now()
	q.say(t, at, id, token)
	q.serve(ctx)
	q.hurry()
	return nil
}

// serve starts the goroutine that serves the queue unless it runs. It is waited
// for with the requests that sockets leave behind. q.mu is held.
func (q *queue) serve(ctx context.Context) {
	if !q.running {
		q.running = true
		q.c.requests.Go(func() { q.run(ctx) })
	}
}

// public is a if it is an address of the Internet; of others, behind which
// anybody may be, none is counted.
func public(a address) address {
	if ip := netip.Prefix(a).Addr(); !ip.IsValid() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return address{}
	}
	return a
}

// say tells a page the position of its ticket, which is the at-th here. q.mu is held.
func (q *queue) say(t *ticket, at int, id, token string) {
	ahead, others := q.c.board.ahead(t.since)
	t.said = ahead + at + 1
	t.sock.send(encode(signal.TypeQueued, id, "", signal.Queued{
		Position: t.said, Waiting: max(t.said, others+len(q.line)), Token: token,
	}))
}

// hurry has the line looked at now.
func (q *queue) hurry() {
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// again answers a page that asks once more for what it has a ticket for. If a
// place is held and the page has an offer, that is to be taken, by the ticket's id.
func (q *queue) again(owner *session, w wish, id string, offers bool) (held string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.byOwner[owner]
	if t == nil || t.wish != w {
		return "", false
	}
	if t.worker != nil && offers {
		return t.id, true
	}
	if t.worker != nil {
		q.tell(t, id)
		return "", true
	}
	at, _ := slices.BinarySearchFunc(q.line, t, before)
	q.say(t, at, id, "")
	return "", true
}

// follow has a session's ticket speak to another socket.
func (q *queue) follow(owner *session, sock *socket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.byOwner[owner]; t != nil {
		t.sock = sock
	}
}

// waiting says whether a session has a ticket.
func (q *queue) waiting(owner *session) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.byOwner[owner] != nil
}

// leave gives up the ticket of a session, if it has one.
func (q *queue) leave(owner *session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.byOwner[owner]; t != nil {
		q.cancel(t, nil)
		q.drop(t)
	}
}

// cancel takes a ticket back from all workers but one. q.mu is held.
func (q *queue) cancel(t *ticket, but *workerLink) {
	if t.worker != nil && t.worker != but {
		t.worker.post(signal.TypeCancel, "", signal.Cancel{Ticket: t.id})
	}
	for w, stands := range t.stands {
		if stands && w != but {
			w.post(signal.TypeCancel, "", signal.Cancel{Ticket: t.id})
		}
	}
	clear(t.stands)
}

// drop forgets a ticket. q.mu is held.
func (q *queue) drop(t *ticket) {
	q.unline(t)
	delete(q.byID, t.id)
	if q.byOwner[t.owner] == t {
		delete(q.byOwner, t.owner)
	}
}

// unline takes a ticket out of the line. q.mu is held.
func (q *queue) unline(t *ticket) {
	at, ok := slices.BinarySearchFunc(q.line, t, before)
	if !ok {
		return
	}
	q.line = slices.Delete(q.line, at, at+1)
	q.crowd.exit(public(t.from))
	q.hurry()
}

// hold keeps a place for a page that asked for the place alone, and tells it.
func (q *queue) hold(ctx context.Context, t *ticket, sock *socket, id string, w *workerLink, r signal.Reserved) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.byID[t.id], q.byOwner[t.owner], t.sock = t, t, sock
	q.grant(t, w, r, id)
	q.serve(ctx)
}

// grant gives a ticket its place. q.mu is held.
func (q *queue) grant(t *ticket, w *workerLink, r signal.Reserved, id string) {
	r.Seconds = min(r.Seconds, maxHeld)
	t.worker, t.until = w, time.Now().Add(time.Duration(r.Seconds)*time.Second)
	q.tell(t, id)
}

// tell tells a page of the place that is held for it. q.mu is held.
func (q *queue) tell(t *ticket, id string) {
	seconds := max(1, int(time.Until(t.until).Round(time.Second)/time.Second))
	t.sock.send(encode(signal.TypeGranted, id, "", signal.Granted{
		Ticket: t.id, Seconds: seconds, ICEServers: q.c.iceServers(t.session, t.host),
	}))
}

// reserved hears that a worker grants a ticket that stood there. The first worker
// counts; what others grant is given back. The error says that it was not asked.
func (q *queue) reserved(w *workerLink, r signal.Reserved) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.byID[r.Ticket]
	if t == nil || t.worker != nil {
		if t == nil || t.worker.id != w.id {
			w.post(signal.TypeCancel, "", signal.Cancel{Ticket: r.Ticket})
		}
		return nil
	}
	if _, asked := t.stands[w]; !asked {
		w.post(signal.TypeCancel, "", signal.Cancel{Ticket: r.Ticket})
		return signal.Errorf(signal.CodeDenied, "a place was granted that was not asked for")
	}
	q.cancel(t, w)
	q.unline(t)
	q.grant(t, w, r, "")
	q.c.stats.granted(time.Since(t.begun))
	return nil
}

// refused hears that a worker lets a ticket stand no more; id is the ticket's.
func (q *queue) refused(w *workerLink, id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.byID[id]
	if t == nil || t.worker != nil {
		return false
	}
	if _, asked := t.stands[w]; asked {
		t.stands[w] = false
	}
	return true
}

// take ends a ticket with the start that it was granted for, and answers the
// worker that holds the place.
func (q *queue) take(owner *session, id, game string) (*ticket, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.byID[id]
	if t == nil || t.owner != owner || t.game != game || t.worker == nil {
		return nil, signal.Errorf(signal.CodeExpired, "the place is not held any more; start again")
	}
	q.drop(t)
	return t, nil
}

// workerChanged hears that a worker joined, or that its load or library changed.
func (q *queue) workerChanged(w *workerLink) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.line) > 0 {
		q.offers[w] = struct{}{}
		q.hurry()
	}
}

// workerGone hears that the link of a worker ended: what stood there stands
// nowhere now, and is asked for elsewhere.
func (q *queue) workerGone(w *workerLink) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.offers, w)
	for _, t := range q.line {
		delete(t.stands, w)
	}
	if len(q.line) > 0 {
		q.hurry()
	}
}

// length is how many players wait here for a place. It may be called at any time.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.line)
}
