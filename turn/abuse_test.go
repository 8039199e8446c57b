package turn

import (
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/turn/credential"
	"github.com/cloudretro/cloudretro/turn/relay"
)

// hearsNothing sends a mark to a socket from outside and fails unless that is
// the first thing to arrive there. What was sent before has then been dropped.
func hearsNothing(t *testing.T, conn *net.UDPConn) {
	t.Helper()
	outside := socket(t, "127.0.0.1:0")
	if _, err := outside.WriteTo([]byte("mark"), conn.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patient))
	buf := make([]byte, 100)
	n, from, err := conn.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "mark" {
		t.Errorf("a victim received %q from %v, %v", buf[:n], from, err)
	}
}

// Everything that leads somewhere else than to a worker is refused with 403, and
// none of it relayed: by permission, by channel, and by indication.
func TestAbuse(t *testing.T) {
	worker, victim, six := socket(t, "127.0.0.1:0"), socket(t, "127.0.0.1:0"), victimSix(t)
	g := start(t, func(c *Config) {
		c.Peers = []Peer{
			peerOf(worker),
			{Prefix: netip.MustParsePrefix("0.0.0.0/0")}, // a mistake of the operator
			{Prefix: netip.MustParsePrefix("::/0")},
		}
		c.RelayAddresses = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}
	})
	four := g.call(t, 0).minted("four").allocate()
	sixth := g.call(t, 0).minted("six").allocate(family(familyIPv6))
	victimPort := strconv.Itoa(victim.LocalAddr().(*net.UDPAddr).Port)
	_, own, err := net.SplitHostPort(g.address())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, addr string
		caller     *caller
		code       int
	}{
		{"loopback", "127.0.0.1:" + victimPort, four, 403}, // the worker's address at another port
		{"other loopback", "127.0.0.2:" + victimPort, four, 403},
		{"loopback, IPv6", "[::1]:" + six, sixth, 403},
		{"metadata", "169.254.169.254:80", four, 403},
		{"link-local", "[fe80::1]:80", sixth, 403},
		{"private", "10.0.0.1:80", four, 403},
		{"private 172", "172.16.0.1:80", four, 403},
		{"private 192", "192.168.1.1:80", four, 403},
		{"private, IPv6", "[fd00:ec2::254]:80", sixth, 403},
		{"carrier-grade NAT", "100.64.0.1:80", four, 403},
		{"multicast", "224.0.0.1:80", four, 403},
		{"multicast, IPv6", "[ff02::1]:80", sixth, 403},
		{"broadcast", "255.255.255.255:80", four, 403},
		{"unspecified", "0.0.0.0:" + victimPort, four, 403},
		{"unspecified, IPv6", "[::]:" + six, sixth, 403},
		{"mapped", "[::ffff:127.0.0.1]:" + victimPort, sixth, 403},
		{"mapped worker", "[::ffff:127.0.0.1]:" + strconv.Itoa(worker.LocalAddr().(*net.UDPAddr).Port), sixth, 403},
		{"compatible", "[::127.0.0.1]:" + victimPort, sixth, 403},
		{"NAT64", "[64:ff9b::7f00:1]:" + victimPort, sixth, 403},
		{"local NAT64", "[64:ff9b:1::7f00:1]:" + victimPort, sixth, 403},
		{"6to4", "[2002:7f00:1::]:80", sixth, 403},
		{"Teredo", "[2001::1]:80", sixth, 403},
		{"own listener", "127.0.0.1:" + own, four, 403},
		{"own relay", relayedOf(t, g, four).String(), four, 403},
		{"other family", "[2001:db8::1]:80", four, 443},
		{"other family, IPv4", "192.0.2.1:80", sixth, 443},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, peer := test.caller, peerAt(test.addr)
			c.t = t
			if code := c.ask(stun.MethodCreatePermission, peer); code != test.code {
				t.Errorf("CreatePermission: %d %s", code, c.wasRefused)
			}
			number := uint16(minChannel + i)
			if code := c.ask(stun.MethodChannelBind, channel(number), peer); code != test.code {
				t.Errorf("ChannelBind: %d %s", code, c.wasRefused)
			}
			c.channelData(number, "channel data")
			c.dataTo(netip.AddrPort(peer), "indication")
			if code := c.ask(stun.MethodCreatePermission, xorPeer(peerOf(worker).addrPort()), peer); c == four && code != test.code {
				t.Errorf("CreatePermission beside a good one: %d", code)
			}
		})
	}
	// All of it has been handled when a later request of each is answered.
	for _, c := range []*caller{four, sixth} {
		c.t = t
		c.ask(stun.MethodRefresh)
	}
	hearsNothing(t, victim)
	for _, l := range g.Stats().Listeners {
		if l.Relay.Packets[relay.Up] != 0 {
			t.Errorf("%d packets were relayed", l.Relay.Packets[relay.Up])
		}
	}
	if g.Stats().Refused(RefusedPeer) < uint64(len(tests)-2) {
		t.Errorf("only %d refusals are counted", g.Stats().Refused(RefusedPeer))
	}
}

