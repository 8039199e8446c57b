package turn

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/turn/gateway"
)

// base is what a gate of start takes again.
func base(change func(*Config)) Config {
	cfg := Config{Secrets: []string{secret}}
	change(&cfg)
	return cfg
}

func TestReconfigureRefuses(t *testing.T) {
	g := start(t, nil)
	before := g.current.Load()
	tests := map[string]Config{
		"no secret":    {},
		"empty secret": {Secrets: []string{""}},
		"user":         {Secrets: []string{secret}, Users: []User{{"a:b", "p"}}},
		"bandwidth":    {Secrets: []string{"new"}, MaxBandwidth: 1},
	}
	for name, next := range tests {
		if err := g.Reconfigure(next); err == nil || g.current.Load() != before {
			t.Errorf("%s: taken (%v)", name, err)
		}
	}
	g.call(t, 0).minted("abc").allocate().end() // with the secret of before
}

// Limits that are taken hold for what is opened from then on; what is open stays.
func TestReconfigureLimits(t *testing.T) {
	g := start(t, nil)
	open := g.call(t, 0).minted("abc").allocate()
	if err := g.Reconfigure(base(func(c *Config) { c.MaxAllocations = 1 })); err != nil {
		t.Fatal(err)
	}
	if code := g.call(t, 0).minted("def").ask(stun.MethodAllocate, overUDP()); code != 508 {
		t.Errorf("one too many is answered with %d", code)
	}
	if code := open.ask(stun.MethodRefresh); code != 0 {
		t.Errorf("what was open is refused: %d", code)
	}
	if err := g.Reconfigure(base(func(c *Config) { c.MaxPerUser = 1 })); err != nil {
		t.Fatal(err)
	}
	second := g.call(t, 0).minted("def").allocate()
	if code := g.call(t, 0).minted("def").ask(stun.MethodAllocate, overUDP()); code != 486 {
		t.Errorf("a second one of a player is answered with %d", code)
	}
	second.end()
	if err := g.Reconfigure(base(func(c *Config) { c.MaxPerAddress = 1 })); err != nil {
		t.Fatal(err)
	}
	if code := g.call(t, 0).minted("ghi").ask(stun.MethodAllocate, overUDP()); code != 486 {
		t.Errorf("a second one of an address is answered with %d", code)
	}
	open.end()
	g.call(t, 0).minted("ghi").allocate().end()
}

// Peers come and go, users too, and the grace is that of the end.
func TestReconfigurePeers(t *testing.T) {
	worker := socket(t, "127.0.0.1:0")
	g := start(t, func(c *Config) { c.DrainGrace = time.Hour })
	c := g.call(t, 0).minted("abc").allocate()
	if code := c.ask(stun.MethodChannelBind, channel(minChannel), xorPeer(peerOf(worker).addrPort())); code != 403 {
		t.Errorf("a stranger as peer is answered with %d", code)
	}
	if err := g.Reconfigure(base(func(c *Config) {
		c.Peers, c.Users, c.DrainGrace = []Peer{peerOf(worker)}, []User{{"user-1", "pass-1"}}, time.Millisecond
	})); err != nil {
		t.Fatal(err)
	}
	if code := c.ask(stun.MethodChannelBind, channel(minChannel), xorPeer(peerOf(worker).addrPort())); code != 0 {
		t.Errorf("the new peer is answered with %d", code)
	}
	c.carries(t, minChannel, worker)
	g.call(t, 0).as("user-1", "pass-1").allocate().end()
	g.stop() // returns though a relay is open: the hour is no more
}

// The gates of a fleet take limits too.
func TestFleetReconfigure(t *testing.T) {
	f := NewFleet(Config{Logger: logOf(t), MaxAllocations: 1})
	t.Cleanup(func() { _ = f.Close() })
	if err := f.Reconfigure(Config{MaxBandwidth: 1}); err == nil {
		t.Error("a bandwidth of nothing is taken")
	}
	free, err := net.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.LocalAddr().(*net.UDPAddr).Port
	_ = free.Close()
	l := gateway.Listener{ID: "l", Protocol: UDP, Port: uint16(port), Realm: "r", Secrets: []string{secret}}
	if failed := f.Apply(t.Context(), []gateway.Listener{l}); len(failed) > 0 {
		t.Fatal(failed)
	}
	if err := f.Reconfigure(Config{MaxAllocations: 7, DrainGrace: time.Hour}); err != nil {
		t.Fatal(err)
	}
	g := f.members[0].gate
	if g.quota.max != 7 || g.current.Load().drainGrace != 0 || f.base.DrainGrace != time.Hour || f.base.MaxAllocations != 7 {
		t.Errorf("a gate has %d and %v, the fleet %+v", g.quota.max, g.current.Load().drainGrace, f.base)
	}
}

// A lock that is not given back is noticed, whichever it is.
func TestAliveNeedsEveryLock(t *testing.T) {
	g := start(t, nil)
	g.Alive()
	for name, lock := range map[string]sync.Locker{
		"quota": &g.quota.mu, "admission": &g.admission.mu, "held": &g.admission.heldMu, "door": &g.doors[0].mu,
	} {
		lock.Lock()
		done := make(chan struct{})
		go func() {
			g.Alive()
			close(done)
		}()
		select {
		case <-done:
			t.Errorf("alive though the lock of %s is held", name)
		case <-time.After(60 * time.Millisecond):
		}
		lock.Unlock()
		<-done
	}
}
