package e2e

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/turn"
)

// What the gate promises strangers (turn/throttle.go).
const (
	strangerRate  = 100
	strangerBurst = 1000
	totalRate     = 10_000 // a second, and at once
)

// flooder sends requests from one address and counts what comes back.
type flooder struct {
	conn            *net.UDPConn
	sent, sentBytes int
	answers, bytes  atomic.Int64
	done            sync.WaitGroup
}

func newFlooder(t *testing.T, g *gate, from string) *flooder {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp4", g.address[turn.UDP])
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(from)}, to)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	f := &flooder{conn: conn}
	f.done.Go(func() {
		buf := make([]byte, 2048)
		for {
			n, err := conn.Read(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				f.answers.Add(1)
				f.bytes.Add(int64(n))
			}
		}
	})
	t.Cleanup(f.close)
	return f
}

func (f *flooder) close() {
	_ = f.conn.Close()
	f.done.Wait()
}

// flood sends the requests over and over, each with a transaction of its own.
func (f *flooder) flood(requests [][]byte, n int) {
	for i := range n {
		p := requests[i%len(requests)]
		binary.BigEndian.PutUint64(p[8:], uint64(i))
		if _, err := f.conn.Write(p); err == nil {
			f.sent++
			f.sentBytes += len(p)
		}
	}
}

// strange are requests of those who cannot prove anything.
func strange() [][]byte {
	allocate := stun.NewType(stun.MethodAllocate, stun.ClassRequest)
	udp := stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{17, 0, 0, 0}}
	key := stun.NewLongTermIntegrity("nobody", "cloudretro", "guess")
	var out [][]byte
	for _, set := range [][]stun.Setter{
		{allocate, udp},
		{stun.BindingRequest},
		{allocate, udp, stun.NewUsername("nobody"), stun.NewRealm("cloudretro"), stun.NewNonce("guess"), key},
		{stun.NewType(stun.MethodRefresh, stun.ClassRequest)},
		{stun.NewType(stun.MethodChannelBind, stun.ClassRequest), stun.RawAttribute{Type: stun.AttrChannelNumber, Value: []byte{0x40, 0, 0, 0}}},
		{stun.NewType(stun.MethodSend, stun.ClassIndication), stun.RawAttribute{Type: stun.AttrData, Value: make([]byte, 100)}},
	} {
		out = append(out, stun.MustBuild(append([]stun.Setter{stun.TransactionID}, set...)...).Raw)
	}
	return append(out, append([]byte{0x40, 0, 0, 16}, make([]byte, 16)...))
}

