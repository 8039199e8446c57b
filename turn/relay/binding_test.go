package relay

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestExpiry(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	c := dial(t, l).allocate(t)
	worker := peer(t, "127.0.0.1:0")
	address := addrOf(worker.LocalAddr())
	exchange(t, c, worker)
	dropped := func() uint64 { return l.Stats().Dropped[DropUnbound] }

	g.clock.advance(permissionLifetime - time.Second)
	exchange(t, c, worker) // which binds again, and so refreshes
	g.clock.advance(permissionLifetime - time.Second)
	c.send(t, 0x4001, []byte("x"))
	receiveOne(t, worker)
	g.clock.advance(2 * time.Second)
	c.send(t, 0x4001, []byte("x"))
	eventually(t, "the permission has expired", func() bool { return dropped() == 1 })
	// pion/turn would go by the channel alone.
	if _, err := worker.WriteToUDPAddrPort([]byte("x"), c.relayed); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has expired for the way down, too", func() bool { return dropped() == 2 })

	// CreatePermission refreshes the permission, with any port, but not the channel.
	c.permit(t, netip.AddrPortFrom(address.Addr(), 9))
	c.send(t, 0x4001, []byte("x"))
	receiveOne(t, worker)
	g.clock.advance(permissionLifetime - 2*time.Second)
	c.permit(t, address)
	c.send(t, 0x4001, []byte("x"))
	receiveOne(t, worker)
	g.clock.advance(2 * time.Second)
	c.send(t, 0x4001, []byte("x"))
	eventually(t, "the channel has expired", func() bool { return dropped() == 3 })
	// Down, pion's own timers still hold the channel.
	exchange(t, c, worker)
}

// TestPermissionOfAddress binds one channel anew, which is a permission for the
// whole address: other channels to it go on.
func TestPermissionOfAddress(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	c := dial(t, l).allocate(t)
	one, two := peer(t, "127.0.0.1:0"), peer(t, "127.0.0.1:0")
	c.bind(t, 0x4001, addrOf(one.LocalAddr()))
	c.bind(t, 0x4002, addrOf(two.LocalAddr()))
	g.clock.advance(permissionLifetime - time.Second)
	c.bind(t, 0x4001, addrOf(one.LocalAddr()))
	g.clock.advance(2 * time.Second)
	c.send(t, 0x4002, []byte("to two"))
	if p, _ := receiveOne(t, two); string(p) != "to two" {
		t.Errorf("two got %q", p)
	}
}

// TestRebinding binds a channel again to another peer, which pion/turn allows
// when its own timer has run out; so learn is told instead of waiting for that.
func TestRebinding(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	c := dial(t, l).allocate(t)
	a := <-g.opened
	one, two := peer(t, "127.0.0.1:0"), peer(t, "127.0.0.1:0")
	exchange(t, c, one)
	a.bind(0x4001, endpointOf(addrOf(two.LocalAddr())))
	c.send(t, 0x4001, []byte("to two"))
	if p, _ := receiveOne(t, two); string(p) != "to two" {
		t.Errorf("two got %q", p)
	}
	a.bind(0x4005, endpointOf(addrOf(two.LocalAddr()))) // the peer has another channel now
	if _, err := two.WriteToUDPAddrPort([]byte("from two"), c.relayed); err != nil {
		t.Fatal(err)
	}
	if channel, p := c.receiveData(t); channel != 0x4005 || string(p) != "from two" {
		t.Errorf("channel %#x, %q", channel, p)
	}
	if n := l.bindings.len(); n != 1 {
		t.Errorf("%d bindings, want the last one", n)
	}
	for i := range 2 * maxBindings {
		a.bind(0x5000+uint16(i), endpointOf(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), uint16(i+1))))
	}
	if n := l.bindings.len(); n != maxBindings || len(*a.bindings.Load()) != maxBindings {
		t.Errorf("%d bindings, want %d", n, maxBindings)
	}
	g.clock.advance(channelLifetime)
	a.bind(0x6000, endpointOf(addrOf(one.LocalAddr())))
	if n := l.bindings.len(); n != 1 {
		t.Errorf("%d bindings, want the one that has not expired", n)
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, g *gate, c *client, a *Allocation){
		"refresh": func(t *testing.T, _ *gate, c *client, _ *Allocation) { c.refresh(t, 0) },
		"close": func(t *testing.T, _ *gate, _ *client, a *Allocation) {
			for range 2 {
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			}
		},
		"relay": func(_ *testing.T, g *gate, _ *client, _ *Allocation) { g.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			l := g.udp(t, "127.0.0.1:0")
			c := dial(t, l).allocate(t)
			a := <-g.opened
			for i := range uint16(10) {
				c.bind(t, 0x4000+i, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 1000+i))
			}
			if n := l.bindings.len(); n != 10 {
				t.Fatalf("%d bindings, want 10", n)
			}
			end(t, g, c, a)
			eventually(t, "nothing is left", func() bool {
				return l.bindings.len() == 0 && l.Stats().Allocations == 0
			})
			if _, _, err := a.ReadFrom(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("ReadFrom of a closed allocation: %v", err)
			}
			a.bind(0x4000, endpoint{port: 1})
			if l.bindings.len() != 0 {
				t.Error("a closed allocation took a binding")
			}
			g.relay.mu.Lock()
			defer g.relay.mu.Unlock()
			if len(g.relay.allocations) != 0 {
				t.Errorf("%d allocations are left", len(g.relay.allocations))
			}
		})
	}
}
