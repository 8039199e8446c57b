package turn

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/coordinator/certificate/certificatetest"
	"github.com/cloudretro/cloudretro/turn/credential"
)

// count reads a number from the environment: the long form of a test.
func count(t *testing.T, name string, short int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return short
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%q: %v", name, text, err)
	}
	return n
}

// usage is what a process must give back.
type usage struct {
	files, goroutines int
	heap              uint64
}

func measure(t *testing.T) usage {
	t.Helper()
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools let go in the second
	runtime.ReadMemStats(&m)
	u := usage{goroutines: runtime.NumGoroutine(), heap: m.HeapAlloc}
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.files = len(entries)
	}
	return u
}

// Relays that come and go leave nothing behind. CLOUDRETRO_TURN_ALLOCATIONS and
// CLOUDRETRO_TURN_ROUNDS (1000 and 20) make it the full one.
func TestOpenAndCloseLeavesNothing(t *testing.T) {
	many, rounds := count(t, "CLOUDRETRO_TURN_ALLOCATIONS", 60), count(t, "CLOUDRETRO_TURN_ROUNDS", 4)
	worker := socket(t, "127.0.0.1:0")
	g := start(t, func(c *Config) {
		c.Peers, c.MaxAllocations, c.Logger = []Peer{peerOf(worker)}, many, nil
		c.Users = []User{{"user-1", "pass-1"}}
	})
	g.throttle = newThrottle(time.Now().Add(-time.Hour))
	conns := make([]*caller, many)
	for i := range conns {
		conns[i] = g.call(t, 0).as("user-1", "pass-1")
		conns[i].nonce = stun.Nonce(g.nonces.mint(unmap(conns[i].conn.LocalAddr().(*net.UDPAddr).AddrPort()), time.Now()))
	}
	round := func() {
		for _, c := range conns {
			c.allocate()
			if code := c.ask(stun.MethodChannelBind, channel(minChannel), xorPeer(peerOf(worker).addrPort())); code != 0 {
				t.Fatalf("no channel: %d", code)
			}
			c.carries(t, minChannel, worker)
		}
		if n := g.Stats().Allocations; n != many {
			t.Fatalf("%d relays are open", n)
		}
		for _, c := range conns {
			c.end()
		}
		until(t, "the end of all relays", func() bool { return g.Stats().Allocations == 0 })
	}
	round() // what is made once is made now
	before := measure(t)
	for range rounds {
		round()
	}
	var after usage
	until(t, "the end of goroutines and files", func() bool {
		after = measure(t)
		return after.goroutines <= before.goroutines+2 && after.files <= before.files
	})
	if after.heap > before.heap+uint64(many)*1024+1<<20 {
		t.Errorf("the heap has grown from %d to %d bytes", before.heap, after.heap)
	}
	t.Logf("%d relays %d times: %+v before, %+v after", many, rounds, before, after)
}

// A client that plays while the certificate changes, secrets rotate, and its
// worker comes and goes, loses nothing; new ones get what holds now.
// CLOUDRETRO_TURN_SECONDS makes it longer.
func TestChangesUnderLoad(t *testing.T) {
	seconds := count(t, "CLOUDRETRO_TURN_SECONDS", 1)
	worker, other := socket(t, "127.0.0.1:0"), socket(t, "127.0.0.1:0")
	here, there := worker.LocalAddr().String(), other.LocalAddr().String()
	registry := newCoordinator(t, "secret-0", here, there)
	m := certificatetest.NewMount(t, pairFor(t, "one"))
	list := []Listener{
		{Protocol: UDP, Address: "127.0.0.1:0"},
		{Protocol: TCP, Address: "127.0.0.1:0"},
		{Protocol: TLS, Address: "127.0.0.1:0", CertFile: m.Cert, KeyFile: m.Key},
		{Protocol: DTLS, Address: "127.0.0.1:0", CertFile: m.Cert, KeyFile: m.Key},
	}
	g := start(t, func(c *Config) {
		c.Listeners, c.Secrets, c.Coordinators, c.Logger = list, []string{"secret-0"}, []string{registry.URL}, nil
	})
	until(t, "the workers", func() bool { return g.Stats().Peers == 2 })
	ctx, stop := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer stop()
	var echo, players sync.WaitGroup
	echo.Go(func() { echoes(other) })
	var sent atomic.Int64
	for i := range list {
		c := g.call(t, i).with(t, "secret-0", "player").allocate()
		if code := c.ask(stun.MethodChannelBind, channel(minChannel), peerAt(there)); code != 0 {
			t.Fatalf("no channel: %d", code)
		}
		players.Go(func() { sent.Add(c.play(ctx, t, peerAt(there))) })
	}
	for turnOf := 1; ctx.Err() == nil; turnOf++ {
		next := fmt.Sprintf("secret-%d", turnOf)
		if err := g.SetCredentials(Credentials{Secrets: []string{next, "secret-0"}}); err != nil {
			t.Fatal(err)
		}
		m.Swap(pairFor(t, fmt.Sprintf("host-%d", turnOf)))
		g.identities[0].reread()
		registry.push(here) // the players' worker leaves
		until(t, "its leave", func() bool { return g.Stats().Peers == 1 })
		late := g.call(t, turnOf%len(list)).with(t, next, "late").allocate()
		if code := late.ask(stun.MethodChannelBind, channel(minChannel), peerAt(there)); code != 403 {
			t.Fatalf("a worker that left gets a new channel: %d", code)
		}
		if code := late.ask(stun.MethodChannelBind, channel(minChannel), peerAt(here)); code != 0 {
			t.Fatalf("a worker that stayed gets none: %d", code)
		}
		late.end()
		late.conn.Close()
		registry.push(here, there)
		until(t, "its return", func() bool { return g.Stats().Peers == 2 })
	}
	players.Wait()
	other.Close()
	echo.Wait()
	t.Logf("%d packets there and back", sent.Load())
}

// with gives a caller a credential of a secret.
func (c *caller) with(t *testing.T, secret, session string) *caller {
	t.Helper()
	username, password, err := credential.Mint(secret, session, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c.as(username, password)
}

// echoes sends everything back until its socket is closed.
func echoes(conn *net.UDPConn) {
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		_, _ = conn.WriteToUDPAddrPort(buf[:n], netip.AddrPortFrom(from.Addr(), from.Port()))
	}
}

// play sends over a channel and waits for the echo, again and again, refreshing
// what it has in between, until ctx ends. It answers how often.
func (c *caller) play(ctx context.Context, t *testing.T, peer xorPeer) (n int64) {
	buf := make([]byte, 2048)
	for ctx.Err() == nil {
		c.channelData(minChannel, fmt.Sprintf("packet %09d", n))
		_ = c.conn.SetReadDeadline(time.Now().Add(patient))
		got, err := c.read(buf)
		if err != nil || string(buf[4:got]) != fmt.Sprintf("packet %09d", n) {
			t.Errorf("packet %d comes back as %q: %v", n, buf[:got], err)
			return n
		}
		if n++; n%50 == 0 {
			if code := c.ask(stun.MethodRefresh); code != 0 {
				t.Errorf("the refresh is refused: %d", code)
			}
			if code := c.ask(stun.MethodChannelBind, channel(minChannel), peer); code != 0 {
				t.Errorf("the channel is not prolonged: %d", code)
			}
		}
	}
	return n
}
