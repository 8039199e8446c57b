package turn

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/uplink"
)

// listGrace is how long the list of a coordinator that is gone stays in force,
// and how long another one must have been joined to be trusted to know all
// workers: those that lost a coordinator need a moment to be back.
const listGrace = time.Minute

// maxLost bounds the lists of coordinators that are gone: one that ends again
// and again has another id each time. The oldest goes first.
const maxLost = 16

// gather is the time for which further changes are taken together: a thousand
// workers join a coordinator that has just started within a second.
const gather = 50 * time.Millisecond

// coordinators is the Source that all coordinators are together: a worker is
// live if any of them lists it. Towards them the gate announces its URLs, and
// its end.
//
// Games outlive coordinators. So the list of one that is gone stays in force
// for listGrace, and longer while no other is there that has been for as long.
type coordinators struct {
	gate    *Gate
	keeper  *uplink.Keeper
	grace   time.Duration
	changed chan struct{} // capacity 1

	mu    sync.Mutex
	lists map[string]*workerList // by coordinator
}

var _ Source = (*coordinators)(nil)

// workerList is what one coordinator said last.
type workerList struct {
	addrs []netip.AddrPort
	since time.Time // it has been joined
	lost  time.Time // zero while it is joined
}

// newCoordinators makes the source of the coordinators at these addresses.
func newCoordinators(g *Gate, addresses []string) (*coordinators, error) {
	found, err := discovery.New(addresses, g.log)
	if err != nil {
		return nil, fmt.Errorf("turn: %w", err)
	}
	c := &coordinators{gate: g, grace: listGrace, changed: make(chan struct{}, 1), lists: map[string]*workerList{}}
	c.keeper = uplink.New(uplink.Role{
		Path: "/ws/turn", Introduce: c.introduce, Joined: c.joined, Message: c.take, Left: c.left, Logger: g.log,
	}, found)
	return c, nil
}

// String is part of Source.
func (c *coordinators) String() string { return "coordinators" }

// Watch is part of Source.
func (c *coordinators) Watch(ctx context.Context, update func([]netip.AddrPort)) {
	var group sync.WaitGroup
	group.Go(func() { _ = c.keeper.Run(ctx) }) // its error is always nil
	group.Go(func() { c.publish(ctx, update) })
	group.Wait()
}

// introduce proves one of the secrets; if a coordinator refuses it, the next is
// tried.
func (c *coordinators) introduce(challenge signal.Challenge, attempt int) (signal.Type, any) {
	g := c.gate
	secrets := g.keyring.now.Load().secrets
	secret := secrets[attempt%len(secrets)]
	return signal.TypeGate, signal.Gate{
		ID: g.id, MAC: signal.MAC(secret, challenge.Nonce, signal.RoleGate, g.id), URLs: g.urls,
	}
}

func (c *coordinators) joined(l *uplink.Link, _ signal.Accepted) {
	c.mu.Lock()
	list := c.lists[l.Coordinator()]
	if list == nil {
		list = &workerList{}
		c.lists[l.Coordinator()] = list
	}
	list.since, list.lost = time.Now(), time.Time{}
	c.mu.Unlock()
	if c.gate.drain.Err() != nil {
		l.Announce("drain", drains)
	}
}

func (c *coordinators) left(l *uplink.Link) {
	c.mu.Lock()
	c.lists[l.Coordinator()].lost = time.Now()
	c.boundLost()
	c.mu.Unlock()
	c.note()
}

// boundLost drops the list that was lost first if there are too many.
func (c *coordinators) boundLost() {
	n, oldest := 0, ""
	for id, list := range c.lists {
		if list.lost.IsZero() {
			continue
		}
		n++
		if oldest == "" || list.lost.Before(c.lists[oldest].lost) {
			oldest = id
		}
	}
	if n > maxLost {
		delete(c.lists, oldest)
	}
}

// take is what coordinators say. A newer one may say more than we know.
func (c *coordinators) take(l *uplink.Link, e signal.Envelope) error {
	if e.Type != signal.TypePeers {
		return nil
	}
	peers, err := signal.Read[signal.Peers](e)
	if err != nil {
		return err
	}
	addrs := parseAddrs(peers.Addrs)
	c.mu.Lock()
	c.lists[l.Coordinator()].addrs = addrs
	c.mu.Unlock()
	c.note()
	return nil
}

// note wakes publish.
func (c *coordinators) note() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func drains() (signal.Type, any) { return signal.TypeDrain, nil }

// publish passes the union on when it changed, and the gate's drain to the
// coordinators, until ctx ends.
func (c *coordinators) publish(ctx context.Context, update func([]netip.AddrPort)) {
	var last []netip.AddrPort
	drain := c.gate.drain.Done()
	for ctx.Err() == nil {
		all, over := c.union(time.Now())
		if !slices.Equal(all, last) {
			update(all)
			last = all
			pause(ctx, gather)
		}
		timer := time.NewTimer(over)
		select {
		case <-c.changed:
		case <-timer.C:
		case <-drain:
			c.keeper.Announce("drain", drains)
			drain = nil
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// union is the addresses of all lists, sorted, without those that are over.
// The next is looked at again after over.
func (c *coordinators) union(now time.Time) (all []netip.AddrPort, over time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, trusted := c.trusted()
	over = time.Hour
	for id, list := range c.lists {
		if !list.lost.IsZero() && known {
			end := list.lost.Add(c.grace)
			if trusted.After(end) {
				end = trusted
			}
			if !now.Before(end) {
				delete(c.lists, id)
				continue
			}
			over = min(over, end.Sub(now))
		}
		all = append(all, list.addrs...)
	}
	slices.SortFunc(all, func(a, b netip.AddrPort) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Port(), b.Port()))
	})
	return slices.Compact(all), over
}

// trusted is when one of those that are joined has been for long enough to know
// all workers; none is known if none is joined.
func (c *coordinators) trusted() (known bool, when time.Time) {
	for _, list := range c.lists {
		if at := list.since.Add(c.grace); list.lost.IsZero() && (!known || at.Before(when)) {
			known, when = true, at
		}
	}
	return known, when
}

// parseAddrs reads what signal.Peers has validated.
func parseAddrs(list []string) []netip.AddrPort {
	addrs := make([]netip.AddrPort, 0, len(list))
	for _, s := range list {
		if a, err := netip.ParseAddrPort(s); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}
