package turn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/coordinator/certificate/certificatetest"
	"github.com/cloudretro/cloudretro/turn/gateway"
)

// A session does not notice what happens to other listeners.
func TestFleetAddsChangesAndRemoves(t *testing.T) {
	worker := socket(t, "127.0.0.1:0")
	f := startFleet(t, time.Hour)
	one, two := listenerOf(t, "ns/gw/one", UDP, worker), listenerOf(t, "ns/gw/two", TCP, worker)
	f.serves(one)
	first := f.session(one, worker)
	was := f.gate(one).Gate

	f.serves(one, two)
	second := f.session(two, worker)
	first.carries(t, minChannel, worker)

	moved := two
	moved.Port = freePort(t)
	f.serves(moved, one)
	second.carries(t, minChannel, worker)
	third := f.session(moved, worker)
	first.carries(t, minChannel, worker)
	if n := f.count(); n != 3 {
		t.Errorf("%d gates, of which one drains", n)
	}
	second.end()
	until(t, "the end of the drain", func() bool { return f.count() == 2 })

	f.serves(one)
	if code := f.callAt(moved).minted("def").ask(stun.MethodAllocate, overUDP()); code != 508 {
		t.Errorf("a new relay of a listener that is gone is answered with %d", code)
	}
	third.carries(t, minChannel, worker)
	third.end()
	until(t, "the end of the listener", func() bool { return f.count() == 1 })
	first.carries(t, minChannel, worker)
	if f.gate(one).Gate != was {
		t.Error("the listener that did not change has another gate")
	}
}

// A Service that comes is closed at once to prefixes around it, and open again
// with its end.
func TestFleetClosesServices(t *testing.T) {
	f := startFleet(t, 0)
	l := listenerOf(t, "ns/gw/one", UDP)
	l.Peers = []gateway.Peer{{Prefix: netip.MustParsePrefix("198.51.100.0/24")}}
	l.Closed = []netip.Addr{netip.MustParseAddr("198.51.100.1")}
	for _, closed := range []bool{true, false, true} {
		f.serves(l)
		why := f.gate(l).admission.refuses(loopbackClient(), netip.MustParseAddrPort("198.51.100.1:53"))
		if (why == whyService) != closed {
			t.Errorf("refused with %q, closed: %v", why, closed)
		}
		if closed {
			l.Closed = nil
		} else {
			l.Closed = []netip.Addr{netip.MustParseAddr("198.51.100.1")}
		}
	}
}

// callAt connects to a listener that may be draining.
func (f fleet) callAt(l gateway.Listener) *caller {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		if m.is.ID == l.ID && m.is.Port == l.Port {
			return gate{Gate: m.gate}.call(f.t, 0)
		}
	}
	f.t.Fatalf("%s is gone", l.ID)
	return nil
}

