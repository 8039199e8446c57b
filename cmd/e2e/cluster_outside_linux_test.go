package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// outsideAddress is one in the network of the namespace that outside makes, n of
// its last byte (RFC 2544 benchmarking: nobody's). It goes by the process: what one
// that was killed left behind is not in another's way.
func outsideAddress(n int) string { return fmt.Sprintf("198.18.%d.%d", os.Getpid()%256, n) }

// outside is a Chromium that reaches these addresses and nothing else, above all
// neither pods nor Services: it runs in a network namespace behind this machine.
func outside(t *testing.T, addresses ...netip.Addr) *Browser {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root may make network namespaces")
	}
	for _, name := range []string{"ip", "iptables", "nsenter", "sysctl"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("SKIPPED: %v", err)
		}
	}
	path, err := chromium()
	if err != nil {
		t.Fatal(err)
	}
	ns, link := fmt.Sprintf("e2e-outside-%d", os.Getpid()), fmt.Sprintf("e2eo%d", os.Getpid())
	joinOutside(t, ns, link, addresses)
	script := filepath.Join(t.TempDir(), "chromium")
	line := fmt.Sprintf("#!/bin/sh\nexec nsenter --net=/run/netns/%s -- %s \"$@\"\n", ns, path)
	if err := os.WriteFile(script, []byte(line), 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := startBrowser(context.Background(), script) // it tells what it sees after a test has failed, too
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// joinOutside makes the namespace, with routes to the addresses alone.
func joinOutside(t *testing.T, ns, link string, addresses []netip.Addr) {
	t.Helper()
	sh(t, "ip netns add "+ns)
	t.Cleanup(func() { sh(t, "ip netns del "+ns) })
	sh(t, "ip -n "+ns+" link set lo up")
	sh(t, fmt.Sprintf("ip link add %s type veth peer name eth0 netns %s", link, ns))
	t.Cleanup(func() { sh(t, "ip link del "+link) }) // the namespace may outlive its name
	sh(t, fmt.Sprintf("ip addr add %s/24 dev %s", outsideAddress(1), link))
	sh(t, "ip link set "+link+" up")
	sh(t, fmt.Sprintf("ip -n %s addr add %s/24 dev eth0", ns, outsideAddress(2)))
	sh(t, fmt.Sprintf("ip -n %s link set eth0 up", ns))
	for _, a := range addresses {
		routeOutside(t, ns, a)
	}
	forwards, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	if err != nil {
		t.Fatal(err)
	}
	sh(t, "sysctl -qw net.ipv4.ip_forward=1")
	t.Cleanup(func() { sh(t, "sysctl -qw net.ipv4.ip_forward="+string(forwards)) })
	// At the head of the chain: an engine of containers may drop what is forwarded.
	for _, rule := range []string{
		"FORWARD -i " + link + " -j ACCEPT", "FORWARD -o " + link + " -j ACCEPT",
		"POSTROUTING -t nat -s " + outsideAddress(0) + "/24 -j MASQUERADE",
	} {
		sh(t, "iptables -w -I "+rule)
		t.Cleanup(func() { sh(t, "iptables -w -D "+rule) })
	}
}

// routeOutside lets the namespace reach an address.
func routeOutside(t *testing.T, ns string, address netip.Addr) {
	t.Helper()
	sh(t, fmt.Sprintf("ip -n %s route replace %s via %s", ns, address, outsideAddress(1)))
}
