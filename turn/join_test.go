package turn

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// A worker is live if any coordinator lists it; what a coordinator said last
// holds for a while after it has gone.
func TestUnionOfLists(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	a, b := addrs("10.0.0.1:1", "10.0.0.2:1"), addrs("10.0.0.2:1", "10.0.0.3:1")
	both := addrs("10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1")
	old, young := ago(time.Hour), ago(listGrace/3)
	tests := map[string]struct {
		lists map[string]*workerList
		want  []netip.AddrPort
		over  time.Duration
		kept  int
	}{
		"nobody":               {nil, nil, time.Hour, 0},
		"two are joined":       {map[string]*workerList{"a": {addrs: a, since: old}, "b": {addrs: b, since: young}}, both, time.Hour, 2},
		"one has just gone":    {map[string]*workerList{"a": {addrs: a, since: old, lost: now}, "b": {addrs: b, since: old}}, both, listGrace, 2},
		"one has long gone":    {map[string]*workerList{"a": {addrs: a, since: old, lost: ago(listGrace)}, "b": {addrs: b, since: old}}, b, time.Hour, 1},
		"all have long gone":   {map[string]*workerList{"a": {addrs: a, since: old, lost: ago(listGrace)}, "b": {addrs: b, since: old, lost: ago(listGrace)}}, both, time.Hour, 2},
		"it came back anew":    {map[string]*workerList{"a": {addrs: a, since: old, lost: ago(listGrace)}, "b": {since: young}}, a, listGrace - listGrace/3, 2},
		"it is back for long":  {map[string]*workerList{"a": {addrs: a, since: old, lost: ago(2 * listGrace)}, "b": {since: ago(listGrace)}}, nil, time.Hour, 1},
		"the older one counts": {map[string]*workerList{"a": {addrs: a, lost: ago(listGrace / 2)}, "b": {since: young}, "c": {since: old}}, a, listGrace / 2, 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := &coordinators{grace: listGrace, lists: test.lists}
			got, over := c.union(now)
			if !slices.Equal(got, test.want) || over != test.over || len(c.lists) != test.kept {
				t.Errorf("union = %v for %v with %d lists, want %v for %v with %d", got, over, len(c.lists), test.want, test.over, test.kept)
			}
		})
	}
}

// A coordinator that ends again and again does not fill the memory.
func TestLostListsAreBounded(t *testing.T) {
	now := time.Now()
	c := &coordinators{lists: map[string]*workerList{"live": {since: now.Add(-time.Hour)}}}
	for i := range 3 * maxLost {
		c.lists[fmt.Sprint(i)] = &workerList{lost: now.Add(time.Duration(i) * time.Second)}
		c.boundLost()
	}
	if len(c.lists) != maxLost+1 || c.lists["live"] == nil || c.lists[fmt.Sprint(3*maxLost-1)] == nil || c.lists["0"] != nil {
		t.Errorf("%d lists are kept, or the wrong ones", len(c.lists))
	}
}

// The gate is at all coordinators; its workers are those of any.
func TestJoinsEveryCoordinator(t *testing.T) {
	one, two := newCoordinator(t, secret, "127.0.0.1:1001", "127.0.0.1:1002"), newCoordinator(t, secret, "127.0.0.1:1002", "127.0.0.1:1003")
	g := start(t, func(c *Config) { c.Coordinators = []string{one.URL, two.URL} })
	until(t, "the union", func() bool { return g.Stats().Peers == 3 })
	worker := netip.MustParseAddrPort("127.0.0.1:1001")
	one.close()
	until(t, "the loss", func() bool { return len(g.joinedCoordinators()) == 1 })
	if !g.admission.Allows(loopbackClient(), worker) {
		t.Error("a worker is closed because its coordinator died")
	}
	two.push("127.0.0.1:1003", "127.0.0.1:1004")
	until(t, "the other's news", func() bool { return g.admission.Allows(loopbackClient(), netip.MustParseAddrPort("127.0.0.1:1004")) })
	if !g.admission.Allows(loopbackClient(), worker) {
		t.Error("a worker is closed by another coordinator's news")
	}
	two.push("not an address")
	until(t, "the refusal", func() bool { return two.heard(signal.TypeError) })
	if n := g.Stats().Peers; n != 4 {
		t.Errorf("%d peers after a bad list", n)
	}
}

// joinedCoordinators are the ids of those that are joined.
func (g gate) joinedCoordinators() (ids []string) {
	c := g.sources[len(g.sources)-1].(*coordinators)
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, list := range c.lists {
		if list.lost.IsZero() {
			ids = append(ids, id)
		}
	}
	return ids
}

// When the grace is over, what only a lost coordinator listed is closed.
func TestLostListEnds(t *testing.T) {
	one, two := newCoordinator(t, secret, "127.0.0.1:1001"), newCoordinator(t, secret, "127.0.0.1:1002")
	g, err := New(Config{
		Listeners: []Listener{{Protocol: UDP, Address: "127.0.0.1:0"}}, Secrets: []string{secret},
		Coordinators: []string{one.URL, two.URL}, Logger: logOf(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	g.sources[0].(*coordinators).grace = 100 * time.Millisecond
	stop := run(t, g)
	defer stop()
	until(t, "the union", func() bool { return g.Stats().Peers == 2 })
	one.close()
	until(t, "the end of its list", func() bool { return g.Stats().Peers == 1 })
	if !g.admission.Allows(loopbackClient(), netip.MustParseAddrPort("127.0.0.1:1002")) {
		t.Error("the wrong one is gone")
	}
}

// A coordinator that is joined during the drain hears of it, too.
func TestDrainIsToldToLateCoordinators(t *testing.T) {
	one := newCoordinator(t, secret)
	g := start(t, func(c *Config) { c.Coordinators, c.DrainGrace = []string{one.URL}, time.Hour })
	until(t, "joining", func() bool { return one.joined() == 1 })
	g.begin()
	until(t, "the word", func() bool { return one.heard(signal.TypeDrain) })
	one.forget()
	one.drop()
	until(t, "joining again", func() bool { return one.joined() == 2 })
	until(t, "the word again", func() bool { return one.heard(signal.TypeDrain) })
}

// Many changes within a moment are few updates, and the last one counts.
func TestManyListsAreGathered(t *testing.T) {
	one := newCoordinator(t, secret)
	g, err := New(Config{
		Listeners: []Listener{{Protocol: UDP, Address: "127.0.0.1:0"}}, Secrets: []string{secret}, Coordinators: []string{one.URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	const changes = 300
	updates := 0
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		g.sources[0].Watch(ctx, func(addrs []netip.AddrPort) {
			if updates++; len(addrs) == changes {
				cancel()
			}
		})
	})
	until(t, "joining", func() bool { return one.joined() == 1 })
	var peers []string
	for i := range changes {
		peers = append(peers, fmt.Sprintf("10.0.0.1:%d", i+1))
		one.push(peers...)
	}
	group.Wait()
	if updates > changes/4 {
		t.Errorf("%d updates for %d changes", updates, changes)
	}
}
