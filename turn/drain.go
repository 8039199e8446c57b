package turn

import (
	"context"
	"time"

	"github.com/cloudretro/cloudretro/turn/relay"
)

// silence is for how long an allocation may carry nothing from its client before
// a drain waits for it no more. A path in use carries a check of consent every few
// seconds, and is dead after 30 s without (RFC 7675 5.1). But browsers keep
// allocations that no path uses, and those of a browser that has gone stay for up
// to ten minutes (RFC 8656 7.2).
const silence = time.Minute

// drainUntil refuses new allocations, has coordinators told so, and waits until
// the open ones have ended, the grace is over, or ctx ends.
func (g *Gate) drainUntil(ctx context.Context) {
	g.draining.Store(true)
	g.begin()
	defer g.drained.Store(true)
	g.awaitEmpty(ctx, g.current.Load().drainGrace)
}

// awaitEmpty waits until open allocations have ended or have carried nothing from
// their clients for a while, a grace is over, or ctx ends.
func (g *Gate) awaitEmpty(ctx context.Context, patience time.Duration) {
	open := g.quota.count()
	if open == 0 || patience <= 0 {
		return
	}
	g.log.Info("turn drains", "allocations", open, "grace", patience)
	grace := time.NewTimer(patience)
	defer grace.Stop()
	look := time.NewTicker(g.silence / 6)
	defer look.Stop()
	var known traffic
	for g.quota.count() > 0 {
		select {
		case <-g.emptied:
		case now := <-look.C:
			if known = known.next(g.carried(), now); known.busy(now, g.silence) == 0 {
				g.log.Info("turn has drained but for allocations that nobody uses", "allocations", g.quota.count(), "unused", g.silence)
				return
			}
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

// carried is how many packets each allocation has carried from its client.
func (g *Gate) carried() map[*allocation]uint64 {
	all := map[*allocation]uint64{}
	for _, d := range g.doors {
		d.mu.Lock()
		for _, a := range d.allocations {
			all[a] = a.Stats().Packets[relay.Up]
		}
		d.mu.Unlock()
	}
	return all
}

// traffic is what allocations had carried when they were last seen to carry more.
type traffic map[*allocation]use

type use struct {
	packets uint64
	at      time.Time
}

// next is the traffic as of another look. An allocation that is new to it has been
// used just now.
func (t traffic) next(carried map[*allocation]uint64, now time.Time) traffic {
	after := make(traffic, len(carried))
	for a, packets := range carried {
		before, known := t[a]
		if !known || before.packets != packets {
			before = use{packets, now}
		}
		after[a] = before
	}
	return after
}

// busy counts the allocations that have carried something of late.
func (t traffic) busy(now time.Time, late time.Duration) (n int) {
	for _, last := range t {
		if now.Sub(last.at) < late {
			n++
		}
	}
	return n
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
