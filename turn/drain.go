package turn

import (
	"context"
	"time"
)

// drainUntil refuses new allocations, has coordinators told so, and waits until
// the open ones have ended, the grace is over, or ctx ends.
func (g *Gate) drainUntil(ctx context.Context) {
	g.draining.Store(true)
	g.begin()
	defer g.drained.Store(true)
	g.awaitEmpty(ctx, g.current.Load().drainGrace)
}

// awaitEmpty waits until open allocations have ended, a grace is over, or ctx
// ends.
func (g *Gate) awaitEmpty(ctx context.Context, patience time.Duration) {
	open := g.quota.count()
	if open == 0 || patience <= 0 {
		return
	}
	g.log.Info("turn drains", "allocations", open, "grace", patience)
	grace := time.NewTimer(patience)
	defer grace.Stop()
	for g.quota.count() > 0 {
		select {
		case <-g.emptied:
		case <-grace.C:
			g.log.Warn("drain grace is over", "allocations", g.quota.count())
			return
		case <-ctx.Done():
			return
		}
	}
	pause(ctx, lastWord)
	g.log.Info("turn has drained")
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// lastWord is the time that a drained gate has for the answer to the request
// which ended the last allocation: pion sends it after that end.
const lastWord = 100 * time.Millisecond

// release counts an allocation out.
func (g *Gate) release(a *allocation) {
	g.quota.release(a.who, a.client.Addr())
	if g.quota.count() == 0 {
		select {
		case g.emptied <- struct{}{}:
		default: // it is known
		}
	}
}
