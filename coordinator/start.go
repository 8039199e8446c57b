package coordinator

import (
	"context"
	"slices"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Bounds of a start.
const (
	maxPlacing      = 19 * time.Second // from worker to worker: pages give up after 20 s
	reservePatience = 2 * time.Second  // of a worker, which answers at once
	maxAsked        = 8                // workers that are asked for a place before the player waits
	maxTried        = 3                // workers that gave a place and then could not start the game
)

// mustWait says whether a player gets in line without asking: behind those who
// wait for the same, or since no place is free. Where there are more workers than
// a ticket stands at, those who wait elsewhere come first, too; else the workers
// see to that themselves.
func (c *Coordinator) mustWait(t *ticket, workers []*workerLink) bool {
	if c.queue.waits(t.wish) || len(workers) > placesAsked && !c.board.empty() {
		return true
	}
	return !slices.ContainsFunc(workers, func(w *workerLink) bool { return w.free() > 0 })
}

// start finds a place for a busy session and starts the game there; if there is
// none the player waits.
func (c *Coordinator) start(ctx context.Context, s *session, t *ticket, r request, workers []*workerLink) {
	deadline := time.Now().Add(maxPlacing)
	start, _ := r.payload.(signal.Start)
	asked, tried := 0, 0
	for _, w := range workers {
		if asked == maxAsked || !time.Now().Before(deadline) || ctx.Err() != nil {
			break
		}
		if w.free() <= 0 {
			continue
		}
		asked++
		held, err := c.reserve(ctx, w, t)
		switch {
		case err == nil && !c.sessions.here(s):
			w.post(signal.TypeCancel, "", signal.Cancel{Ticket: t.id})
			c.sessions.drop(s)
			return
		case err == nil && start.SDP == "":
			c.sessions.hold(ctx, s, r.id, t, w, held)
			return
		case err == nil:
			err = c.open(ctx, s, w, t, r, min(requestTimeout, time.Until(deadline)))
			if err == nil {
				return
			}
			c.log.Info("worker did not start", "worker", w.id, "cause", err)
			tried++
		default:
			c.log.Debug("worker gives no place", "worker", w.id, "cause", err)
		}
		if tried == maxTried || tried > 0 && !mayPass(err) || signal.AsError(err).Code == signal.CodeBadRequest {
			c.fail(s, r.id, err)
			return
		}
		c.queue.rename(t)
	}
	c.wait(ctx, s, t, r.id)
}

// mayPass says whether what a worker had against a start need not hold for another.
func mayPass(err error) bool {
	switch signal.AsError(err).Code {
	case signal.CodeBadRequest, signal.CodeVersion, signal.CodeDenied, signal.CodeSignIn:
		return false
	}
	return true
}

// reserve asks a worker for a place. If there is no grant the ticket is taken
// back, as the worker may have given one that did not come in time.
func (c *Coordinator) reserve(ctx context.Context, w *workerLink, t *ticket) (signal.Reserved, error) {
	e, err := w.ask(ctx, signal.TypeReserve, "", signal.Reserve{Ticket: t.id, Game: t.game, Since: t.since}, w.sock.pace.reserve)
	var held signal.Reserved
	if err == nil {
		held, err = signal.Read[signal.Reserved](e)
	}
	if err == nil && (e.Type != signal.TypeReserved || held.Ticket != t.id) {
		err = signal.Errorf(signal.CodeFailed, "the worker answered %q for another ticket", e.Type)
	}
	if err != nil {
		w.post(signal.TypeCancel, "", signal.Cancel{Ticket: t.id})
		return held, err
	}
	c.stats.granted(time.Since(t.begun))
	return held, nil
}

// open starts the game at the worker that holds a place, and answers the page.
func (c *Coordinator) open(ctx context.Context, s *session, w *workerLink, t *ticket, r request, patience time.Duration) error {
	start, _ := r.payload.(signal.Start)
	start.Ticket = t.id
	r.payload = start
	answer, err := c.try(ctx, s, w, r, patience)
	if err == nil {
		err = c.registry.addRoom(w, answer.Room)
	}
	if err != nil {
		c.sessions.giveUp(s)
		w.post(signal.TypeCancel, "", signal.Cancel{Ticket: t.id})
		return err
	}
	c.sessions.finish(s, r.id, answer)
	return nil
}

// redeem starts the game for a page that was granted its place. If the worker
// cannot keep its word the player is in line again, where it was.
func (c *Coordinator) redeem(ctx context.Context, s *session, t *ticket, r request) {
	err := error(errWorkerGone())
	if w := c.registry.worker(t.worker.id); w != nil {
		err = c.open(ctx, s, w, t, r, requestTimeout)
	}
	if err == nil {
		return
	}
	switch signal.AsError(err).Code {
	case signal.CodeNoWorker, signal.CodeFull, signal.CodeDraining, signal.CodeBusy:
		c.queue.rename(t)
		c.wait(ctx, s, t, r.id)
	default:
		c.fail(s, r.id, err)
	}
}

// wait puts a busy session's player in line, which ends the request.
func (c *Coordinator) wait(ctx context.Context, s *session, t *ticket, id string) {
	if ctx.Err() != nil {
		c.fail(s, id, signal.Errorf(signal.CodeFailed, "the coordinator is stopping; try again"))
		return
	}
	if err := c.sessions.wait(ctx, s, id, t); err != nil {
		c.stats.refuse("queue")
	}
}

// wait gets a busy session in line and tells its page; if it is gone there is
// nobody to wait.
func (t *sessions) wait(ctx context.Context, s *session, id string, k *ticket) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var err error
	if s.sock != nil {
		s.waiting, s.game = k.since, k.game
		err = t.queue.enter(ctx, k, s.sock, id, t.token(s))
	}
	if err != nil {
		s.waiting, s.game = 0, ""
		s.sock.send(encode(signal.TypeError, id, "", signal.AsError(err)))
	}
	t.settle(s)
	return err
}

// hold keeps a place for the page of a busy session, which asked for no more.
func (t *sessions) hold(ctx context.Context, s *session, id string, k *ticket, w *workerLink, held signal.Reserved) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.sock != nil {
		t.queue.hold(ctx, k, s.sock, id, w, held)
	} else {
		w.post(signal.TypeCancel, "", signal.Cancel{Ticket: k.id})
	}
	t.settle(s)
}

// drop ends the request of a page that is gone.
func (t *sessions) drop(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle(s)
}

// dismiss tells a page that its ticket is gone, unless it has a new one.
func (t *sessions) dismiss(k *ticket, why *signal.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := k.owner
	if s.busy || t.queue.waiting(s) {
		return
	}
	s.waiting, s.game = 0, ""
	if s.sock != nil {
		s.sock.send(encode(signal.TypeError, "", "", why))
	}
}

// since is when a session began to wait for a game as its token said, 0 if it did not.
func (t *sessions) since(s *session, game string) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.game != game {
		return 0
	}
	return s.waiting
}

// renewed is a fresh token of a session.
func (t *sessions) renewed(s *session) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.token(s)
}
