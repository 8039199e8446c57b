package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// life is how a worker comes and goes.
type life struct {
	joined atomic.Bool // once
	over   atomic.Bool // the last session has ended
}

var (
	errAlone = errors.New("has joined no coordinator")
	errOver  = errors.New("has ended its games")
)

// Ready is an error until the first coordinator has accepted the worker, which it
// joins with its library looked at, and after the last session has ended. In
// between it is nil, though all coordinators be away: games go on, and a Service
// of Kubernetes cuts the UDP flows of an endpoint that is not ready. It may be
// called at any time.
func (w *Worker) Ready() error {
	switch {
	case w.life.over.Load():
		return errOver
	case !w.life.joined.Load():
		return errAlone
	}
	return nil
}

// Alive returns when every lock that requests need was free once: a worker that
// does not answer soon hangs. It may be called at any time.
func (w *Worker) Alive() {
	w.rooms.counts()
	w.sessions.len()
	w.keeper.Links()
}

// untilDrained returns when ctx has ended and no room is left or the time for it
// is over, or when inner ends. Who plays, and friends who come to them, are not
// disturbed meanwhile. This is where rooms would move to other workers.
func (w *Worker) untilDrained(ctx, inner context.Context) {
	select {
	case <-ctx.Done():
	case <-inner.Done():
		return
	}
	w.rooms.retire()
	grace := w.now().drainGrace
	if n := w.rooms.len(); n == 0 || grace <= 0 {
		return
	}
	w.log.Info("worker drains", "rooms", w.rooms.len(), "sessions", w.sessions.len(), "grace", grace)
	w.untilEmpty(inner, time.Now().Add(grace))
	if n := w.rooms.len(); n > 0 {
		w.log.Warn("drain grace is over", "rooms", n, "sessions", w.sessions.len())
		return
	}
	w.log.Info("worker has drained")
}

// lastCall is how long before the end players hear of it once more.
const lastCall = time.Minute

// untilEmpty returns when no room is left, at end, or when ctx ends. Players are
// told how long they have, at once and shortly before.
func (w *Worker) untilEmpty(ctx context.Context, end time.Time) {
	for _, until := range []time.Time{end.Add(-lastCall), end} {
		if until.Before(time.Now()) {
			continue
		}
		for _, r := range w.rooms.running() {
			r.EndsBy(end)
		}
		waiting, cancel := context.WithDeadline(ctx, until)
		w.rooms.empty(waiting)
		cancel()
	}
}
