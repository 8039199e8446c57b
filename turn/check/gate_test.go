package check

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/turn"
)

// gate is our own server, with listeners of all kinds; it answers their URLs.
func gate(t *testing.T, change func(*turn.Config)) []string {
	t.Helper()
	cfg := turn.Config{Secrets: []string{secret}, Users: []turn.User{{Name: user, Password: password}}}
	for _, protocol := range []string{turn.UDP, turn.TCP, turn.TLS, turn.DTLS} {
		cfg.Listeners = append(cfg.Listeners, turn.Listener{Protocol: protocol, Address: "127.0.0.1:0"})
	}
	change(&cfg)
	g, err := turn.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("gate: %v", err)
		}
	})
	return g.URLs()
}

func open(t *testing.T, addrs ...string) func(*turn.Config) {
	t.Helper()
	return func(cfg *turn.Config) {
		for _, a := range addrs {
			p, err := turn.ParsePeer(a)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Peers = append(cfg.Peers, p)
		}
	}
}

func TestGateWell(t *testing.T) {
	peer := worker(t, 1)
	legs := []string{
		"resolve stun allocate peer data", "resolve connect stun allocate peer data",
		"resolve connect tls stun allocate peer data", "resolve dtls stun allocate peer data",
	}
	for i, url := range gate(t, open(t, peer.String())) {
		cfg := quick(url)
		cfg.Worker, cfg.Insecure = peer, true
		wantLegs(t, walk(t, cfg), legs[i])
		cfg.User, cfg.Password = user, password
		wantLegs(t, walk(t, cfg), legs[i])
		cfg.Password = "pass-2"
		wantCause(t, walk(t, cfg), 401, "password", "turn.users")
		cfg.User, cfg.Password, cfg.Secret = "", "", "another secret"
		wantCause(t, walk(t, cfg), 401, "secret")
	}
}

// A worker of the other family makes the check ask for a relay of that family.
func TestGateIPv6(t *testing.T) {
	conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skipf("SKIPPED: no IPv6 here: %v", err)
	}
	peer := answerProbes(t, conn, 1)
	cfg := quick(gate(t, func(c *turn.Config) {
		open(t, "["+peer.Addr().String()+"]:"+port(conn.LocalAddr()))(c)
		c.RelayAddresses = []netip.Addr{netip.MustParseAddr("::1")}
	})[0])
	cfg.Worker = peer
	wantLegs(t, walk(t, cfg), "resolve stun allocate peer data")
}

// A gate without certificate files makes one.
func TestGateSelfMade(t *testing.T) {
	urls := gate(t, func(*turn.Config) {})
	r := walk(t, quick(urls[2]))
	wantLegs(t, r, "resolve connect tls!")
	wantCause(t, r, 0, "self-made", "turn.tls")
	r = walk(t, quick(urls[3]))
	wantLegs(t, r, "resolve dtls!")
	wantCause(t, r, 0, "self-made", "turn.tls")
}

func TestGateRelaysToWorkersOnly(t *testing.T) {
	r := walk(t, quick(gate(t, func(*turn.Config) {})[0]))
	wantLegs(t, r, "resolve stun allocate peer?")
	wantCause(t, r, 0, "the gate is well", "loopback", "--worker")
	if _, failed := r.Failed(); failed {
		t.Error("a gate that is locked down is taken for one that failed")
	}
}

func TestGateRules(t *testing.T) {
	url := gate(t, open(t, "203.0.113.7:8443"))[0]
	for peer, want := range map[string]string{
		"203.0.113.7:8444": "webrtc.singlePort", "203.0.113.8:8443": "turn.coordinatorAddress", "10.0.0.1:80": "turn.peers",
		"127.0.0.1:80": "loopback", "169.254.169.254:80": "link-local", "224.0.0.1:80": "multicast",
	} {
		cfg := quick(url)
		cfg.Worker = netip.MustParseAddrPort(peer)
		r := walk(t, cfg)
		wantLegs(t, r, "resolve stun allocate peer!")
		wantCause(t, r, int(stun.CodeForbidden), "403", peer, want)
	}
}

func TestGateIsFull(t *testing.T) {
	peer := worker(t, 1)
	url := gate(t, func(cfg *turn.Config) {
		open(t, peer.String())(cfg)
		cfg.MaxAllocations = 1
	})[0]
	cfg := quick(url)
	cfg.Worker = peer
	for range 3 { // each frees its own
		wantLegs(t, walk(t, cfg), "resolve stun allocate peer data")
	}
	first := &run{cfg: cfg, each: func(Leg) {}}
	if err := first.cfg.complete(); err != nil {
		t.Fatal(err)
	}
	var err error
	if first.target, err = parseTarget(url); err != nil {
		t.Fatal(err)
	}
	defer first.close()
	for _, s := range first.steps()[:3] {
		if first.walk(t.Context(), s) != Passed {
			t.Fatal(first.report)
		}
	}
	r := walk(t, cfg)
	wantLegs(t, r, "resolve stun allocate!")
	wantCause(t, r, int(stun.CodeInsufficientCapacity), "508", "turn.maxAllocations")
}
