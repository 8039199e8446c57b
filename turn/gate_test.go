package turn

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/turn/credential"
	"github.com/cloudretro/cloudretro/turn/relay"
)

// roundTrip sends from the relayed socket to a peer and back.
func roundTrip(t *testing.T, relayed net.PacketConn, peer *net.UDPConn) {
	t.Helper()
	buf := make([]byte, 1500)
	if _, err := relayed.WriteTo([]byte("ping"), peer.LocalAddr()); err != nil {
		t.Fatalf("to the peer: %v", err)
	}
	_ = peer.SetReadDeadline(time.Now().Add(patient))
	n, from, err := peer.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "ping" {
		t.Fatalf("at the peer: %q, %v", buf[:n], err)
	}
	if _, err := peer.WriteTo([]byte("pong"), from); err != nil {
		t.Fatal(err)
	}
	_ = relayed.SetReadDeadline(time.Now().Add(patient))
	n, from, err = relayed.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "pong" || from.String() != peer.LocalAddr().String() {
		t.Fatalf("back at the client: %q from %v, %v", buf[:n], from, err)
	}
}

func TestRelaysToAllowedPeerOnly(t *testing.T) {
	peer, other, metadata := socket(t, "127.0.0.1:0"), socket(t, "127.0.0.1:0"), "169.254.169.254:80"
	g := start(t, func(c *Config) { c.Peers = []Peer{peerOf(peer)} })
	relayed, err := g.good(t, "abc").Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer relayed.Close()
	roundTrip(t, relayed, peer)

	// The same IP has a permission, the other port must still get nothing ...
	if _, err := relayed.WriteTo([]byte("no"), other.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	until(t, "the drop of data to another port", func() bool { return g.Stats().Refused(RefusedPeer) >= 1 })
	// ... and say nothing.
	at := relayed.LocalAddr()
	if _, err := other.WriteTo([]byte("no"), at); err != nil {
		t.Fatal(err)
	}
	until(t, "the drop of data from another port", func() bool { return g.Stats().Listeners[0].Relay.Dropped[relay.DropPeer] == 1 })
	_ = other.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, _, err := other.ReadFrom(make([]byte, 9)); err == nil {
		t.Errorf("the other port received %d bytes", n)
	}

	// Another IP gets no permission at all.
	to, _ := net.ResolveUDPAddr("udp4", metadata)
	if _, err := relayed.WriteTo([]byte("no"), to); err == nil {
		t.Error("the metadata address got a permission")
	}
	if g.Stats().Refused(RefusedPeer) < 2 {
		t.Error("the refused permission is not counted")
	}
	roundTrip(t, relayed, peer)
}

func TestRelayAddressReachesLoopbackAndInterfaces(t *testing.T) {
	peer := socket(t, "0.0.0.0:0") // as a worker listens
	port := peer.LocalAddr().(*net.UDPAddr).Port
	g := start(t, func(c *Config) {
		c.Listeners[0].Address = ":0"
		c.Peers = everyInterface(t, uint16(port))
	})
	relayed, err := g.client4(t).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer relayed.Close()
	if ip := relayed.LocalAddr().(*net.UDPAddr).IP; !ip.Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("a client on loopback is told %s", ip)
	}
	for _, p := range everyInterface(t, uint16(port)) {
		to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.Prefix.Addr(), p.Port))
		if _, err := relayed.WriteTo([]byte("ping"), to); err != nil {
			t.Fatalf("to %s: %v", to, err)
		}
		_ = peer.SetReadDeadline(time.Now().Add(patient))
		if _, _, err := peer.ReadFrom(make([]byte, 9)); err != nil {
			t.Errorf("by way of %s: %v", to, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	peer := socket(t, "127.0.0.1:0")
	g := start(t, func(c *Config) {
		c.Secrets = []string{"new", secret}
		c.Peers = []Peer{peerOf(peer)}
	})
	mint := func(secret string, ttl time.Duration) [2]string {
		u, p, err := credential.Mint(secret, "abc", ttl, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return [2]string{u, p}
	}
	for name, test := range map[string]struct {
		cred [2]string
		why  Refusal // passed = accepted
	}{
		"newest secret": {mint("new", time.Hour), passed},
		"older secret":  {mint(secret, time.Hour), passed},
		"other secret":  {mint("other", time.Hour), RefusedSecret},
		"expired":       {mint("new", -time.Second), RefusedExpired},
		"no expiry":     {[2]string{"admin", "admin"}, RefusedUser},
		"long name":     {[2]string{"9999999999:" + strings.Repeat("x", 300), "p"}, RefusedUser},
	} {
		t.Run(name, func(t *testing.T) {
			relayed, err := g.client(t, test.cred[0], test.cred[1]).Allocate()
			if test.why == passed {
				if err != nil {
					t.Fatal(err)
				}
				roundTrip(t, relayed, peer)
				relayed.Close()
				return
			}
			if err == nil {
				relayed.Close()
				t.Fatal("an allocation was made")
			}
			if g.Stats().Refused(test.why) == 0 {
				t.Errorf("not counted: %+v", g.Stats())
			}
		})
	}
	until(t, "the end of all allocations", func() bool { return g.Stats().Allocations == 0 })
}

// A game must not end because the credential does.
func TestExpiredCredentialKeepsItsAllocation(t *testing.T) {
	peer := socket(t, "127.0.0.1:0")
	g := start(t, func(c *Config) { c.Peers = []Peer{peerOf(peer)} })
	var username, password string
	var relayed net.PacketConn
	for life := 2 * time.Second; relayed == nil; life *= 2 { // a busy machine may be too late for a short one
		var err error
		if username, password, err = credential.Mint(secret, "abc", life, time.Now()); err != nil {
			t.Fatal(err)
		}
		if relayed, err = g.client(t, username, password).Allocate(); err != nil && life > patient/4 {
			t.Fatal(err)
		}
	}
	defer relayed.Close()
	refused := g.Stats().Refused(RefusedExpired)
	u, _ := credential.Parse(username)
	until(t, "the expiry", func() bool { return u.Expired(time.Now()) })
	roundTrip(t, relayed, peer) // needs a new permission and a channel binding
	if _, err := g.client(t, username, password).Allocate(); err == nil {
		t.Error("another allocation was made")
	}
	if n := g.Stats().Refused(RefusedExpired); n != refused+1 {
		t.Errorf("%d refusals are counted", n-refused)
	}
}

func TestQuota(t *testing.T) {
	g := start(t, func(c *Config) { c.MaxPerUser, c.MaxAllocations = 2, 3 })
	allocate := func(session string) (net.PacketConn, error) { return g.good(t, session).Allocate() }
	var open []net.PacketConn
	for _, session := range []string{"a", "a", "b"} {
		relayed, err := allocate(session)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, relayed)
	}
	for _, session := range []string{"a", "c"} {
		if relayed, err := allocate(session); err == nil {
			relayed.Close()
			t.Errorf("%s has one too many", session)
		}
	}
	if n := g.Stats().Refused(RefusedUserQuota); n != 1 || g.Stats().Refused(RefusedCapacity) != 1 {
		t.Errorf("%d refusals are counted", n)
	}
	open[0].Close()
	until(t, "the release", func() bool { return g.Stats().Allocations == 2 })
	relayed, err := allocate("c")
	if err != nil {
		t.Fatalf("after one was closed: %v", err)
	}
	for _, r := range append(open[1:], relayed) {
		r.Close()
	}
}

func TestLearnsPeersFromCoordinators(t *testing.T) {
	peer := socket(t, "127.0.0.1:0")
	one := newCoordinator(t, secret)
	g := start(t, func(c *Config) {
		c.Coordinators = []string{one.URL, strings.TrimPrefix(one.URL, "http://") + "/x"}
	})
	until(t, "joining", func() bool { return one.joined() == 1 })
	one.mu.Lock()
	gate := one.gates[0]
	one.mu.Unlock()
	if err := gate.Validate(); err != nil || gate.URLs[0] != g.URLs()[0] {
		t.Errorf("announced as %+v, %v", gate, err)
	}
	if g.admission.Allows(loopbackClient(), loopbackClient()) {
		t.Error("loopback is relayed to before it is listed")
	}
	one.push(peer.LocalAddr().String())
	until(t, "the peer", func() bool { return g.Stats().Peers == 1 })
	relayed, err := g.good(t, "abc").Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer relayed.Close()
	roundTrip(t, relayed, peer)

	// The coordinator goes and comes back without knowing any worker yet.
	one.mu.Lock()
	one.peers = nil
	one.mu.Unlock()
	one.drop()
	until(t, "joining again", func() bool { return one.joined() == 2 })
	roundTrip(t, relayed, peer)
	one.close()
	roundTrip(t, relayed, peer)
}

func TestTriesEachSecretAtTheCoordinator(t *testing.T) {
	c := newCoordinator(t, "old")
	g := start(t, func(cfg *Config) { cfg.Secrets, cfg.Coordinators = []string{"new", "old"}, []string{c.URL} })
	until(t, "joining", func() bool { return c.joined() == 1 })
	if c.mu.Lock(); c.refused != 1 {
		t.Errorf("refused %d times", c.refused)
	}
	c.mu.Unlock()
	g.stop()
}

// Run ends with open allocations, without a leak (see TestMain), and frees its port.
func TestStopsWithOpenAllocations(t *testing.T) {
	peer := socket(t, "127.0.0.1:0")
	g := start(t, func(c *Config) { c.Peers = []Peer{peerOf(peer)} })
	for range 3 {
		relayed, err := g.good(t, "abc").Allocate()
		if err != nil {
			t.Fatal(err)
		}
		defer relayed.Close() // ends the client's own timers
		roundTrip(t, relayed, peer)
	}
	address := g.address()
	g.stop()
	if n := g.Stats().Allocations; n != 0 {
		t.Errorf("%d allocations are left", n)
	}
	socket(t, address)
}

func TestRunFailsWhenAListenerDoes(t *testing.T) {
	g, err := New(Config{Listeners: []Listener{{Protocol: UDP, Address: "127.0.0.1:0"}}, Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.Run(t.Context()); err == nil {
		t.Error("Run of a closed gate ends without an error")
	}
}

// Garbage and requests without a credential are answered, if at all, with no
// more than the protocol needs, and end nothing.
func TestGarbage(t *testing.T) {
	g := start(t, nil)
	conn := socket(t, "127.0.0.1:0")
	to, _ := net.ResolveUDPAddr("udp4", g.address())
	for _, data := range []string{"", "x", strings.Repeat("\x00", 20), strings.Repeat("\xff", 1700), "\x40\x00\x00\x04abcd", "\x00\x03\x00\x00\x21\x12\xa4\x42abcdefghijkl"} {
		if _, err := conn.WriteTo([]byte(data), to); err != nil {
			t.Fatal(err)
		}
	}
	relayed, err := g.good(t, "abc").Allocate()
	if err != nil {
		t.Fatal(err)
	}
	relayed.Close()
}
