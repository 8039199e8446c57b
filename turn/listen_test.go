package turn

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/turn/relay"
)

// everyListener is one of each protocol, and of each family that there is.
func everyListener(t *testing.T) []Listener {
	list := []Listener{
		{Protocol: UDP, Address: "127.0.0.1:0"},
		{Protocol: TCP, Address: "127.0.0.1:0"},
		{Protocol: TLS, Address: "localhost:0"},
		{Protocol: DTLS, Address: "127.0.0.1:0"},
		{Protocol: UDP, Address: ":0"},
		{Protocol: TCP, Address: ":0"},
	}
	if conn, err := net.ListenPacket("udp6", "[::1]:0"); err == nil {
		conn.Close()
		list = append(list,
			Listener{Protocol: UDP, Address: "[::1]:0"}, Listener{Protocol: TCP, Address: "[::1]:0"},
			Listener{Protocol: TLS, Address: "[::1]:0"}, Listener{Protocol: DTLS, Address: "[::1]:0"})
	}
	return list
}

// carries sends up and down over a channel that is bound to a peer.
func (c *caller) carries(t *testing.T, number uint16, peer *net.UDPConn) {
	t.Helper()
	buf := make([]byte, 2048)
	c.channelData(number, "hello")
	_ = peer.SetReadDeadline(time.Now().Add(patient))
	n, from, err := peer.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("up: %q, %v", buf[:n], err)
	}
	if _, err := peer.WriteTo([]byte("and back"), from); err != nil {
		t.Fatal(err)
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(patient))
	n, err = c.read(buf)
	if err != nil || n < 12 || binary.BigEndian.Uint16(buf) != number || string(buf[4:12]) != "and back" {
		t.Fatalf("down: %q, %v", buf[:n], err)
	}
}

// Each listener allocates, binds, and relays both ways, to both families.
func TestListeners(t *testing.T) {
	four := socket(t, "127.0.0.1:0")
	list := everyListener(t)
	families := map[byte]*net.UDPConn{familyIPv4: four}
	if len(list) > 6 {
		conn, err := net.ListenPacket("udp6", "[::1]:0")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		families[familyIPv6] = conn.(*net.UDPConn)
	}
	g := start(t, func(c *Config) {
		c.Listeners = list
		for _, conn := range families {
			c.Peers = append(c.Peers, peerOf(conn))
		}
	})
	for i, l := range list {
		for f, peer := range families {
			t.Run(l.String()+" to family "+map[byte]string{familyIPv4: "4", familyIPv6: "6"}[f], func(t *testing.T) {
				c := g.call(t, i).minted("abc").allocate(family(f))
				if code := c.ask(stun.MethodChannelBind, channel(minChannel), xorPeer(peerOf(peer).addrPort())); code != 0 {
					t.Fatalf("no channel: %d %s", code, c.wasRefused)
				}
				c.carries(t, minChannel, peer)
				until(t, "the count", func() bool {
					s := g.Stats().Listeners[i]
					return s.Relay.Packets[relay.Up] > 0 && s.Relay.Packets[relay.Down] > 0 && s.Opened > 0 && s.Relay.Allocations == 1
				})
				c.end()
				until(t, "the end of the relay", func() bool { return g.Stats().Allocations == 0 })
			})
		}
	}
}

// A connection that ends takes its relay along.
func TestStreamEndsItsRelay(t *testing.T) {
	list := everyListener(t)[1:4]
	g := start(t, func(c *Config) { c.Listeners = list })
	for i := range list {
		c := g.call(t, i).minted("abc").allocate()
		if n := g.Stats().Allocations; n != 1 {
			t.Fatalf("%d relays are open", n)
		}
		c.conn.Close()
		until(t, "the end of the relay over "+list[i].Protocol, func() bool { return g.Stats().Allocations == 0 })
	}
}

