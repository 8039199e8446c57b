package turn

import (
	"context"
	"testing"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// A gate that is told to end keeps what is open, refuses what is new, tells its
// coordinators, and is ready until the last relay has gone.
func TestDrain(t *testing.T) {
	worker := socket(t, "127.0.0.1:0")
	one := newCoordinator(t, secret)
	g, err := New(Config{
		Listeners: []Listener{{Protocol: UDP, Address: "127.0.0.1:0"}}, Secrets: []string{secret},
		Peers: []Peer{peerOf(worker)}, Coordinators: []string{one.URL}, DrainGrace: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	until(t, "joining", func() bool { return one.joined() == 1 })
	c := gate{g, cancel}.call(t, 0).minted("abc").allocate()
	if code := c.ask(stun.MethodChannelBind, channel(minChannel), xorPeer(peerOf(worker).addrPort())); code != 0 {
		t.Fatal(code)
	}
	cancel()
	until(t, "the drain", func() bool { return g.Stats().Draining })
	until(t, "the word to the coordinator", func() bool { return one.heard(signal.TypeDrain) })
	if code := (gate{g, cancel}).call(t, 0).minted("def").ask(stun.MethodAllocate, overUDP()); code != 508 {
		t.Errorf("a new relay is answered with %d", code)
	}
	c.carries(t, minChannel, worker)
	if code := c.ask(stun.MethodRefresh); code != 0 {
		t.Errorf("an open relay is refused its refresh: %d", code)
	}
	if err := g.Ready(); err != nil {
		t.Errorf("not ready with a relay open: %v", err)
	}
	c.end()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if g.Ready() == nil {
		t.Error("ready after the drain")
	}
}

// The grace bounds the drain.
func TestDrainGrace(t *testing.T) {
	g := start(t, func(c *Config) { c.DrainGrace = 50 * time.Millisecond })
	g.call(t, 0).minted("abc").allocate()
	g.stop() // returns, although the relay is open
	if n := g.Stats().Allocations; n != 0 {
		t.Errorf("%d relays are left", n)
	}
}

// A drain waits for relays that are in use, also those that were not for a while,
// and not for one that its client has forgotten.
func TestDrainUnused(t *testing.T) {
	for silence := 500 * time.Millisecond; silence < patient; silence *= 2 {
		if drainsUnused(t, silence) {
			return
		}
	}
	t.Fatal("the drain did not wait for a relay in use")
}

// drainsUnused answers false if the drain did not wait for a relay in use: the
// machine may have stood still for so long that it looked unused.
func drainsUnused(t *testing.T, silence time.Duration) bool {
	worker := socket(t, "127.0.0.1:0")
	g := start(t, func(c *Config) { c.DrainGrace, c.Peers = time.Hour, []Peer{peerOf(worker)} })
	g.Gate.silence = silence
	g.call(t, 0).minted("gone").allocate()
	c := g.call(t, 0).minted("abc").allocate()
	if code := c.ask(stun.MethodChannelBind, channel(minChannel), xorPeer(peerOf(worker).addrPort())); code != 0 {
		t.Fatal(code)
	}
	ended := make(chan struct{})
	go func() { g.stop(); close(ended) }()
	until(t, "the drain", func() bool { return g.Stats().Draining })
	begin := time.Now()
	for time.Since(begin) < 3*silence {
		c.send([]byte{minChannel >> 8, minChannel & 0xff, 0, 4, 'u', 's', 'e', 'd'})
		select {
		case <-ended:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	select {
	case <-ended:
	case <-time.After(patient):
		t.Fatal("the drain waits for relays that nobody uses")
	}
	return true
}

func TestTraffic(t *testing.T) {
	one, two, three := &allocation{}, &allocation{}, &allocation{}
	begin := time.Now()
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	var seen traffic
	for _, look := range []struct {
		second  int
		carried map[*allocation]uint64
		busy    int
	}{
		{0, map[*allocation]uint64{one: 0, two: 7}, 2}, // what is new counts as used
		{30, map[*allocation]uint64{one: 0, two: 8}, 2},
		{60, map[*allocation]uint64{one: 0, two: 8, three: 0}, 2},
		{89, map[*allocation]uint64{one: 0, two: 8, three: 1}, 2},
		{90, map[*allocation]uint64{one: 1, two: 8, three: 1}, 2}, // used again
		{140, map[*allocation]uint64{one: 1, three: 1}, 2},        // one has ended
		{150, map[*allocation]uint64{one: 1, three: 1}, 0},
		{151, nil, 0},
	} {
		seen = seen.next(look.carried, at(look.second))
		if n := seen.busy(at(look.second), time.Minute); n != look.busy {
			t.Errorf("after %d s %d are used, want %d", look.second, n, look.busy)
		}
	}
}