// peakMemory is the most memory that this process ever had, in bytes.
func peakMemory(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("SKIPPED: no /proc here: %v", err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// TestFlood sends 100,000 requests of strangers as fast as can be: the answers to
// one address stay within what a stranger is granted, so that a forged sender
// has less sent to its victim than it sends itself; memory does not grow; and
// others are served meanwhile.
func TestFlood(t *testing.T) {
	g := startGate(t, nil)
	worker := echo(t)
	g.workers.set(t, g, worker)
	peak := peakMemory(t)
	f := newFlooder(t, g, "127.0.0.9")
	start := time.Now()
	var flooding sync.WaitGroup
	flooding.Go(func() { f.flood(strange(), 100_000) })
	c, err := g.call(turn.UDP, gateUser, gatePassword)
	if err != nil {
		t.Fatalf("another client is not served: %v", err)
	}
	defer c.close()
	if err := c.roundTrip(worker, "in the middle of a flood"); err != nil {
		t.Error(err)
	}
	flooding.Wait()
	drained(t, g)
	took := time.Since(start)
	granted := int64(strangerBurst + strangerRate*(took.Seconds()+1))
	t.Logf("%d requests (%d KiB) in %s; %d answers (%d KiB), %d granted; throttled %d; peak memory +%d KiB", f.sent, f.sentBytes>>10,
		took.Round(time.Millisecond), f.answers.Load(), f.bytes.Load()>>10, granted, g.Stats().Refused(turn.Throttled), (peakMemory(t)-peak)>>10)
	if n := f.answers.Load(); n == 0 || n > granted {
		t.Errorf("%d answers to one address, want 1 to %d", n, granted)
	}
	if f.bytes.Load() > int64(f.sentBytes)/10 {
		t.Errorf("%d bytes answered for %d", f.bytes.Load(), f.sentBytes)
	}
	if n := g.Stats().Refused(turn.Throttled); n == 0 {
		t.Error("nothing was throttled")
	}
	if grown := peakMemory(t) - peak; grown > 96<<20 { // most of it the race detector's, and the test's own
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

// TestFloodOfAddresses is the same from 2,000 addresses: all together they are
// answered as often as the gate grants to all.
func TestFloodOfAddresses(t *testing.T) {
	g := startGate(t, nil)
	requests := strange()[:1] // each gets a challenge, or nothing
	before, start := liveHeap(), time.Now()
	sent := 0
	for i := range 2000 {
		f := newFlooder(t, g, "127.1."+strconv.Itoa(i/250)+"."+strconv.Itoa(1+i%250))
		f.flood(requests, 50)
		sent += f.sent
		f.close()
	}
	drained(t, g)
	granted := uint64(totalRate * (2 + time.Since(start).Seconds()))
	s := g.Stats()
	challenged, throttled := s.Refused(turn.RefusedChallenge), s.Refused(turn.Throttled)
	grown := liveHeap() - before
	t.Logf("%d requests, %d answered of %d granted, %d throttled; live memory %+d KiB", sent, challenged, granted, throttled, grown>>10)
	if challenged == 0 || challenged > granted {
		t.Errorf("%d answers, %d granted", challenged, granted)
	}
	if grown > 4<<20 {
		t.Errorf("%d KiB are kept", grown>>10)
	}
}

// drained waits until the gate has looked at all that the kernel has for it.
func drained(t *testing.T, g *gate) {
	t.Helper()
	var last turn.ListenerStats
	eventually(t, "the end of the flood", func() bool {
		now := g.Stats().Listeners[0]
		same := now == last
		last = now
		time.Sleep(50 * time.Millisecond)
		return same
	})
}

// liveHeap is the memory in use, without garbage.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// resources are what this process holds.
type resources struct {
	files, goroutines int
	heap              int64
}

func held(t *testing.T) resources {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("SKIPPED: no /proc here: %v", err)
	}
	return resources{len(files), runtime.NumGoroutine(), liveHeap()}
}

// TestChurn opens and closes 1000 relays, over UDP, TCP and TLS, 20 times: all
// that they held is given back.
func TestChurn(t *testing.T) {
	relays, rounds := 1000, 20
	if testing.Short() {
		relays, rounds = 200, 5
	}
	enoughFiles(t, uint64(3*relays+200))
	g := startGate(t, nil)
	worker := echo(t)
	g.workers.set(t, g, worker)
	var first resources
	for round := range rounds {
		churn(t, g, relays)
		if round == 1 { // pools and tables have their size
			first = held(t)
		}
	}
	var last resources
	eventually(t, "what it was after 2 rounds", func() bool { // clients end a little later
		last = held(t)
		t.Logf("after 2 rounds %+v, after %d %+v", first, rounds, last)
		return last.files <= first.files+5 && last.goroutines <= first.goroutines+5 && last.heap <= first.heap+int64(relays)<<10
	})
}

// churn opens relays at once and closes them.
func churn(t *testing.T, g *gate, relays int) {
	t.Helper()
	before := g.Stats().Allocations
	callers := make([]*caller, relays)
	var opening sync.WaitGroup
	for worker := range 8 {
		opening.Go(func() {
			for i := worker; i < relays; i += 8 {
				protocol := turn.UDP
				switch i % 10 {
				case 8:
					protocol = turn.TCP
				case 9:
					protocol = turn.TLS
				}
				c, err := g.callFrom("127.2.0."+strconv.Itoa(1+i%250), protocol, gateUser, gatePassword)
				if err != nil {
					t.Errorf("relay %d over %s: %v", i, protocol, err)
					continue
				}
				callers[i] = c
			}
		})
	}
	opening.Wait()
	if n := g.Stats().Allocations - before; n != relays && !t.Failed() {
		t.Errorf("%d relays are open, want %d", n, relays)
	}
	for i, c := range callers {
		if c != nil {
			c.close()
		}
		if i%50 == 49 || i == relays-1 { // pion's client says goodbye once, and a burst may be cut
			eventually(t, "the end of the relays", func() bool { return g.Stats().Allocations <= before+relays-1-i })
		}
	}
	eventually(t, "the end of the connections", func() bool { return g.Stats().Listeners[1].Relay.Streams == 0 })
}
