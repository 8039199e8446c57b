package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// echoes are two ports in a row that send back what they receive, as
// turnutils_peer does; turnutils_uclient binds both, of an RTP and an RTCP flow.
type echoes struct {
	port     string // the first
	received atomic.Int64
}

func newEchoes(t *testing.T, g *gate) *echoes {
	t.Helper()
	loopback := net.IPv4(127, 0, 0, 1)
	for range 100 {
		one, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback})
		if err != nil {
			t.Fatal(err)
		}
		at := one.LocalAddr().(*net.UDPAddr).AddrPort()
		two, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback, Port: int(at.Port()) + 1})
		if err != nil {
			_ = one.Close()
			continue // it is taken
		}
		e := &echoes{port: strconv.Itoa(int(at.Port()))}
		var serving sync.WaitGroup
		for _, conn := range []*net.UDPConn{one, two} {
			serving.Go(func() { e.serve(conn) })
		}
		t.Cleanup(func() {
			_, _ = one.Close(), two.Close()
			serving.Wait()
		})
		g.workers.set(t, g, at, netip.AddrPortFrom(at.Addr(), at.Port()+1))
		return e
	}
	t.Fatal("no two free ports in a row")
	return nil
}

func (e *echoes) serve(conn *net.UDPConn) {
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			e.received.Add(1)
			_, _ = conn.WriteToUDPAddrPort(buf[:n], from)
		}
	}
}

// TestTools has coturn's client relay through each listener, by channels and by
// indications. What the gate loses is seen at the gate and at the peer; what the
// client calls lost may be its own fault, see uclientTries.
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
				peer := newEchoes(t, g)
				args := append([]string{
					"-c", "-n", strconv.Itoa(messages), "-m", strconv.Itoa(clients), "-l", "1200",
					"-e", "127.0.0.1", "-r", peer.port, "-p", g.port(tc.protocol), "-u", gateUser, "-w", gatePassword,
				}, tc.flags...)
				if how == "indications" {
					args = append(args, "-s")
				}
				most := 0
				if tc.protocol == turn.TLS {
					most = clients * messages / 2
				}
				sent, lost := peer.uclient(t, clients*messages, most, append(args, "127.0.0.1"))
				if how == "channels" {
					relayed(t, g, tc.protocol, uint64(sent), uint64(lost))
				}
			})
		}
	}
}

// relayed checks what the gate itself counts as ChannelData: all but what the client
// says is lost. DropSlow are answers to a client that is gone.
func relayed(t *testing.T, g *gate, protocol string, sent, lost uint64) {
	t.Helper()
	stats := func() relay.Stats {
		all := g.Stats().Listeners
		return all[slices.IndexFunc(all, func(l turn.ListenerStats) bool { return l.Protocol == protocol })].Relay
	}
	eventually(t, fmt.Sprintf("the count of %d packets", sent), func() bool {
		got := stats().Packets
		return got[relay.Up]+lost >= sent && got[relay.Down]+lost >= sent
	})
	for why, n := range stats().Dropped {
		if n > 0 && relay.Drop(why) != relay.DropSlow {
			t.Errorf("%d dropped: %s", n, relay.Drop(why))
		}
	}
}

// uclientTries is how often turnutils_uclient may try. It goes some seconds after
// it began, whatever it did not send or read yet on a busy machine. Over TLS it also
// leaves records unread that came together with others, of coturn 4.6's own server,
// too: there some loss on the way back is put up with.
const uclientTries = 10

// uclient runs turnutils_uclient, which sends so many packets, until all reach the
// peer and it reports at most so many as lost. It answers what it had to send, and
// what it said was lost, in all.
func (e *echoes) uclient(t *testing.T, packets, most int, args []string) (sent, lost int) {
	t.Helper()
	summary := regexp.MustCompile(`Total lost packets (\d+) .*`)
	var out string
	for range uclientTries {
		before := e.received.Load()
		out = runTool(t, "turnutils_uclient", args...)
		found := summary.FindStringSubmatch(out)
		if found == nil {
			t.Fatalf("no summary:\n%s", out)
		}
		n, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatal(err)
		}
		arrived := int(e.received.Load() - before)
		t.Logf("%d packets at the peer; %s", arrived, found[0])
		sent, lost = sent+packets, lost+n
		if n <= most && arrived >= packets {
			return sent, lost
		}
	}
	t.Errorf("packets are lost:\n%s", out)
	return sent, lost
}

// TestToolsSecret has coturn's client mint its credential itself.
func TestToolsSecret(t *testing.T) {
	g := startGate(t, nil)
	peer := newEchoes(t, g)
	peer.uclient(t, 10, 0, []string{
		"-c", "-n", "10", "-m", "1", "-e", "127.0.0.1", "-r", peer.port, "-p", g.port(turn.UDP), "-u", "tool", "-W", gateSecret, "127.0.0.1",
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
