package turn

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun"
)

func TestNonces(t *testing.T) {
	n, now := newNonces(), time.Unix(1_800_000_000, 0)
	client, other := netip.MustParseAddrPort("203.0.113.9:5000"), netip.MustParseAddrPort("203.0.113.9:5001")
	nonce := n.mint(client, now)
	if len(nonce) != base64.RawURLEncoding.EncodedLen(nonceSize) || len(nonce) > 128 {
		t.Errorf("a nonce is %d characters long", len(nonce))
	}
	changed := []byte(nonce)
	changed[20] ^= 1
	for _, test := range []struct {
		name   string
		nonce  string
		client netip.AddrPort
		at     time.Time
		want   freshness
	}{
		{"fresh", nonce, client, now, nonceFresh},
		{"just fresh", nonce, client, now.Add(nonceLife - time.Second), nonceFresh},
		{"old", nonce, client, now.Add(nonceLife), nonceStale},
		{"of the future", nonce, client, now.Add(-time.Second), nonceStale},
		{"of another client", nonce, other, now, nonceForeign},
		{"old and of another client", nonce, other, now.Add(time.Hour), nonceStale},
		{"changed", string(changed), client, now, nonceStale},
		{"of another process", newNonces().mint(client, now), client, now, nonceStale},
		{"empty", "", client, now, nonceStale},
		{"long", nonce + "A", client, now, nonceStale},
		{"not base64", strings.Repeat("*", len(nonce)), client, now, nonceStale},
	} {
		if got := n.check([]byte(test.nonce), test.client, test.at); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func FuzzNonce(f *testing.F) {
	n, client, now := newNonces(), loopbackClient(), time.Now()
	f.Add([]byte(newNonces().mint(client, now)))
	f.Add([]byte("AAAA"))
	f.Fuzz(func(t *testing.T, nonce []byte) {
		if n.check(nonce, client, now) != nonceStale {
			t.Errorf("%q is taken", nonce)
		}
	})
}

func TestThrottle(t *testing.T) {
	now := time.Now()
	th := newThrottle(now)
	count := func(addr string, n int, at time.Time) (admitted int) {
		for range n {
			if th.admit(netip.MustParseAddr(addr), at) {
				admitted++
			}
		}
		return admitted
	}
	if n := count("203.0.113.9", 2*strangerBurst, now); n != strangerBurst {
		t.Errorf("%d at once", n)
	}
	if n := count("::ffff:203.0.113.9", 9, now); n != 0 {
		t.Errorf("%d more in another form", n)
	}
	if n := count("203.0.113.10", 2*strangerBurst, now); n != strangerBurst {
		t.Errorf("%d at once for a neighbour", n)
	}
	if n := count("203.0.113.9", 2*strangerRate, now.Add(time.Second)); n != strangerRate {
		t.Errorf("%d a second later", n)
	}
	later := now.Add(time.Minute)
	if n := count("2001:db8::1", 2*strangerBurst, later) + count("2001:db8::ffff:1", 9, later); n != strangerBurst {
		t.Errorf("%d for one network of 64 bits", n)
	}
	if n := count("2001:db8:0:1::1", 9, later); n != 9 {
		t.Errorf("%d for the next network", n)
	}
}

// However many addresses ask, no more than totalRate are answered a second.
func TestThrottleOfAll(t *testing.T) {
	now, admitted := time.Now(), 0
	th := newThrottle(now)
	for i := range 3 * totalRate {
		if th.admit(netip.AddrFrom4([4]byte{198, byte(i >> 16), byte(i >> 8), byte(i)}), now) {
			admitted++
		}
	}
	if admitted != totalRate {
		t.Errorf("%d of %d are answered at once", admitted, 3*totalRate)
	}
	if n := testing.AllocsPerRun(100, func() { th.admit(netip.IPv6Loopback(), now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkThrottle(b *testing.B) {
	th, now := newThrottle(time.Now()), time.Now()
	addr := netip.MustParseAddr("203.0.113.9")
	for b.Loop() {
		th.admit(addr, now)
	}
}

func TestQuotaCounts(t *testing.T) {
	q := newQuota(4, 2, 3)
	one, two, static := account{name: "1:a"}, account{name: "2:b"}, account{"user-1", true}
	here, there := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1")
	neighbour := netip.MustParseAddr("2001:db8::2") // counted as here
	for _, step := range []struct {
		who    account
		client netip.Addr
		want   Refusal
	}{
		{one, here, passed},
		{one, neighbour, passed},
		{one, there, RefusedUserQuota},
		{static, here, passed},
		{two, neighbour, RefusedAddressQuota},
		{static, there, passed},
		{static, there, RefusedCapacity},
	} {
		if why := q.refuses(step.who, step.client); why != step.want {
			t.Errorf("%v at %v is told %s, want %s", step.who, step.client, why, step.want)
		}
		if why := q.reserve(step.who, step.client); why != step.want {
			t.Errorf("%v at %v is refused with %s, want %s", step.who, step.client, why, step.want)
		}
	}
	q.release(one, here)
	if why := q.reserve(two, here); why != passed {
		t.Errorf("after a release: %s", why)
	}
	for _, r := range []struct {
		who    account
		client netip.Addr
	}{{one, here}, {static, here}, {static, there}, {two, here}} {
		q.release(r.who, r.client)
	}
	if q.count() != 0 || len(q.users) != 0 || len(q.networks) != 0 {
		t.Errorf("%d, %v and %v are left", q.count(), q.users, q.networks)
	}
}

func TestRefusalsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for r := range Refusals {
		name := r.String()
		if name == "?" || seen[name] {
			t.Errorf("refusal %d is called %q", r, name)
		}
		seen[name] = true
	}
	if Refusals.String() != "?" {
		t.Error("what is no refusal has a name")
	}
	for why, code := range map[Refusal]stun.ErrorCode{
		RefusedChallenge: 401, RefusedNonce: 438, RefusedReplay: 401, RefusedBad: 400, RefusedUser: 401, RefusedExpired: 401,
		RefusedSecret: 401, RefusedOwner: 441, RefusedUnknown: 420, RefusedNoAllocation: 437, RefusedTransport: 442,
		RefusedFamily: 440, RefusedPeerFamily: 443, RefusedPeer: 403, RefusedUserQuota: 486, RefusedAddressQuota: 486,
		RefusedCapacity: 508, RefusedDraining: 508,
	} {
		if why.code() != code || reason(why, "x") == "" {
			t.Errorf("%s is answered with %d %q", why, why.code(), reason(why, "x"))
		}
	}
}

func TestKeyring(t *testing.T) {
	k := newKeyring("r", Credentials{Secrets: []string{"new", "old"}, Users: []User{{"u", "p"}}})
	now := time.Now()
	sign := func(username, password string) *stun.Message {
		m, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodRefresh, stun.ClassRequest), stun.NewLongTermIntegrity(username, "r", password))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if _, who, why := k.verify(sign("u", "p"), "u", now); why != passed || !who.shared {
		t.Errorf("the static user is %+v, %s", who, why)
	}
	k.set("r", Credentials{Secrets: []string{"new"}})
	if _, _, why := k.verify(sign("u", "p"), "u", now); why != RefusedUser {
		t.Errorf("a user that was taken out: %s", why)
	}
}

// What is read of any message is in bounds, and nobody is taken for somebody.
func FuzzMessage(f *testing.F) {
	id := stun.TransactionID
	for _, m := range []*stun.Message{
		stun.MustBuild(id, stun.NewType(stun.MethodAllocate, stun.ClassRequest), overUDP(), family(1), lifetime(time.Hour)),
		stun.MustBuild(id, stun.NewType(stun.MethodChannelBind, stun.ClassRequest), channel(minChannel), peerAt("[::1]:1"), stun.MessageIntegrity("k")),
		stun.MustBuild(id, stun.NewType(stun.MethodCreatePermission, stun.ClassRequest), peerAt("192.0.2.1:7"), stun.RawAttribute{Type: 0x7fff}),
		stun.MustBuild(id, stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.RawAttribute{Type: stun.AttrMessageIntegrity}, stun.NewUsername("x")),
	} {
		f.Add(m.Raw)
	}
	k := newKeyring("r", Credentials{Secrets: []string{"secret"}})
	f.Fuzz(func(t *testing.T, p []byte) {
		var m stun.Message
		if _, err := m.Write(p); err != nil {
			return
		}
		if key, _, why := k.verify(&m, "9999999999:x", time.Now()); key != nil || why == passed {
			t.Error("a message of nobody is taken")
		}
		protected(&m)
		if m.Contains(stun.AttrMessageIntegrity) {
			t.Error("integrity is left")
		}
		peers, ok := peerAddresses(&m)
		for _, peer := range peers {
			if !ok || !peer.Addr().IsValid() {
				t.Errorf("peer %v, %v", peer, ok)
			}
		}
		if l := lifetimeOf(&m); l != 0 && (l < defaultLifetime || l > maxLifetime) {
			t.Errorf("lifetime %v", l)
		}
		if w, why := wishOf(&m); why == passed && w.dual && (w.six || w.even) {
			t.Errorf("wish %+v", w)
		}
		if len(unknown(&m)) > maxUnknown {
			t.Error("the list of unknown attributes has no end")
		}
		channelOf(&m)
		out, err := forPion(&m, "u", "r", "n", []byte("key"))
		if err != nil || stun.MessageIntegrity("key").Check(out) != nil || out.TransactionID != m.TransactionID {
			t.Errorf("for pion: %v, %v", out, err)
		}
	})
}

// A mapped address must stay one: xorAddress reads exactly what is written.
func TestXORAddress(t *testing.T) {
	for _, s := range []string{"192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853", "[::ffff:127.0.0.1]:1", "0.0.0.0:0"} {
		m := stun.MustBuild(stun.TransactionID, stun.BindingRequest, peerAt(s))
		if list, ok := peerAddresses(m); !ok || len(list) != 1 || list[0].String() != s {
			t.Errorf("%s is read as %v, %v", s, list, ok)
		}
	}
	// RFC 5769 2.2: the mapped address of the sample response.
	id := [stun.TransactionIDSize]byte{0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae}
	addr, ok := xorAddress([]byte{0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43}, id)
	if !ok || addr.String() != "192.0.2.1:32853" {
		t.Errorf("the RFC's sample is read as %v, %v", addr, ok)
	}
	for _, value := range [][]byte{nil, {0, 1, 2}, {0, 1, 0, 0, 1, 2, 3}, {0, 2, 0, 0, 1, 2, 3, 4}, {0, 3, 0, 0, 1, 2, 3, 4}, make([]byte, 20)} {
		if addr, ok := xorAddress(value, id); ok {
			t.Errorf("%v is read as %v", value, addr)
		}
	}
}

func TestLifetime(t *testing.T) {
	for _, test := range []struct {
		method stun.Method
		asked  time.Duration
		want   time.Duration
	}{
		{stun.MethodAllocate, 0, defaultLifetime},
		{stun.MethodAllocate, time.Second, defaultLifetime},
		{stun.MethodAllocate, 20 * time.Minute, 20 * time.Minute},
		{stun.MethodAllocate, 100 * time.Hour, maxLifetime},
		{stun.MethodRefresh, 0, 0},
		{stun.MethodRefresh, time.Second, defaultLifetime},
		{stun.MethodRefresh, time.Hour, maxLifetime},
	} {
		m := stun.MustBuild(stun.TransactionID, stun.NewType(test.method, stun.ClassRequest), lifetime(test.asked))
		if got := lifetimeOf(m); got != test.want {
			t.Errorf("%s for %v gets %v", test.method, test.asked, got)
		}
	}
	if got := lifetimeOf(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodRefresh, stun.ClassRequest))); got != defaultLifetime {
		t.Errorf("without a wish: %v", got)
	}
}