// victimSix is the port of a socket on ::1, which must be there.
func victimSix(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6")
	}
	t.Cleanup(func() { conn.Close() })
	return strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port)
}

// relayedOf is the relayed address of a caller on the first listener.
func relayedOf(t *testing.T, g gate, c *caller) netip.AddrPort {
	t.Helper()
	client, _ := addrPort(c.conn.LocalAddr())
	a := g.doors[0].allocation(client)
	if a == nil {
		t.Fatal("there is no allocation")
	}
	addr, _ := addrPort(a.LocalAddr())
	return addr
}

func (p Peer) addrPort() netip.AddrPort { return netip.AddrPortFrom(p.Prefix.Addr(), p.Port) }

// What a client may not ask for has the code of the RFC.
func TestRefusals(t *testing.T) {
	worker := socket(t, "127.0.0.1:0")
	g := start(t, func(c *Config) { c.Peers = []Peer{peerOf(worker)} })
	good := xorPeer(peerOf(worker).addrPort())
	raw := func(t stun.AttrType, value ...byte) stun.Setter { return stun.RawAttribute{Type: t, Value: value} }
	tests := []struct {
		name      string
		allocated bool
		method    stun.Method
		set       []stun.Setter
		code      int
	}{
		{"no transport", false, stun.MethodAllocate, nil, 400},
		{"TCP", false, stun.MethodAllocate, []stun.Setter{raw(stun.AttrRequestedTransport, 6, 0, 0, 0)}, 442},
		{"family", false, stun.MethodAllocate, []stun.Setter{overUDP(), family(9)}, 440},
		{"both families by two ways", false, stun.MethodAllocate, []stun.Setter{overUDP(), family(1), raw(attrAdditionalFamily, 2, 0, 0, 0)}, 400},
		{"reserved port", false, stun.MethodAllocate, []stun.Setter{overUDP(), raw(stun.AttrEvenPort, 0x80)}, 508},
		{"reservation", false, stun.MethodAllocate, []stun.Setter{overUDP(), raw(stun.AttrReservationToken, 1, 2, 3, 4, 5, 6, 7, 8)}, 508},
		{"reservation of an even port", false, stun.MethodAllocate, []stun.Setter{overUDP(), raw(stun.AttrEvenPort, 0), raw(stun.AttrReservationToken, 1, 2, 3, 4, 5, 6, 7, 8)}, 400},
		{"unknown attribute", false, stun.MethodAllocate, []stun.Setter{overUDP(), raw(0x7abc, 1)}, 420},
		{"do not fragment", false, stun.MethodAllocate, []stun.Setter{overUDP(), raw(stun.AttrDontFragment)}, 420},
		{"refresh of nothing", false, stun.MethodRefresh, nil, 437},
		{"permission for nothing", false, stun.MethodCreatePermission, []stun.Setter{good}, 437},
		{"channel for nothing", false, stun.MethodChannelBind, []stun.Setter{channel(minChannel), good}, 437},
		{"second allocation", true, stun.MethodAllocate, []stun.Setter{overUDP()}, 437},
		{"refresh of the other family", true, stun.MethodRefresh, []stun.Setter{family(familyIPv6)}, 443},
		{"refresh", true, stun.MethodRefresh, []stun.Setter{family(familyIPv4)}, 0},
		{"no peer", true, stun.MethodCreatePermission, nil, 400},
		{"malformed peer", true, stun.MethodCreatePermission, []stun.Setter{raw(stun.AttrXORPeerAddress, 0, 1, 2)}, 400},
		{"permission", true, stun.MethodCreatePermission, []stun.Setter{good}, 0},
		{"permission for any port", true, stun.MethodCreatePermission, []stun.Setter{peerAt("127.0.0.1:0")}, 0},
		{"permission for any port of another", true, stun.MethodCreatePermission, []stun.Setter{peerAt("10.0.0.1:0")}, 403},
		{"no channel", true, stun.MethodChannelBind, []stun.Setter{good}, 400},
		{"low channel", true, stun.MethodChannelBind, []stun.Setter{channel(0x3fff), good}, 400},
		{"high channel", true, stun.MethodChannelBind, []stun.Setter{channel(0x8000), good}, 400},
		{"channel to no port", true, stun.MethodChannelBind, []stun.Setter{channel(minChannel), peerAt("127.0.0.1:0")}, 400},
		{"channel", true, stun.MethodChannelBind, []stun.Setter{channel(minChannel), good}, 0},
		{"channel taken", true, stun.MethodChannelBind, []stun.Setter{channel(minChannel + 1), good}, 400},
	}
	with, without := g.call(t, 0).minted("with").allocate(), g.call(t, 0).minted("without")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := without
			if test.allocated {
				c = with
			}
			c.t = t
			if code := c.ask(test.method, test.set...); code != test.code {
				t.Errorf("answered with %d %s, want %d", code, c.wasRefused, test.code)
			}
		})
	}
}