// Credentials, realm and endpoints change for what is new; what is open goes on.
func TestFleetChangesInPlace(t *testing.T) {
	worker, other := socket(t, "127.0.0.1:0"), socket(t, "127.0.0.1:0")
	f := startFleet(t, time.Hour)
	l := listenerOf(t, "ns/gw/one", UDP, worker)
	f.serves(l)
	was := f.gate(l).Gate
	c := f.session(l, worker)

	l.Secrets, l.Endpoints, l.PublicAddress = []string{"south"}, []netip.AddrPort{endpoint(other)}, "192.0.2.7"
	f.serves(l)
	c.carries(t, minChannel, worker)
	if code := c.ask(stun.MethodRefresh); code != 0 {
		t.Errorf("an open relay is refused its refresh: %d", code)
	}
	if code := c.ask(stun.MethodChannelBind, channel(minChannel+1), xorPeer(endpoint(other))); code != 0 {
		t.Errorf("an endpoint that was added is refused: %d", code)
	}
	if code := f.gate(l).call(t, 0).minted("def").ask(stun.MethodAllocate, overUDP()); code != 401 {
		t.Errorf("a secret that was taken out is answered with %d", code)
	}
	own := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.7"), l.Port)
	if why := f.gate(l).admission.refuses(loopbackClient(), own); why != whyOwn {
		t.Errorf("the new public address is %q", why)
	}

	l.Secrets, l.Users = nil, []gateway.User{{Name: "alice", Password: "a"}}
	f.serves(l)
	alice := f.gate(l).call(t, 0).as("alice", "a").allocate()
	if code := alice.ask(stun.MethodChannelBind, channel(minChannel), xorPeer(endpoint(worker))); code != 403 {
		t.Errorf("an endpoint that was taken away is answered with %d", code)
	}

	l.Realm = "arcade"
	f.serves(l)
	if code := c.ask(stun.MethodRefresh); code != 0 {
		t.Errorf("an open relay is refused under another realm: %d", code)
	}
	stranger := f.gate(l).call(t, 0)
	var realm stun.Realm
	if err := realm.GetFrom(stranger.exchange(stranger.build(stun.MethodAllocate, false))); err != nil || realm.String() != "arcade" {
		t.Errorf("the realm is %q: %v", realm, err)
	}
	if f.gate(l).Gate != was {
		t.Error("it is another gate")
	}
	l.Users = nil
	f.refuses(l.ID, "no secret", l)
}

// Static backends are prefixes with ranges of ports; what is never to be reached
// is not opened by them.
func TestFleetOpensStaticPeers(t *testing.T) {
	f := startFleet(t, 0)
	l := listenerOf(t, "ns/gw/one", UDP)
	l.Peers = []gateway.Peer{
		{Prefix: netip.MustParsePrefix("203.0.113.0/24"), From: 1000, To: 2000},
		{Prefix: netip.MustParsePrefix("198.51.100.0/24")},
		{Prefix: netip.MustParsePrefix("192.0.2.0/24"), From: 1, To: 0},
		{Prefix: netip.MustParsePrefix("0.0.0.0/0"), From: 1, To: 65535},
	}
	f.serves(l)
	a := f.gate(l).admission
	check := func(open map[string]bool) {
		t.Helper()
		for s, want := range open {
			if why := a.refuses(loopbackClient(), netip.MustParseAddrPort(s)); (why == "") != want {
				t.Errorf("%s: refused as %q", s, why)
			}
		}
	}
	check(map[string]bool{
		"203.0.113.9:1000": true, "198.51.100.1:7": true, "8.8.8.8:53": true,
		"127.0.0.1:80": false, "169.254.169.254:80": false, "10.96.0.1:443": false, "224.0.0.1:9": false,
	})
	l.Peers = l.Peers[:3]
	f.serves(l)
	check(map[string]bool{
		"203.0.113.9:1000": true, "203.0.113.9:2000": true, "203.0.113.9:999": false, "203.0.113.9:2001": false,
		"192.0.2.1:1": false, "8.8.8.8:53": false,
	})
}

// A port of a listener whose protocol changes is free when its sessions are over.
func TestFleetChangesProtocol(t *testing.T) {
	worker := socket(t, "127.0.0.1:0")
	f := startFleet(t, time.Hour)
	l := listenerOf(t, "ns/gw/one", UDP, worker)
	f.serves(l)
	now := l
	now.Protocol = DTLS
	f.serves(now) // nobody held it
	f.serves(l)
	c := f.session(l, worker)
	f.refuses(l.ID, "held by 1 sessions of ns/gw/one", now)
	c.carries(t, minChannel, worker)
	c.end()
	until(t, "the other protocol", func() bool { return len(f.Apply(t.Context(), []gateway.Listener{now})) == 0 })
	f.session(now, worker)
	stream := now
	stream.Protocol = TCP // has a port of the same number
	f.serves(stream)
	f.session(stream, worker)
}