// Who asks for both families gets one and is told so; who asks for an even port
// gets one.
func TestAllocateWishes(t *testing.T) {
	g := start(t, func(c *Config) { c.RelayAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.7")} })
	c := g.call(t, 0).minted("abc")
	c.challenge()
	answer := c.exchange(c.build(stun.MethodAllocate, true, overUDP(), stun.RawAttribute{Type: attrAdditionalFamily, Value: []byte{2, 0, 0, 0}}))
	if code := c.code(answer); code != 0 {
		t.Fatalf("answered with %d", code)
	}
	if why, err := answer.Get(attrAddressError); err != nil || string(why) != "\x02\x00\x04\x28" {
		t.Errorf("ADDRESS-ERROR-CODE is %x, %v", why, err)
	}
	relayed, err := answer.Get(stun.AttrXORRelayedAddress)
	if err != nil {
		t.Fatal(err)
	}
	if addr, ok := xorAddress(relayed, answer.TransactionID); !ok || addr.Addr().String() != "192.0.2.7" {
		t.Errorf("the relay is at %v, %v", addr, ok)
	}
	c.end()
	for range 4 {
		even := g.call(t, 0).minted("def").allocate(stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0}})
		if port := relayedOf(t, g, even).Port(); port%2 != 0 || port < minRelayPort {
			t.Errorf("port %d is not even", port)
		}
		even.end()
	}
	if code := g.call(t, 0).minted("ghi").ask(stun.MethodAllocate, overUDP(), family(familyIPv6)); code != 0 && code != 440 {
		t.Errorf("IPv6 is answered with %d", code)
	}
}

// A retransmitted request gets the same answer, not 437 or a second relay.
func TestRetransmission(t *testing.T) {
	g := start(t, nil)
	c := g.call(t, 0).minted("abc")
	c.challenge()
	request := c.build(stun.MethodAllocate, true, overUDP())
	first, second := c.exchange(request), c.exchange(request)
	if c.code(first) != 0 || !first.Equal(second) {
		t.Errorf("%v and then %v", first, second)
	}
	if n := g.Stats().Allocations; n != 1 {
		t.Errorf("%d relays are open", n)
	}
}

// The 401 of a stranger, a STUN client's address, and CHANGE-REQUEST, which is
// for servers with two addresses.
func TestStrangers(t *testing.T) {
	g := start(t, func(c *Config) { c.Listeners = everyListener(t)[:4] })
	for i := range 4 {
		c := g.call(t, i)
		answer := c.exchange(stun.MustBuild(stun.TransactionID, stun.BindingRequest))
		var mapped stun.XORMappedAddress
		if err := mapped.GetFrom(answer); err != nil || mapped.String() != c.conn.LocalAddr().String() {
			t.Errorf("%s: the client is told %s, %v", g.doors[i].listener, mapped, err)
		}
		change := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.RawAttribute{Type: stun.AttrChangeRequest, Value: make([]byte, 4)})
		if code := c.code(c.exchange(change)); code != 420 {
			t.Errorf("CHANGE-REQUEST is answered with %d", code)
		}
	}
}

// Another credential may not touch a client's relay.
func TestOwner(t *testing.T) {
	g := start(t, func(c *Config) { c.Users = []User{{"u", "p"}} })
	c := g.call(t, 0).minted("abc").allocate()
	if code := c.as("u", "p").ask(stun.MethodRefresh, lifetime(0)); code != 441 {
		t.Errorf("answered with %d", code)
	}
	if n := g.Stats().Allocations; n != 1 {
		t.Errorf("%d relays are open", n)
	}
}

// The whole port of a name that has no address of the wanted family.
func TestResolve(t *testing.T) {
	for _, test := range []struct {
		in, want string
		anywhere bool
	}{
		{":3478", "[::]:3478", true},
		{"0.0.0.0:1", "0.0.0.0:1", false},
		{"[::]:1", "[::]:1", false},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{"[::ffff:127.0.0.1]:7", "127.0.0.1:7", false},
		{"localhost:5", "127.0.0.1:5", false},
	} {
		addr, anywhere, err := resolve(test.in)
		if err != nil || addr.String() != test.want || anywhere != test.anywhere {
			t.Errorf("%s is %v, %v, %v", test.in, addr, anywhere, err)
		}
	}
	for _, in := range []string{"", "nonsense", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1"} {
		if addr, _, err := resolve(in); err == nil {
			t.Errorf("%q is %v", in, addr)
		}
	}
	if s := (Listener{Protocol: TLS, Address: ":1"}).String(); !strings.Contains(s, "tls") {
		t.Errorf("a listener is called %q", s)
	}
}

func FuzzClientHello(f *testing.F) {
	f.Add([]byte("\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01"))
	f.Add([]byte("\x17\xfe\xfd"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if isClientHello(p) && (len(p) < 14 || p[0] != 22) {
			t.Errorf("%x is taken for a ClientHello", p)
		}
	})
}
