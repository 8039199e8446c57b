package coordinator

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// What time asks of the queue, and how often.
const (
	sayPeriod   = 500 * time.Millisecond // positions of the first of the line
	nearTheHead = 20                     // who are told so often; all others
	sayAllEvery = 4                      // only each fourth time
	retryPeriod = 2 * time.Second        // workers that refused to let a ticket stand are asked again
	renewPeriod = waitTTL / 3            // tokens of who waits
	maxWishes   = 64                     // that are looked at in one go
)

// run serves the queue until it is empty or ctx ends.
func (q *queue) run(ctx context.Context) {
	tick := time.NewTicker(sayPeriod)
	defer tick.Stop()
	g := gossip{q: q}
	for n := 1; ; {
		select {
		case <-ctx.Done():
			q.end()
			return
		case <-q.kick:
			q.ask()
		case now := <-tick.C:
			q.expire(now)
			q.retry(n)
			q.sayPositions(n%sayAllEvery == 0)
			q.renew(now)
			q.dismiss(now)
			q.ask()
			n++
			g.tell(now)
		}
		if q.done(&g) {
			return
		}
	}
}

// done stops the goroutine if there is nothing left to be served.
func (q *queue) done(g *gossip) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.byID) > 0 || g.owes() {
		return false
	}
	q.running = false
	clear(q.offers)
	clear(q.missing)
	return true
}

// end gives up all tickets: the pages ask elsewhere, where they are not to be
// counted twice.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running { // else the others know
		q.spread([]int64{})
	}
	for _, t := range q.byID {
		q.cancel(t, nil)
	}
	clear(q.byID)
	clear(q.byOwner)
	q.line, q.running = nil, false
}

// ask has the tickets at the head of the line, and the first of each other wish,
// stand at workers; and at a worker that has places yet who waits behind them.
func (q *queue) ask() {
	q.mu.Lock()
	defer q.mu.Unlock()
	known, seen := map[wish][]*workerLink{}, map[wish]bool{}
	for i, t := range q.line {
		if i >= headOfLine && (seen[t.wish] || len(seen) >= otherHeads) {
			continue
		}
		seen[t.wish] = true
		if len(t.stands) >= placesAsked {
			continue // a look at very many workers is dear
		}
		for _, w := range q.candidates(known, t) {
			if len(t.stands) >= placesAsked {
				break
			}
			q.stand(t, w)
		}
	}
	for w := range q.offers {
		q.offer(w)
	}
	clear(q.offers)
}

// candidates are who to ask for a ticket, looked up once for each wish. q.mu is held.
func (q *queue) candidates(known map[wish][]*workerLink, t *ticket) []*workerLink {
	workers, ok := known[t.wish]
	if !ok {
		workers, _ = q.c.registry.candidates(t.game, t.zone, t.latencies) // see dismiss
		known[t.wish] = workers
	}
	return workers
}

// offer asks a worker with free places for as many tickets that do not stand
// there. q.mu is held.
func (q *queue) offer(w *workerLink) {
	free := min(w.free(), headOfLine)
	for _, t := range q.line {
		if free <= 0 {
			return
		}
		if q.c.registry.offers(w, t.wish) {
			q.stand(t, w)
			free--
		}
	}
}

// offers says whether a worker has what a player waits for, and may be asked.
func (r *registry) offers(w *workerLink, one wish) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.library == nil || one.zone != "" && w.zone != one.zone || !w.healthy(time.Now()) {
		return false
	}
	_, ok := w.library.games[one.game]
	return ok
}

// stand asks a worker for a ticket unless it was asked before. q.mu is held.
func (q *queue) stand(t *ticket, w *workerLink) {
	if _, ok := t.stands[w]; ok {
		return
	}
	t.stands[w] = w.sock.send(encode(signal.TypeReserve, t.id, "", signal.Reserve{
		Ticket: t.id, Game: t.game, Since: t.since, Wait: true,
	}))
}

// retry forgets now and then who refused a ticket.
func (q *queue) retry(n int) {
	if n%int(retryPeriod/sayPeriod) != 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range q.line {
		for w, stands := range t.stands {
			if !stands {
				delete(t.stands, w)
			}
		}
	}
}

// sayPositions tells who waits what has changed.
func (q *queue) sayPositions(all bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, t := range q.line {
		ahead, _ := q.c.board.ahead(t.since)
		if at := ahead + i + 1; at != t.said && (all || at <= nearTheHead) {
			q.say(t, i, "", "")
		}
	}
}

// expire takes back the places that were granted and not taken.
func (q *queue) expire(now time.Time) {
	q.mu.Lock()
	var late []*ticket
	for _, t := range q.byID {
		if t.worker != nil && now.After(t.until) {
			late = append(late, t)
		}
	}
	for _, t := range late {
		q.cancel(t, nil)
		q.drop(t)
	}
	q.mu.Unlock()
	for _, t := range late {
		q.c.sessions.dismiss(t, signal.Errorf(signal.CodeExpired, "the place was held for you and not taken in time; start again"))
	}
}

// renew gives who waits a token that holds on.
func (q *queue) renew(now time.Time) {
	q.mu.Lock()
	var old []*ticket
	for _, t := range q.line {
		if now.Sub(t.renewed) >= renewPeriod {
			t.renewed = now
			old = append(old, t)
		}
	}
	q.mu.Unlock()
	for _, t := range old {
		token := q.c.sessions.renewed(t.owner)
		q.mu.Lock()
		if at, ok := slices.BinarySearchFunc(q.line, t, before); ok {
			q.say(t, at, "", token)
		}
		q.mu.Unlock()
	}
}

// dismiss tells those who wait for what nobody has offered for a while: for longer
// while no worker is here at all, and some are to come.
func (q *queue) dismiss(now time.Time) {
	q.mu.Lock()
	seen, why, patience := map[wish]bool{}, map[wish]error{}, workerGrace
	if q.c.registry.expects(now) {
		patience = returnTime
	}
	for _, t := range q.line {
		if seen[t.wish] || len(seen) >= maxWishes {
			continue
		}
		seen[t.wish] = true
		_, err := q.c.registry.candidates(t.game, t.zone, t.latencies)
		if err == nil {
			delete(q.missing, t.wish)
			continue
		}
		if q.missing[t.wish].IsZero() {
			q.missing[t.wish] = now
		}
		if now.Sub(q.missing[t.wish]) >= patience {
			why[t.wish] = err
			delete(q.missing, t.wish)
		}
	}
	var hopeless []*ticket
	for _, t := range q.line {
		if why[t.wish] != nil {
			hopeless = append(hopeless, t)
		}
	}
	for _, t := range hopeless {
		q.cancel(t, nil)
		q.drop(t)
	}
	maps.DeleteFunc(q.missing, func(one wish, _ time.Time) bool { return !seen[one] }) // who left need not be missed
	q.mu.Unlock()
	for _, t := range hopeless {
		q.c.sessions.dismiss(t, signal.AsError(why[t.wish]))
	}
}