// A listener that comes back before its sessions have ended takes new ones.
func TestFleetTakesBack(t *testing.T) {
	worker := socket(t, "127.0.0.1:0")
	f := startFleet(t, time.Hour)
	l := listenerOf(t, "ns/gw/one", UDP, worker)
	f.serves(l)
	c := f.session(l, worker)
	f.serves()
	if code := f.callAt(l).minted("def").ask(stun.MethodAllocate, overUDP()); code != 508 {
		t.Errorf("a new relay is answered with %d", code)
	}
	f.serves(l)
	f.session(l, worker).end()
	c.carries(t, minChannel, worker)
	c.end()
	if f.count() != 1 {
		t.Error("the listener has ended")
	}
}

// One port that is taken keeps no other listener from being served.
func TestFleetSaysWhatIsNotServed(t *testing.T) {
	f := startFleet(t, 0)
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	good, bad := listenerOf(t, "ns/gw/good", UDP), listenerOf(t, "ns/gw/bad", TCP)
	bad.Port = uint16(taken.Addr().(*net.TCPAddr).Port)
	f.refuses(bad.ID, "in use", bad, good)
	f.session(good, f.peer(&good))
	taken.Close()
	f.serves(good, bad)
	twin := good
	twin.ID = "ns/gw/twin"
	f.refuses(twin.ID, "is that of ns/gw/good", good, bad, twin)
	none := listenerOf(t, "ns/gw/none", UDP)
	none.Port = 0
	f.refuses(none.ID, "no port", good, bad, none)
}

// peer is a worker that a listener is given.
func (f fleet) peer(l *gateway.Listener) *net.UDPConn {
	f.t.Helper()
	worker := socket(f.t, "127.0.0.1:0")
	l.Endpoints = append(slices.Clone(l.Endpoints), endpoint(worker))
	f.Apply(f.t.Context(), []gateway.Listener{*l})
	return worker
}

// Certificates are shown by the name that a client asks for, and are replaced
// for new connections.
func TestFleetShowsCertificates(t *testing.T) {
	certificates := func(hosts ...string) (list []tls.Certificate) {
		for _, h := range hosts {
			pair := certificatetest.New(t, h, time.Now().Add(time.Hour))
			c, err := tls.X509KeyPair(pair.Cert, pair.Key)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, c)
		}
		return list
	}
	f := startFleet(t, 0)
	l := listenerOf(t, "ns/gw/tls", TLS)
	l.Certificates = certificates("one.example.org", "two.example.org")
	dtls := listenerOf(t, "ns/gw/dtls", DTLS)
	dtls.Certificates = l.Certificates
	f.serves(l, dtls)
	shown := func(asked string) *x509.Certificate {
		t.Helper()
		conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(l.Port))), &tls.Config{InsecureSkipVerify: true, ServerName: asked})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0]
	}
	for asked, want := range map[string]string{"two.example.org": "two.example.org", "three.example.org": "one.example.org", "": "one.example.org"} {
		if got := shown(asked); got.VerifyHostname(want) != nil {
			t.Errorf("who asks for %q is shown %v", asked, got.DNSNames)
		}
		if got := f.gate(dtls).identities[0].shownTo(asked).Leaf; got.VerifyHostname(want) != nil {
			t.Errorf("over DTLS, who asks for %q is shown %v", asked, got.DNSNames)
		}
	}
	worker := f.peer(&l)
	f.serves(l, dtls)
	c := f.session(l, worker)
	l.Certificates = certificates("three.example.org")
	f.serves(l, dtls)
	if got := shown("three.example.org"); got.VerifyHostname("three.example.org") != nil {
		t.Errorf("after the change it is %v", got.DNSNames)
	}
	c.carries(t, minChannel, worker)
}