// Credentials that are not good are refused with 401, an old nonce with 438.
func TestBadCredentials(t *testing.T) {
	g := start(t, func(c *Config) { c.Users = []User{{"user-1", "pass-1"}} })
	mint := func(secret string, ttl time.Duration) (string, string) {
		username, password, err := credential.Mint(secret, "abc", ttl, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return username, password
	}
	good, password := mint(secret, time.Hour)
	late, latePassword := mint(secret, -time.Second)
	forged, forgedPassword := mint("another", time.Hour)
	later, err := credential.Parse(late)
	if err != nil {
		t.Fatal(err)
	}
	later.Expires = later.Expires.Add(time.Hour)
	for _, test := range []struct {
		name, username, password string
		code                     int
		why                      Refusal
	}{
		{"good", good, password, 0, passed},
		{"static", "user-1", "pass-1", 0, passed},
		{"static, wrong password", "user-1", "pass-2", 401, RefusedSecret},
		{"expired", late, latePassword, 401, RefusedExpired},
		{"tampered expiry", later.String(), latePassword, 401, RefusedSecret},
		{"tampered session", good + "x", password, 401, RefusedSecret},
		{"another secret", forged, forgedPassword, 401, RefusedSecret},
		{"empty password", good, "", 401, RefusedSecret},
		{"stranger", "admin", "admin", 401, RefusedUser},
		{"nobody", "", "", 401, RefusedUser},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := g.Stats().Refused(test.why)
			c := g.call(t, 0).as(test.username, test.password)
			if code := c.ask(stun.MethodAllocate, overUDP()); code != test.code {
				t.Errorf("answered with %d, want %d", code, test.code)
			}
			if test.why != passed && g.Stats().Refused(test.why) != before+1 {
				t.Errorf("not counted as %s: %v", test.why, g.Stats().Listeners[0].Refused)
			}
			if test.code == 0 {
				c.end()
			}
		})
	}
}

