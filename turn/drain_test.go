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
