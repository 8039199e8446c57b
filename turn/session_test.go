package turn

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/turn/credential"
	"github.com/cloudretro/cloudretro/turn/relay"
)

// lines is a log that a test reads while a gate writes it.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) has(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.SplitSeq(l.buf.String(), "\n") {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}

// What a relay carried stands in the log when it ends, with whose it was.
func TestCountersInTheLog(t *testing.T) {
	worker, said := socket(t, "127.0.0.1:0"), &lines{}
	g := start(t, func(c *Config) {
		c.Peers, c.Logger = []Peer{peerOf(worker)}, slog.New(slog.NewTextHandler(said, nil))
	})
	c := g.call(t, 0).minted("abc").allocate()
	if code := c.ask(stun.MethodChannelBind, channel(minChannel), xorPeer(peerOf(worker).addrPort())); code != 0 {
		t.Fatal(code)
	}
	for range 3 {
		c.carries(t, minChannel, worker)
	}
	c.end()
	until(t, "the log", func() bool {
		return said.has("allocation ended", "user="+c.username, "client="+c.conn.LocalAddr().String(), "relayed=127.0.0.1:",
			"up.packets=3", "up.bytes=15", "down.packets=3", "down.bytes=24", "dropped=0", "udp 127.0.0.1:0")
	})
}

// A secret that is taken out ends no running relay, and opens no other.
func TestRotation(t *testing.T) {
	g := start(t, nil)
	old := g.call(t, 0).minted("abc").allocate()
	if err := g.SetCredentials(Credentials{Secrets: []string{"new"}, Users: []User{{"user-1", "pass-1"}}}); err != nil {
		t.Fatal(err)
	}
	if code := old.ask(stun.MethodRefresh); code != 0 {
		t.Errorf("the refresh is refused: %d", code)
	}
	if code := g.call(t, 0).minted("def").ask(stun.MethodAllocate, overUDP()); code != 401 {
		t.Errorf("the old secret is answered with %d", code)
	}
	g.call(t, 0).with(t, "new", "ghi").allocate().end()
	user := g.call(t, 0).as("user-1", "pass-1").allocate()
	for name, c := range map[string]Credentials{
		"none": {}, "empty": {Secrets: []string{""}}, "user": {Secrets: []string{"a"}, Users: []User{{"", "p"}}},
	} {
		if err := g.SetCredentials(c); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := g.SetCredentials(Credentials{Secrets: []string{"newer"}}); err != nil {
		t.Fatal(err)
	}
	if code := user.ask(stun.MethodRefresh); code != 0 {
		t.Errorf("a user that was taken out loses the relay: %d", code)
	}
	user.end()
	if code := user.ask(stun.MethodAllocate, overUDP()); code != 401 {
		t.Errorf("and opens another: %d", code)
	}
}

// A nonce ends, and the client goes on with the one it is then given.
func TestNoncesEnd(t *testing.T) {
	g := start(t, nil)
	c := g.call(t, 0).minted("abc").allocate()
	client, _ := addrPort(c.conn.LocalAddr())
	c.nonce = stun.Nonce(g.nonces.mint(client, time.Now().Add(-nonceLife)))
	answer := c.exchange(c.build(stun.MethodRefresh, true))
	if code := c.code(answer); code != 438 {
		t.Fatalf("an old nonce is answered with %d", code)
	}
	if err := c.nonce.GetFrom(answer); err != nil {
		t.Fatal(err)
	}
	if code := c.ask(stun.MethodRefresh); code != 0 {
		t.Errorf("the next nonce is answered with %d", code)
	}
}

// pion/turn is asked for a nonce of its own before it forgets the last one, and
// no client ever sees it.
func TestPionsNonce(t *testing.T) {
	g, err := New(Config{Listeners: []Listener{{Protocol: UDP, Address: "127.0.0.1:0"}}, Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	d, now := g.doors[0], time.Now()
	request := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodRefresh, stun.ClassRequest), lifetime(0))
	d.at = exchange{client: loopbackClient(), msg: request, who: account{name: "u"}, key: []byte("key")}
	d.from = net.UDPAddrFromAddrPort(loopbackClient())
	handed := func(p []byte) (m stun.Message, nonce stun.Nonce) {
		t.Helper()
		if _, err := m.Write(p); err != nil {
			t.Fatal(err)
		}
		_ = nonce.GetFrom(&m) // there may be none
		return m, nonce
	}
	for i, said := range []string{"first", "second"} {
		at := now.Add(time.Duration(i) * pionNonceLife)
		p, to := d.forward(at)
		ask, nonce := handed(p)
		if !d.waiting || len(nonce) != 0 || to.(*net.UDPAddr).Port != 0 {
			t.Fatalf("pion is not asked for a nonce but told %v from %v", ask, to)
		}
		answer := stun.MustBuild(stun.NewTransactionIDSetter(ask.TransactionID), stun.NewType(stun.MethodAllocate, stun.ClassErrorResponse),
			stun.CodeUnauthorized, stun.NewNonce(said))
		if _, err := d.WriteTo(answer.Raw, to); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, maxMessage)
		n, from, err := d.ReadFrom(buf)
		if err != nil || from != d.from {
			t.Fatalf("the request that waited: from %v, %v", from, err)
		}
		if m, nonce := handed(buf[:n]); nonce.String() != said || m.TransactionID != request.TransactionID {
			t.Errorf("the request that waited has nonce %q", nonce)
		}
		p, to = d.forward(at.Add(pionNonceLife - 1))
		if _, nonce := handed(p); nonce.String() != said || to != d.from {
			t.Errorf("the next request has nonce %q", nonce)
		}
	}
}

