package coordinator

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
)

// caller is a connection from an address, which is told when it is closed.
type caller struct {
	net.Conn
	from   net.Addr
	closed atomic.Bool
}

func (c *caller) RemoteAddr() net.Addr { return c.from }

func (c *caller) Close() error {
	c.closed.Store(true)
	return nil
}

// callers is a listener with a queue of callers; it fails at its end.
type callers struct {
	net.Listener
	queue []*caller
}

var errNoMore = errors.New("no more callers")

func (l *callers) Accept() (net.Conn, error) {
	if len(l.queue) == 0 {
		return nil, errNoMore
	}
	next := l.queue[0]
	l.queue = l.queue[1:]
	return next, nil
}

func (l *callers) call(address string, n int) []*caller {
	var list []*caller
	for range n {
		list = append(list, &caller{from: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))})
	}
	l.queue = append(l.queue, list...)
	return list
}

// taken accepts until the callers are all gone.
func taken(t *testing.T, b *bounded) []net.Conn {
	t.Helper()
	var conns []net.Conn
	for {
		conn, err := b.Accept()
		if errors.Is(err, errNoMore) {
			return conns
		}
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
}

func TestConnectionsOfAnAddress(t *testing.T) {
	var refused atomic.Uint64
	l := &callers{}
	b := newBounded(l, always(100), always(2), &refused)
	first := l.call("192.88.99.1:1", 3)
	l.call("192.88.99.2:1", 1)
	l.call("[2a00:db8::1]:1", 2)
	neighbour := l.call("[2a00:db8::ffff]:1", 1) // of the same network
	l.call("10.0.0.1:1", 4)                      // may be a proxy of ours
	l.call("127.0.0.1:1", 4)
	conns := taken(t, b)
	if len(conns) != 2+1+2+4+4 || refused.Load() != 2 {
		t.Errorf("%d taken, %d refused", len(conns), refused.Load())
	}
	if first[0].closed.Load() || !first[2].closed.Load() || !neighbour[0].closed.Load() {
		t.Error("not the last one of too many is closed")
	}
	for range 2 { // counted out once
		if err := conns[0].Close(); err != nil {
			t.Fatal(err)
		}
	}
	l.call("192.88.99.1:1", 2)
	if again := taken(t, b); len(again) != 1 || refused.Load() != 3 {
		t.Errorf("after one left, %d are taken, %d refused", len(again), refused.Load())
	}
}

func TestConnectionsInAll(t *testing.T) {
	var refused atomic.Uint64
	l := &callers{}
	b := newBounded(l, always(3), always(2), &refused)
	l.call("10.0.0.1:1", 5)
	conns := taken(t, b)
	if len(conns) != 3 || refused.Load() != 2 {
		t.Fatalf("%d taken, %d refused", len(conns), refused.Load())
	}
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l.call("192.88.99.1:1", 3)
	if again := taken(t, b); len(again) != 2 || b.open.Load() != 2 || refused.Load() != 3 {
		t.Errorf("%d taken, %d open, %d refused", len(again), b.open.Load(), refused.Load())
	}
}

func TestDialedFrom(t *testing.T) {
	for text, want := range map[string]string{
		"192.88.99.1:5": "192.88.99.1/32", "[::ffff:192.88.99.1]:5": "192.88.99.1/32", "[2a00:db8::1:2:3:4]:5": "2a00:db8::/64",
		"127.0.0.1:1": "", "[::1]:1": "", "10.1.2.3:1": "", "[fd00::1]:1": "", "[fe80::1%lo]:1": "", "169.254.1.1:1": "",
	} {
		got := dialedFrom(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)))
		if want == "" && got != (address{}) || want != "" && netip.Prefix(got).String() != want {
			t.Errorf("%s: %s, want %q", text, netip.Prefix(got), want)
		}
	}
	if got := dialedFrom(&net.UnixAddr{}); got != (address{}) {
		t.Errorf("no TCP: %v", got)
	}
}

// Connections that end are counted out, whatever way they end.
func TestConnectionsAreCountedOut(t *testing.T) {
	d := startTLS(t, nil)
	open := d.bounded.open.Load
	page := d.client()
	for range 3 {
		r, err := page.Get(d.url("https", "/"))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
	}
	conn, err := net.Dial("tcp", d.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the connection", func() bool { return open() > 0 })
	conn.Close()
	until(t, "the end of all", func() bool { return open() == 0 })
	if d.Refused() != 0 {
		t.Errorf("%d refused", d.Refused())
	}
}
