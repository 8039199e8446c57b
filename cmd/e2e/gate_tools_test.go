package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/turn"
	"github.com/cloudretro/cloudretro/turn/relay"
)

// tool is a program of coturn's; without it the test is skipped.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: no %s here; install coturn (deploy/packages.sh bench)", name)
	}
	return path
}

func runTool(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// turnPeer is turnutils_peer, which sends back what it receives at two ports in
// a row; turnutils_uclient binds both, of an RTP and an RTCP flow.
func turnPeer(t *testing.T, g *gate) string {
	t.Helper()
	port, err := freePort(true)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool(t, "turnutils_peer"), "-L", "127.0.0.1", "-p", strconv.Itoa(port))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	g.workers.set(t, g, netip.AddrPortFrom(loopback, uint16(port)), netip.AddrPortFrom(loopback, uint16(port+1)))
	return strconv.Itoa(port)
}

// TestTools has coturn's client relay through each listener, by channels and by
// indications, without loss.
func TestTools(t *testing.T) {
	const clients, messages = 2, 50
	for _, tc := range []struct {
		protocol string
		flags    []string
	}{{turn.UDP, nil}, {turn.TCP, []string{"-t"}}, {turn.TLS, []string{"-t", "-S"}}, {turn.DTLS, []string{"-S"}}} {
		for _, how := range []string{"channels", "indications"} {
			t.Run(tc.protocol+" "+how, func(t *testing.T) {
				t.Parallel() // it waits most of the time
				g := startGate(t, nil)
				peer := turnPeer(t, g)
				args := append([]string{
					"-c", "-n", strconv.Itoa(messages), "-m", strconv.Itoa(clients), "-l", "1200",
					"-e", "127.0.0.1", "-r", peer, "-p", g.port(tc.protocol), "-u", gateUser, "-w", gatePassword,
				}, tc.flags...)
				if how == "indications" {
					args = append(args, "-s")
				}
				tries := 1
				if tc.protocol == turn.TLS || tc.protocol == turn.DTLS {
					tries = tlsTries
				}
				args = append(args, "127.0.0.1")
				if tc.protocol == turn.TLS && how == "channels" { // see tlsTries: only the gate's count is of use
					runTool(t, "turnutils_uclient", args...)
					relayed(t, g, tc.protocol, clients*messages)
					return
				}
				runs := lossless(t, tries, args)
				if how == "channels" {
					relayed(t, g, tc.protocol, uint64(runs*clients*messages))
				}
			})
		}
	}
}

// relayed checks what the gate itself counts as ChannelData. DropSlow are
// answers to a client that has its own and is gone.
func relayed(t *testing.T, g *gate, protocol string, want uint64) {
	t.Helper()
	for _, l := range g.Stats().Listeners {
		if l.Protocol != protocol {
			continue
		}
		if got := l.Relay.Packets; got[relay.Up] < want || got[relay.Down] < want {
			t.Errorf("%d packets up and %d down, want %d", got[relay.Up], got[relay.Down], want)
		}
		for why, n := range l.Relay.Dropped {
			if n > 0 && relay.Drop(why) != relay.DropSlow {
				t.Errorf("%d dropped: %s", n, relay.Drop(why))
			}
		}
	}
}

// tlsTries is how often turnutils_uclient may try over TLS and DTLS. It leaves
// records unread that came together with others and counts them as lost, on a
// busy machine 5 to 9 of 100 of those that coturn 4.6's own server sends it, too.
const tlsTries = 4

// lossless runs turnutils_uclient until it reports no loss, and answers how often.
func lossless(t *testing.T, tries int, args []string) (runs int) {
	t.Helper()
	var out string
	for runs = 1; runs <= tries; runs++ {
		out = runTool(t, "turnutils_uclient", args...)
		found := regexp.MustCompile(`Total lost packets (\d+) .*`).FindStringSubmatch(out)
		if found == nil {
			t.Fatalf("no summary:\n%s", out)
		}
		t.Log(found[0])
		if found[1] == "0" {
			return runs
		}
	}
	t.Errorf("packets are lost:\n%s", out)
	return tries
}

// TestToolsSecret has coturn's client mint its credential itself.
func TestToolsSecret(t *testing.T) {
	g := startGate(t, nil)
	peer := turnPeer(t, g)
	lossless(t, 1, []string{
		"-c", "-n", "10", "-m", "1", "-e", "127.0.0.1", "-r", peer, "-p", g.port(turn.UDP), "-u", "tool", "-W", gateSecret, "127.0.0.1",
	})
}

// TestToolsNAT asks for addresses as tools do that find out about NATs.
func TestToolsNAT(t *testing.T) {
	g := startGate(t, nil)
	want := regexp.MustCompile(`UDP reflexive addr: 127\.0\.0\.1:\d+`)
	for _, args := range [][]string{
		{"turnutils_stunclient"}, {"turnutils_natdiscovery", "-m"}, {"turnutils_natdiscovery", "-f"}, {"turnutils_natdiscovery", "-H"},
	} {
		args = append(args, "-p", g.port(turn.UDP), "127.0.0.1")
		if out := runTool(t, args[0], args[1:]...); !want.MatchString(out) {
			t.Errorf("%s:\n%s", fmt.Sprint(args), out)
		}
	}
}