func TestQuotaOfAddress(t *testing.T) {
	g := start(t, func(c *Config) { c.MaxPerAddress = 2 })
	open := g.call(t, 0).minted("a").allocate()
	g.call(t, 0).minted("b").allocate()
	third := g.call(t, 0).minted("c")
	if code := third.ask(stun.MethodAllocate, overUDP()); code != 486 {
		t.Errorf("answered with %d", code)
	}
	open.end()
	third.allocate()
}

func TestQuotaCodes(t *testing.T) {
	g := start(t, func(c *Config) {
		c.MaxPerUser, c.MaxAllocations, c.Users = 1, 3, []User{{"u", "p"}}
	})
	g.call(t, 0).minted("a").allocate()
	first, again := g.call(t, 0).minted("b").allocate(), g.call(t, 0)
	again.username, again.key = first.username, first.key
	if code := again.ask(stun.MethodAllocate, overUDP()); code != 486 {
		t.Errorf("the second of one credential is answered with %d", code)
	}
	g.call(t, 0).as("u", "p").allocate()
	if code := g.call(t, 0).as("u", "p").ask(stun.MethodAllocate, overUDP()); code != 508 {
		t.Errorf("one more than all is answered with %d", code)
	}
}

// More than the bandwidth of a relay is dropped.
func TestBandwidth(t *testing.T) {
	worker := socket(t, "127.0.0.1:0")
	g := start(t, func(c *Config) { c.Peers, c.MaxBandwidth = []Peer{peerOf(worker)}, minBandwidth })
	c := g.call(t, 0).minted("abc").allocate()
	if code := c.ask(stun.MethodChannelBind, channel(minChannel), xorPeer(peerOf(worker).addrPort())); code != 0 {
		t.Fatal(code)
	}
	for range 100 { // 100 kB at 12.5 kB a second
		c.channelData(minChannel, strings.Repeat("x", 1000))
	}
	until(t, "the bound", func() bool { return g.Stats().Listeners[0].Relay.Dropped[relay.DropBandwidth] > 50 })
}

// listed is a Source that a test speaks for.
type listed chan []netip.AddrPort

func (listed) String() string { return "test" }

// Watch implements Source.
func (l listed) Watch(ctx context.Context, update func([]netip.AddrPort)) {
	for {
		select {
		case addrs := <-l:
			update(addrs)
		case <-ctx.Done():
			return
		}
	}
}

var _ Source = listed(nil)

func TestSource(t *testing.T) {
	worker, source := socket(t, "127.0.0.1:0"), make(listed)
	g := start(t, func(c *Config) { c.Sources = []Source{source} })
	peer := peerOf(worker).addrPort()
	c := g.call(t, 0).minted("abc").allocate()
	bind := func() int { return c.ask(stun.MethodChannelBind, channel(minChannel), xorPeer(peer)) }
	if code := bind(); code != 403 {
		t.Errorf("before it is listed: %d", code)
	}
	source <- []netip.AddrPort{peer}
	until(t, "the worker", func() bool { return g.Stats().Peers == 1 })
	if code := bind(); code != 0 {
		t.Errorf("when it is listed: %d", code)
	}
	c.carries(t, minChannel, worker)
	source <- nil
	until(t, "its leave", func() bool { return g.Stats().Peers == 0 })
	c.carries(t, minChannel, worker)
	if code := bind(); code != 0 {
		t.Errorf("a channel in use is not prolonged: %d", code)
	}
	if code := g.call(t, 0).minted("def").allocate().ask(stun.MethodChannelBind, channel(minChannel), xorPeer(peer)); code != 403 {
		t.Errorf("a new channel: %d", code)
	}
	c.dataTo(peer, "hello")
	_ = worker.SetReadDeadline(time.Now().Add(patient))
	if n, _, err := worker.ReadFrom(make([]byte, 9)); err != nil || n != 5 {
		t.Errorf("an indication to a worker in use: %d bytes, %v", n, err)
	}
}

