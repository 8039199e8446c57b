package turn

import (
	"net/netip"
	"testing"
	"time"
)

func addrs(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

func admissionOf(static ...Peer) *admission { return newAdmission(static, newOwnAddresses(nil)) }

func peersOf(t *testing.T, list ...string) []Peer {
	t.Helper()
	var out []Peer
	for _, s := range list {
		p, err := ParsePeer(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// expect checks why addresses are refused to a client far away.
func expect(t *testing.T, a *admission, want map[string]string) {
	t.Helper()
	client := netip.MustParseAddrPort("203.0.113.9:5000")
	for s, why := range want {
		if got := a.refuses(client, netip.MustParseAddrPort(s)); got != why {
			t.Errorf("%s is refused with %q, want %q", s, got, why)
		}
		if allowed := a.Allows(client, netip.MustParseAddrPort(s)); allowed != (why == "") {
			t.Errorf("Allows(%s) = %v", s, allowed)
		}
	}
}

func TestAdmissionOfSources(t *testing.T) {
	a := admissionOf()
	before := a.Generation()
	if n := a.update("a", addrs("10.0.0.1:1", "[::ffff:10.0.0.9]:1", "[fd00::1%eth0]:7")); n != 3 {
		t.Errorf("%d addresses are of use", n)
	}
	if n := a.update("b", addrs("10.0.0.1:1", "10.0.0.2:2", "169.254.169.254:80", "224.0.0.1:1", "0.0.0.0:1", "10.0.0.3:0", "[64:ff9b::1]:1")); n != 2 {
		t.Errorf("%d addresses are of use", n)
	}
	if a.Generation() == before {
		t.Error("the generation stays the same")
	}
	expect(t, a, map[string]string{
		"10.0.0.1:1": "", "10.0.0.2:2": "", "10.0.0.9:1": "", "[fd00::1]:7": "",
		"10.0.0.1:2": whyPort, "10.0.0.3:1": whyPrivate, "127.0.0.1:1": whyLoopback,
		"169.254.169.254:80": whyLinkLocal, "198.51.100.1:1": whyNoWorker,
	})
	a.update("b", nil)
	expect(t, a, map[string]string{"10.0.0.1:1": "", "10.0.0.2:2": whyPrivate})
	if a.count() != 3 {
		t.Errorf("%d addresses are kept", a.count())
	}
	if addr, ok := a.anyWorker(true); !ok || addr.String() != "[fd00::1]:7" {
		t.Errorf("the IPv6 worker is %v, %v", addr, ok)
	}
	a.update("a", nil)
	if _, ok := a.anyWorker(false); ok {
		t.Error("a worker is left")
	}
}

// A worker's loopback address is for clients on this machine only; one that the
// operator lists is for all.
func TestAdmissionOfLoopback(t *testing.T) {
	a := admissionOf(Peer{Prefix: netip.MustParsePrefix("127.0.0.2/32"), Port: 7})
	a.update("a", addrs("127.0.0.1:8443", "[::1]:8443", "[::ffff:127.0.0.3]:8443"))
	for _, s := range []string{"127.0.0.1:8443", "[::1]:8443", "127.0.0.3:8443"} {
		if why := a.refuses(loopbackClient(), netip.MustParseAddrPort(s)); why != "" {
			t.Errorf("%s is refused to a client on this machine: %s", s, why)
		}
		if why := a.refusesIP(loopbackClient(), netip.MustParseAddrPort(s).Addr()); why != "" {
			t.Errorf("any port of %s is refused to a client on this machine: %s", s, why)
		}
		expect(t, a, map[string]string{s: whyLoopback})
	}
	expect(t, a, map[string]string{"127.0.0.2:7": "", "127.0.0.2:8": whyPort})
}

func TestAdmissionOfPrefixes(t *testing.T) {
	expect(t, admissionOf(peersOf(t, "10.1.0.0/16", "192.0.2.1:8443", "2001:db8::/32")...), map[string]string{
		"10.1.2.3:9": "", "10.2.0.1:9": whyPrivate, "192.0.2.1:8443": "", "192.0.2.1:1": whyPort,
		"[2001:db8::1]:1": "", "[2001:db9::1]:1": whyNoWorker,
	})
	all := admissionOf(peersOf(t, "0.0.0.0/0", "::/0", "127.0.0.2:7", "169.254.169.254:80")...)
	expect(t, all, map[string]string{
		"198.51.100.1:1": "", "[2001:db8::1]:1": "", "127.0.0.1:1": whyLoopback, "169.254.169.253:80": whyLinkLocal,
		"224.0.0.1:1": whyMulticast, "0.0.0.0:1": whyReserved, "255.255.255.255:1": whyReserved, "10.0.0.1:1": whyPrivate,
		"172.31.0.1:1": whyPrivate, "172.32.0.1:1": "", "100.127.0.1:1": whyPrivate, "[fd00::1]:1": whyPrivate,
		"[fe80::1]:1": whyLinkLocal, "[::1]:1": whyLoopback, "[::]:1": whyReserved, "[ff02::1]:1": whyMulticast,
		"[::ffff:198.51.100.1]:1": whyEmbedded, "[64:ff9b::c633:6401]:1": whyEmbedded, "[::127.0.0.1]:1": whyEmbedded,
		"[2002:c633:6401::]:1": whyEmbedded, "[::ffff:0:7f00:1]:1": whyEmbedded,
		"127.0.0.2:7": "", "127.0.0.2:8": whyPort, "169.254.169.254:80": "", "169.254.169.254:81": whyPort,
	})
	// Forms that embed an IPv4 address are refused even where they are named.
	expect(t, admissionOf(peersOf(t, "64:ff9b::7f00:1", "64:ff9b::/96", "2002::/16")...), map[string]string{
		"[64:ff9b::7f00:1]:1": whyEmbedded, "[2002::1]:1": whyEmbedded,
	})
	expect(t, admissionOf(peersOf(t, "10.0.0.0/8", "192.168.0.0/12", "100.64.0.0/10", "fc00::/7")...), map[string]string{
		"10.9.9.9:1": "", "192.168.1.1:1": whyPrivate /* the prefix is wider than the range */, "100.64.0.1:1": "", "[fd12::1]:1": "",
	})
	expect(t, admissionOf(peersOf(t, "0.0.0.0/0", "100.64.0.0/10", "fd00::/8")...), map[string]string{
		"168.63.129.16:80": whyMetadata, "100.100.100.200:80": whyMetadata, "[fd00:ec2::254]:80": whyMetadata, "[fd20:ce::254]:80": whyMetadata, "100.100.100.201:80": "",
	})
	for s, why := range map[string]string{"198.51.100.1": "", "127.0.0.1": whyLoopback, "127.0.0.2": "", "10.0.0.1": whyPrivate} {
		if got := all.refusesIP(loopbackClient(), netip.MustParseAddr(s)); got != why {
			t.Errorf("any port of %s is refused with %q, want %q", s, got, why)
		}
	}
}

// A prefix does not open what is shut, unless it names just that.
func TestAdmissionShut(t *testing.T) {
	a := admissionOf()
	before := a.Generation()
	a.open(peersOf(t, "10.0.0.0/8", "10.96.0.53", "2001:db8::/32"), []netip.Addr{
		netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("10.96.0.53"), netip.MustParseAddr("2001:db8::1"),
	})
	if a.Generation() == before {
		t.Error("the generation stays the same")
	}
	expect(t, a, map[string]string{
		"10.96.0.10:53": whyService, "10.96.0.53:53": "", "10.96.0.11:53": "", "[2001:db8::1]:53": whyService, "[2001:db8::2]:53": "",
	})
	for s, why := range map[string]string{"10.96.0.10": whyPrivate, "10.96.0.53": "", "10.96.0.11": ""} {
		if got := a.refusesIP(loopbackClient(), netip.MustParseAddr(s)); got != why {
			t.Errorf("any port of %s is refused with %q, want %q", s, got, why)
		}
	}
	a.open(peersOf(t, "10.0.0.0/8"), nil)
	expect(t, a, map[string]string{"10.96.0.10:53": ""})
}

// What a client has bound outlives the worker's place on the list, for as long
// as the client keeps it up.
func TestAdmissionHolds(t *testing.T) {
	a := admissionOf()
	worker := netip.MustParseAddrPort("10.0.0.1:1")
	client, other := netip.MustParseAddrPort("203.0.113.9:5000"), netip.MustParseAddrPort("203.0.113.9:5001")
	now := time.Now()
	a.hold(client, worker, now, time.Hour) // before its allocation: nothing to hold it by
	if a.holds(client, worker, now) {
		t.Error("held without an allocation")
	}
	a.enter(client)
	a.enter(client)
	a.enter(other)
	a.hold(client, worker, now, channelLife)
	a.hold(client, worker, now, permissionLife) // shortens nothing
	if !a.holds(client, worker, now.Add(channelLife-1)) || a.holds(client, worker, now.Add(channelLife)) {
		t.Error("the hold does not last as long as a channel")
	}
	if a.holds(other, worker, now) || !a.Allows(client, worker) || a.Allows(other, worker) {
		t.Error("another client holds it too")
	}
	a.leave(client)
	if !a.Allows(client, worker) {
		t.Error("the hold ends with one of two allocations")
	}
	a.leave(client)
	a.leave(client) // more often than it came
	if a.Allows(client, worker) || len(a.held) != 1 {
		t.Error("the hold outlives the allocations")
	}
}

func TestAdmissionHoldsSoManyOnly(t *testing.T) {
	a, client, now := admissionOf(), loopbackClient(), time.Now()
	a.enter(client)
	peer := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)
	}
	for i := range 2 * maxHeld {
		a.hold(client, peer(i), now, time.Minute)
	}
	if n := len(a.held[client].peers); n != maxHeld {
		t.Errorf("%d peers are held", n)
	}
	later := now.Add(time.Minute)
	a.hold(client, peer(2*maxHeld), later, time.Minute)
	if !a.holds(client, peer(2*maxHeld), later) || len(a.held[client].peers) != 1 {
		t.Error("what has expired keeps others out")
	}
}

func TestOwnAddresses(t *testing.T) {
	public := netip.MustParseAddr("203.0.113.1")
	own := newOwnAddresses([]netip.Addr{public})
	a := newAdmission(peersOf(t, "203.0.113.1", "127.0.0.1", "127.0.0.5"), own)
	expect(t, a, map[string]string{"203.0.113.1:3478": "", "127.0.0.1:3478": ""})
	own.add(3478, time.Now())
	own.add(3478, time.Now()) // two listeners
	own.remove(3478)
	expect(t, a, map[string]string{"203.0.113.1:3478": whyOwn, "127.0.0.1:3478": whyOwn, "127.0.0.5:3478": whyOwn, "203.0.113.1:3479": ""})
	own.remove(3478)
	expect(t, a, map[string]string{"203.0.113.1:3478": ""})
	for _, p := range everyInterface(t, 99) {
		own.add(99, time.Now())
		if !own.has(p.addrPort()) {
			t.Errorf("%s is not known as ours", p.addrPort())
		}
	}
}

func TestAdmissionAllocatesNothing(t *testing.T) {
	a := admissionOf(peersOf(t, "10.1.0.0/16")...)
	a.update("a", addrs("10.0.0.1:1"))
	yes, no, client := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:1"), loopbackClient()
	if n := testing.AllocsPerRun(100, func() { a.Allows(client, yes); a.Allows(client, no) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAdmission(b *testing.B) {
	a := admissionOf()
	a.update("a", addrs("10.0.0.1:1", "10.0.0.2:1"))
	yes, client := netip.MustParseAddrPort("10.0.0.2:1"), loopbackClient()
	for b.Loop() {
		a.Allows(client, yes)
	}
}
