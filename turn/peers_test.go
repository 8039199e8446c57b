package turn

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func addrs(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

func expect(t *testing.T, p *peers, want map[string]bool) {
	t.Helper()
	for s, ok := range want {
		if got := p.allows(netip.MustParseAddrPort(s), false); got != ok {
			t.Errorf("allows(%s) = %v", s, got)
		}
	}
}

func TestPeersUnionOfCoordinators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(nil)
		expect(t, p, map[string]bool{"127.0.0.1:1": false})
		p.update("a", addrs("10.0.0.1:1", "[::ffff:10.0.0.9]:1"), time.Now())
		p.update("b", addrs("10.0.0.1:1", "10.0.0.2:2"), time.Now())
		expect(t, p, map[string]bool{
			"10.0.0.1:1": true, "10.0.0.2:2": true, "10.0.0.9:1": true,
			"10.0.0.1:2": false, "10.0.0.2:1": false, "127.0.0.1:1": false, "169.254.169.254:80": false,
		})
		p.update("b", nil, time.Now())
		time.Sleep(peerGrace)
		expect(t, p, map[string]bool{"10.0.0.1:1": true, "10.0.0.2:2": false})
		if p.allowsIP(netip.MustParseAddr("10.0.0.2"), true) || !p.allowsIP(netip.MustParseAddr("10.0.0.1"), true) {
			t.Error("the addresses do not follow the ports")
		}
	})
}

// A worker's loopback address is for clients on this machine only; one that the
// operator lists is for all.
func TestPeersLoopback(t *testing.T) {
	p := newPeers([]Peer{{netip.MustParsePrefix("127.0.0.2/32"), 7}})
	p.update("a", addrs("127.0.0.1:8443", "[::1]:8443", "[::ffff:127.0.0.3]:8443"), time.Now())
	for _, s := range []string{"127.0.0.1:8443", "[::1]:8443", "127.0.0.3:8443"} {
		addr := netip.MustParseAddrPort(s)
		if !p.allows(addr, true) || !p.allowsIP(addr.Addr(), true) {
			t.Errorf("%s is refused to a client on this machine", s)
		}
		if p.allows(addr, false) || p.allowsIP(addr.Addr(), false) {
			t.Errorf("%s is open to the world", s)
		}
	}
	if addr := netip.MustParseAddrPort("127.0.0.2:7"); !p.allows(addr, false) || !p.allowsIP(addr.Addr(), false) {
		t.Error("what the operator lists is refused")
	}
}

func TestPeersGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(nil)
		p.update("a", addrs("10.0.0.1:1", "10.0.0.1:2"), time.Now())
		p.update("a", addrs("10.0.0.1:2"), time.Now())
		time.Sleep(peerGrace / 2)
		p.update("a", addrs("10.0.0.1:2", "10.0.0.3:3"), time.Now()) // does not prolong
		expect(t, p, map[string]bool{"10.0.0.1:1": true})
		time.Sleep(peerGrace/2 - 1)
		expect(t, p, map[string]bool{"10.0.0.1:1": true})
		time.Sleep(time.Nanosecond)
		expect(t, p, map[string]bool{"10.0.0.1:1": false, "10.0.0.1:2": true})
		if !p.allowsIP(netip.MustParseAddr("10.0.0.1"), true) {
			t.Error("the address with a live port is refused")
		}
		p.update("a", addrs(), time.Now())
		p.update("a", addrs("10.0.0.1:2"), time.Now()) // back again
		time.Sleep(2 * peerGrace)
		expect(t, p, map[string]bool{"10.0.0.1:2": true})
		p.update("a", addrs("10.0.0.1:2"), time.Now())
		if p.count() != 1 {
			t.Errorf("%d addresses are kept", p.count())
		}
	})
}

func TestPeersStatic(t *testing.T) {
	p := newPeers([]Peer{
		{netip.MustParsePrefix("10.1.0.0/16"), 0},
		{netip.MustParsePrefix("192.0.2.1/32"), 8443},
	})
	expect(t, p, map[string]bool{"10.1.2.3:9": true, "10.2.0.1:9": false, "192.0.2.1:8443": true, "192.0.2.1:1": false})
	all := newPeers([]Peer{{netip.MustParsePrefix("0.0.0.0/0"), 0}, {netip.MustParsePrefix("127.0.0.2/32"), 7}})
	expect(t, all, map[string]bool{
		"192.0.2.1:1": true, "127.0.0.1:1": false, "169.254.169.254:80": false, "224.0.0.1:1": false, "0.0.0.0:1": false,
		"127.0.0.2:7": true, "127.0.0.2:8": false,
	})
	if all.allowsIP(netip.MustParseAddr("127.0.0.1"), true) || !all.allowsIP(netip.MustParseAddr("127.0.0.2"), true) {
		t.Error("allowsIP is wrong for loopback")
	}
	if !p.allowsIP(netip.MustParseAddr("192.0.2.1"), true) || p.allowsIP(netip.MustParseAddr("192.0.2.2"), true) {
		t.Error("allowsIP is wrong for the static list")
	}
}

func TestPeersAllocateNothing(t *testing.T) {
	p := newPeers([]Peer{{netip.MustParsePrefix("10.1.0.0/16"), 0}})
	p.update("a", addrs("10.0.0.1:1"), time.Now())
	yes, no := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:1")
	if n := testing.AllocsPerRun(100, func() { p.allows(yes, false); p.allows(no, false) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