// Data of a peer reaches a client only from the port that is a worker's.
func TestPeersPortIsCheckedOnTheWayDown(t *testing.T) {
	worker, other := socket(t, "127.0.0.1:0"), socket(t, "127.0.0.1:0")
	g := start(t, func(c *Config) { c.Peers = []Peer{peerOf(worker)} })
	c := g.call(t, 0).minted("abc").allocate()
	if code := c.ask(stun.MethodCreatePermission, xorPeer(peerOf(worker).addrPort())); code != 0 {
		t.Fatal(code)
	}
	at := net.UDPAddrFromAddrPort(relayedOf(t, g, c))
	for conn, data := range map[*net.UDPConn]string{other: "evil", worker: "good"} {
		if _, err := conn.WriteTo([]byte(data), at); err != nil {
			t.Fatal(err)
		}
	}
	m, err := c.receive(patient)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := m.Get(stun.AttrData); err != nil || string(data) != "good" {
		t.Errorf("the client receives %q, %v", data, err)
	}
	until(t, "the drop", func() bool { return g.Stats().Listeners[0].Relay.Dropped[relay.DropPeer] == 1 })
}

// An attacker cannot have a channel's second peer pass unseen, nor one behind
// the signature.
func TestHiddenPeers(t *testing.T) {
	worker, victim := socket(t, "127.0.0.1:0"), socket(t, "127.0.0.1:0")
	g := start(t, func(c *Config) { c.Peers = []Peer{peerOf(worker)} })
	good, bad := xorPeer(peerOf(worker).addrPort()), xorPeer(peerOf(victim).addrPort())
	c := g.call(t, 0).minted("abc").allocate()
	if code := c.ask(stun.MethodChannelBind, channel(minChannel), good, bad); code != 400 {
		t.Errorf("two peers of one channel: %d", code)
	}
	m := c.build(stun.MethodCreatePermission, true, good)
	if err := bad.AddTo(m); err != nil { // after MESSAGE-INTEGRITY
		t.Fatal(err)
	}
	if code := c.code(c.exchange(m)); code != 0 {
		t.Errorf("what follows the signature is looked at: %d", code)
	}
	c.dataTo(netip.AddrPort(bad), "hello")
	c.ask(stun.MethodRefresh)
	hearsNothing(t, victim)
}

// The credentials of the guides work beside minted ones, and only until the
// moment they say.
func TestCredentialsOfTheGuides(t *testing.T) {
	g := start(t, func(c *Config) { c.Users = []User{{"user-1", "pass-1"}} })
	for range 2 * defaultMaxPerUser { // many people use it
		g.call(t, 0).as("user-1", "pass-1").allocate()
	}
	username, password, err := credential.Mint(secret, "abc", 5*time.Minute, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	g.call(t, 0).as(username, password).allocate()
}

// The gate announces itself with all its URLs, in a form that coordinators take.
func TestAnnouncement(t *testing.T) {
	g := start(t, func(c *Config) { c.Listeners = everyListener(t) })
	if err := (signal.Gate{ID: g.id, MAC: signal.MAC("s", "n", signal.RoleGate, g.id), URLs: g.URLs()}).Validate(); err != nil {
		t.Error(err)
	}
	g.URLs()[0] = "changed"
	if g.URLs()[0] == "changed" {
		t.Error("a caller may change the gate's own list")
	}
}

// A client gives its relay back and asks for another one at once: pion/turn,
// which then still has to end the first, must not end the second for it.
func TestAllocateAfterEnd(t *testing.T) {
	g := start(t, nil)
	c := g.call(t, 0).minted("again").allocate()
	for i := range 300 {
		end, again := c.build(stun.MethodRefresh, true, lifetime(0)), c.build(stun.MethodAllocate, true, overUDP())
		c.send(end.Raw)
		c.send(again.Raw)
		for answered := false; !answered; {
			answer, err := c.receive(patient)
			if err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
			if code := c.code(answer); code != 0 {
				t.Fatalf("round %d: %s: %d", i, answer.Type, code)
			}
			answered = answer.TransactionID == again.TransactionID
		}
		if code := c.ask(stun.MethodRefresh, lifetime(defaultLifetime)); code != 0 {
			t.Fatalf("round %d: the second relay is gone: %d", i, code)
		}
	}
}