// A request that was overheard is of no use at another address, nor changed.
func TestReplay(t *testing.T) {
	worker := socket(t, "127.0.0.1:0")
	g := start(t, func(c *Config) { c.Peers = []Peer{peerOf(worker)} })
	victim := g.call(t, 0).minted("abc")
	victim.challenge()
	request := victim.build(stun.MethodAllocate, true, overUDP())
	if code := victim.code(victim.exchange(request)); code != 0 {
		t.Fatalf("the victim is refused: %d", code)
	}
	thief := g.call(t, 0)
	thief.key = victim.key
	if code := thief.code(thief.exchange(request)); code != 401 || g.Stats().Refused(RefusedReplay) != 1 {
		t.Errorf("a replayed request is answered with %d", code)
	}
	bind := victim.build(stun.MethodChannelBind, true, channel(minChannel), xorPeer(peerOf(worker).addrPort()))
	if code := thief.code(thief.exchange(bind)); code != 401 {
		t.Errorf("a replayed channel is answered with %d", code)
	}
	for i := 20; i < len(bind.Raw)-24; i += 7 {
		changed := &stun.Message{Raw: append([]byte(nil), bind.Raw...)}
		changed.Raw[i] ^= 4
		if changed.Decode() != nil || !changed.Contains(stun.AttrMessageIntegrity) {
			continue // no STUN any more; never answered
		}
		changed.TransactionID, changed.Type = bind.TransactionID, bind.Type
		if code := victim.code(victim.exchange(changed)); code == 0 {
			t.Errorf("byte %d may be changed", i)
		}
	}
	victim.nonce[3] ^= 1
	if code := victim.ask(stun.MethodRefresh); code != 438 {
		t.Errorf("a nonce that was changed is answered with %d", code)
	}
	if code := g.call(t, 0).minted("x").ask(stun.MethodRefresh); code != 437 {
		t.Errorf("a refresh without an allocation is answered with %d", code)
	}
}

// Who has no credential cannot have the gate send more than it is sent, nor grow.
func TestFlood(t *testing.T) {
	g := start(t, nil)
	c := g.call(t, 0)
	const requests = 20_000
	plain := c.build(stun.MethodAllocate, false).Raw
	signed := c.as("1:x", "y").build(stun.MethodRefresh, true).Raw
	binding, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan int, 1)
	go func() {
		bytes, buf := 0, make([]byte, 2048)
		for {
			n, err := c.conn.Read(buf)
			if err != nil {
				answers <- bytes
				return
			}
			bytes += n
		}
	}()
	sent := 0
	seen := func() uint64 {
		s := g.Stats()
		return s.Refused(Throttled) + s.Refused(RefusedChallenge) + s.Refused(RefusedNonce) + s.Refused(RefusedBad)
	}
	send := func(n int) {
		for i := range n {
			p := [][]byte{plain, signed, binding.Raw}[i%3]
			c.send(p)
			sent += len(p)
		}
	}
	// A gate that gets no processor loses what outruns its receive buffer: more is sent then.
	for i := 0; i < requests; i += 500 {
		send(500)
		until(t, "the handling of what was sent", func() bool { send(3); return seen() >= uint64(i)/20 })
	}
	until(t, "the throttle", func() bool { send(30); return g.Stats().Refused(Throttled) > requests/20 })
	c.conn.Close()
	if got := <-answers; got*2 > sent {
		t.Errorf("%d bytes were answered with %d", sent, got)
	}
	// Somebody else, who is counted by another address, is still answered: here
	// the one of IPv6.
	if !g.throttle.admit(netip.IPv6Loopback(), time.Now()) {
		t.Error("the flood holds up others")
	}
}