// The numbers of a listener grow on when it has another gate, and are forgotten
// with it.
func TestFleetStats(t *testing.T) {
	f := startFleet(t, time.Hour)
	l := listenerOf(t, "ns/gw/one", UDP)
	f.serves(l)
	c := f.session(l, f.peer(&l))
	c.end()
	l.Port = freePort(t)
	f.serves(l)
	until(t, "the end of the first", func() bool { return f.count() == 1 })
	f.session(l, f.peer(&l))
	s := f.Stats()
	if len(s.Listeners) != 1 || s.Listeners[0].Name != l.ID || s.Listeners[0].Opened != 2 || s.Allocations != 1 || s.Draining {
		t.Errorf("%+v", s)
	}
	both := s.Plus(Stats{Allocations: 2, Listeners: []ListenerStats{{Protocol: UDP, Name: ":3478", Opened: 7}}})
	if both.Allocations != 3 || len(both.Listeners) != 2 {
		t.Errorf("with another gate it is %+v", both)
	}
	f.serves()
	f.serves()
	if n := len(f.Stats().Listeners); n != 1 { // with a session
		t.Errorf("%d listeners", n)
	}
}

// At the end all drain, and nothing more is taken.
func TestFleetEnds(t *testing.T) {
	f := startFleet(t, time.Hour)
	l := listenerOf(t, "ns/gw/one", UDP)
	f.serves(l)
	worker := f.peer(&l)
	c := f.session(l, worker)
	f.stop()
	until(t, "the drain", func() bool { return f.Stats().Draining })
	if err := f.Ready(); err != nil {
		t.Errorf("with a session it is not ready: %v", err)
	}
	c.carries(t, minChannel, worker)
	f.refuses(l.ID, "ending", l)
	c.end()
	until(t, "the end", func() bool { return f.Ready() != nil })
}

// The grace ends what lasts longer.
func TestFleetGrace(t *testing.T) {
	f := startFleet(t, 50*time.Millisecond)
	l := listenerOf(t, "ns/gw/one", UDP)
	f.serves(l)
	f.session(l, f.peer(&l))
	f.serves()
	until(t, "the end of the grace", func() bool { return f.count() == 0 })
	f.serves(l)
}

// What a listener without clients costs.
func BenchmarkFleetListener(b *testing.B) {
	f := NewFleet(Config{})
	var all []gateway.Listener
	for range b.N {
		all = append(all, gateway.Listener{ID: strconv.Itoa(len(all)), Protocol: UDP, Port: uint16(20000 + len(all)), Secrets: []string{secret}})
	}
	b.ReportAllocs()
	if failed := f.Apply(b.Context(), all); len(failed) > 0 {
		b.Fatal(failed)
	}
	b.StopTimer()
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

// The end comes while a port is waited for: who drains since then goes on to.
func TestFleetEndsWhileItWaits(t *testing.T) {
	f := startFleet(t, time.Hour)
	lasting, moved := listenerOf(t, "ns/gw/lasting", UDP), listenerOf(t, "ns/gw/moved", UDP)
	f.serves(lasting)
	c := f.session(lasting, f.peer(&lasting))
	idle, err := New(Config{Listeners: []Listener{{Protocol: UDP, Address: "127.0.0.1:0"}}, Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	slow := &member{gate: idle, is: moved, stop: func() {}, retire: func() {}, done: make(chan struct{}), over: true}
	f.mu.Lock()
	f.members = append(f.members, slow)
	f.mu.Unlock()
	failed := make(chan map[string]error)
	first := listenerOf(t, "ns/gw/first", UDP)
	go func() { failed <- f.Apply(t.Context(), []gateway.Listener{first, moved, lasting}) }()
	until(t, "the wait for a port", func() bool { return f.count() == 3 })
	f.stop()
	until(t, "the drain", func() bool { return f.Stats().Draining })
	f.mu.Lock()
	f.members = slices.DeleteFunc(f.members, func(m *member) bool { return m == slow })
	f.mu.Unlock()
	close(slow.done)
	if got := <-failed; !errors.Is(got[moved.ID], errEnding) || !errors.Is(got[lasting.ID], errEnding) {
		t.Errorf("failed %v", got)
	}
	c.end()
	until(t, "the end", func() bool { return f.Ready() != nil })
}
