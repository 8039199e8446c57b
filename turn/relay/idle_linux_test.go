//go:build !portable

package relay

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v2"
)

// silent is a connection that can be left without a word to the other end: its
// socket stays open.
type silent struct {
	net.Conn
	left atomic.Bool
}

func (s *silent) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if s.left.Load() {
		return 0, io.EOF
	}
	return n, err
}

func (s *silent) Close() error { return s.SetReadDeadline(time.Now()) }

func (s *silent) Write(p []byte) (int, error) {
	if s.left.Load() {
		return len(p), nil
	}
	return s.Conn.Write(p)
}

// dtls is a DTLS listener with pion/turn.
func (g *gate) dtls(t testing.TB) *Listener {
	t.Helper()
	ln, err := dtls.Listen("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, &dtls.Config{Certificates: selfSigned(t).Certificates})
	if err != nil {
		t.Fatal(err)
	}
	l, err := g.relay.ListenStreams(ln, Datagram)
	if err != nil {
		t.Fatal(err)
	}
	g.serve(t, l)
	return l
}

// inUse is the memory of heap and stacks that is not garbage.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestIdleMemory measures what an allocation costs that carries nothing, with
// the parts of pion/turn (9 KB), of connections, their two goroutines and the
// client's socket (9 KB), TLS (10 KB) and pion/dtls (38 KB). The clients' ends of
// TLS and DTLS are thrown away before that.
func TestIdleMemory(t *testing.T) {
	if racing {
		t.Skip("the race detector needs memory of its own")
	}
	secure := selfSigned(t)
	for _, tc := range []struct {
		name   string
		listen func(*gate) *Listener
		// enter makes a client of a connection; leave forgets its part.
		enter func(net.Conn) (c net.Conn, leave func(), err error)
		limit int64
	}{
		{"UDP", func(g *gate) *Listener { return g.udp(t, "127.0.0.1:0") }, plain, 16 << 10},
		{"TCP", func(g *gate) *Listener { return g.tcp(t, nil) }, plain, 24 << 10},
		{"TLS", func(g *gate) *Listener { return g.tcp(t, secure) }, overTLS, 36 << 10},
		{"DTLS", func(g *gate) *Listener { return g.dtls(t) }, overDTLS, 72 << 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGate(t)
			l := tc.listen(g)
			const n = 100
			round := func() (kept []net.Conn) {
				for i := range n {
					raw, err := net.Dial(l.LocalAddr().Network(), l.LocalAddr().String())
					if err != nil {
						t.Fatal(err)
					}
					conn, leave, err := tc.enter(raw)
					if err != nil {
						t.Fatal(err)
					}
					c := (&client{conn: conn, stream: l.streams != nil && l.streams.framing == Stream}).allocate(t)
					c.bind(t, 0x4000, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(i+1)))
					leave()
					kept = append(kept, raw)
				}
				return kept
			}
			first := round() // which fills pools
			before := inUse()
			second := round()
			each := (inUse() - before) / n
			t.Logf("%d bytes for each of %d idle allocations", each, n)
			if each > tc.limit {
				t.Errorf("%d bytes for each idle allocation, want %d at most", each, tc.limit)
			}
			if got := l.Stats().Allocations; got != 2*n {
				t.Errorf("%d allocations are open", got)
			}
			for _, c := range append(first, second...) {
				_ = c.Close()
			}
		})
	}
}

func plain(raw net.Conn) (net.Conn, func(), error) { return raw, func() {}, nil }

func overTLS(raw net.Conn) (net.Conn, func(), error) {
	return tls.Client(raw, &tls.Config{InsecureSkipVerify: true}), func() {}, nil
}

func overDTLS(raw net.Conn) (net.Conn, func(), error) {
	s := &silent{Conn: raw}
	c, err := dtls.Client(s, &dtls.Config{InsecureSkipVerify: true})
	return c, func() {
		s.left.Store(true)
		_ = c.Close()
	}, err
}

// TestDTLS relays through real DTLS.
func TestDTLS(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.dtls(t)
	c, err := dtls.Dial("udp", l.LocalAddr().(*net.UDPAddr), &dtls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	player, worker := newClient(t, c, false).allocate(t), peer(t, "127.0.0.1:0")
	exchange(t, player, worker)
	eventually(t, "all are counted", func() bool { return l.Stats().Packets == [2]uint64{64, 64} })
	// What is too long for a record is lost, and nothing else.
	for _, n := range []int{maxRecord - channelHeader + 1, 65_507, 1000} {
		if _, err := worker.WriteToUDPAddrPort(make([]byte, n), player.relayed); err != nil {
			t.Fatal(err)
		}
	}
	if _, p := player.receiveData(t); len(p) != 1000 {
		t.Errorf("%d bytes came", len(p))
	}
	_ = c.Close()
	eventually(t, "the client's leaving ends its allocation", func() bool {
		s := l.Stats()
		return s.Streams == 0 && s.Allocations == 0
	})
}

// TestNothingLeaks opens and closes allocations and streams, and counts files
// and goroutines.
func TestNothingLeaks(t *testing.T) {
	g := newGate(t)
	l, s := g.udp(t, "127.0.0.1:0"), g.tcp(t, nil)
	files := func() (n int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		for _, e := range entries {
			if target, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.HasPrefix(target, "socket") {
				n++
			}
		}
		return n
	}
	round := func() {
		for _, l := range []*Listener{l, s} {
			var all []*client
			for range 50 {
				c := dial(t, l).allocate(t)
				c.bind(t, 0x4000, netip.MustParseAddrPort("127.0.0.1:9"))
				all = append(all, c)
			}
			for _, c := range all {
				c.refresh(t, 0)
				_ = c.conn.Close()
			}
		}
		eventually(t, "all are gone", func() bool { return s.Stats().Streams == 0 && l.Stats().Allocations == 0 })
	}
	round()
	beforeFiles, beforeGoroutines := files(), runtime.NumGoroutine()
	for range 3 {
		round()
	}
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= beforeGoroutines+2 })
	if n := files(); n > beforeFiles {
		t.Errorf("%d sockets, %d before", n, beforeFiles)
	}
}
