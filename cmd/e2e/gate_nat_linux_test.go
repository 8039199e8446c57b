package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun"
)

// natChild names the page's URL to the part of TestNAT that runs behind the NAT.
const natChild = "CLOUDRETRO_E2E_NAT"

// Addresses of the network of TestNAT.
const (
	natGate   = "203.0.113.2"
	natWorker = "198.51.100.2"
)

// natNetwork is four namespaces: the browser's network 10.77.0.0/24 lies behind
// a symmetric NAT (a random port for each destination) that lets no UDP through
// to the worker's network; gate and coordinator have a public address.
type natNetwork struct{ client, nat, gate, worker string }

func newNATNetwork(t *testing.T) natNetwork {
	t.Helper()
	id := os.Getpid()
	n := natNetwork{fmt.Sprintf("e2e-client-%d", id), fmt.Sprintf("e2e-nat-%d", id), fmt.Sprintf("e2e-gate-%d", id), fmt.Sprintf("e2e-worker-%d", id)}
	for _, ns := range []string{n.client, n.nat, n.gate, n.worker} {
		sh(t, "ip netns add "+ns)
		t.Cleanup(func() { sh(t, "ip netns del "+ns) })
		sh(t, "ip -n "+ns+" link set lo up")
	}
	for _, link := range []struct{ ns, dev, addr, gateway string }{
		{n.client, "inside", "10.77.0.2/24", "10.77.0.1"},
		{n.gate, "outside", natGate + "/24", "203.0.113.1"},
		{n.worker, "far", natWorker + "/24", "198.51.100.1"},
	} {
		sh(t, fmt.Sprintf("ip -n %s link add eth0 type veth peer name %s netns %s", link.ns, link.dev, n.nat))
		sh(t, fmt.Sprintf("ip -n %s addr add %s dev eth0", link.ns, link.addr))
		sh(t, fmt.Sprintf("ip -n %s link set eth0 up", link.ns))
		sh(t, fmt.Sprintf("ip -n %s addr add %s/24 dev %s", n.nat, link.gateway, link.dev))
		sh(t, fmt.Sprintf("ip -n %s link set %s up", n.nat, link.dev))
		sh(t, fmt.Sprintf("ip -n %s route add default via %s", link.ns, link.gateway))
	}
	sh(t, "ip netns exec "+n.nat+" sysctl -qw net.ipv4.ip_forward=1")
	rules := `
table ip nat {
	chain out { type nat hook postrouting priority srcnat; iifname "inside" masquerade fully-random; }
	chain between {
		type filter hook forward priority filter;
		iifname "inside" oifname "far" drop
		iifname "far" oifname "inside" drop
		oifname "inside" ct state new drop
	}
}`
	cmd := exec.Command("ip", "netns", "exec", n.nat, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: nft cannot make this NAT: %v\n%s", err, out)
	}
	return n
}

func sh(t *testing.T, line string) {
	t.Helper()
	args := strings.Fields(line)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", line, err, out)
	}
}

// startIn runs the binary in a namespace until the test ends.
func startIn(t *testing.T, ns, role string, env []string) {
	t.Helper()
	p, err := startCommand(role, t.TempDir(), env, "ip", "netns", "exec", ns, suite.bin, "--role="+role)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.Log())
		}
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestNAT plays in Chromium behind a symmetric NAT, where no UDP reaches the
// worker: the game comes through the gate.
func TestNAT(t *testing.T) {
	if suite.browser == nil {
		t.Skip("SKIPPED: CLOUDRETRO_E2E is not set; make e2e sets it")
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root may make network namespaces")
	}
	for _, name := range []string{"ip", "nft", "sysctl"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("SKIPPED: %v", err)
		}
	}
	n := newNATNetwork(t)
	env := append(os.Environ(),
		"CLOUDRETRO_COORDINATOR_SERVER_ADDRESS=:8000", "CLOUDRETRO_WORKER_NETWORK_COORDINATORADDRESS="+natGate+":8000",
		"CLOUDRETRO_TURN_COORDINATORADDRESS="+natGate+":8000", "CLOUDRETRO_OPS_ADDRESS=",
		"CLOUDRETRO_SECRETS_WORKER=a-secret-for-the-tests-of-32-bytes",
		`CLOUDRETRO_TURN_LISTENERS=[{"protocol":"udp","address":":3478"},{"protocol":"udp","address":":3479"}]`,
	)
	startIn(t, n.gate, "coordinator,turn", env)
	startIn(t, n.worker, "worker", env)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, "ip", "netns", "exec", n.client, os.Args[0], "-test.run=^TestBehindNAT$", "-test.v")
	child.Env = append(os.Environ(), natChild+"=http://"+natGate+":8000", "CLOUDRETRO_BIN="+suite.bin, "CLOUDRETRO_E2E=1")
	out, err := child.CombinedOutput()
	t.Logf("behind the NAT:\n%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: TestBehindNAT") {
		t.Errorf("behind the NAT: %v", err)
	}
}

// TestBehindNAT is the browser's side of TestNAT.
func TestBehindNAT(t *testing.T) {
	url := os.Getenv(natChild)
	if url == "" {
		t.Skip("SKIPPED: it is a part of TestNAT")
	}
	first, second := mappedAs(t, natGate+":3478", natGate+":3479")
	if first.Port() == second.Port() || first.Addr() != netip.MustParseAddr("203.0.113.1") {
		t.Fatalf("seen as %s and %s: that is no symmetric NAT", first, second)
	}
	s := &Stage{URL: url}
	if err := s.awaitGames(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := open(t, url+"/play/test-card")
	got := eval[pair](t, p, "probe.pair()")
	t.Logf("seen as %s and %s; the pair is %+v", first, second, got)
	if got.Local != "relay" {
		t.Errorf("the pair is %+v, want a relay", got)
	}
	hold(t, p, "KeyZ", "probe.mean() > 215", "probe.mean() < 180")
}

// mappedAs asks two servers, from one socket, how they see it.
func mappedAs(t *testing.T, servers ...string) (first, second netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var seen []netip.AddrPort
	for _, server := range servers {
		to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(server))
		request := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
		eventually(t, "an answer of "+server, func() bool {
			buf := make([]byte, 1500)
			_, _ = conn.WriteTo(request.Raw, to)
			_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
			n, _, err := conn.ReadFrom(buf)
			m := &stun.Message{Raw: buf[:max(n, 0)]}
			var mapped stun.XORMappedAddress
			if err != nil || m.Decode() != nil || m.TransactionID != request.TransactionID || mapped.GetFrom(m) != nil {
				return false
			}
			addr, _ := netip.AddrFromSlice(mapped.IP)
			seen = append(seen, netip.AddrPortFrom(addr.Unmap(), uint16(mapped.Port)))
			return true
		})
	}
	return seen[0], seen[1]
}
