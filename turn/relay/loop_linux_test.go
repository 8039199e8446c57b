//go:build !portable

package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOtherSocket takes the SO_REUSEPORT socket that a client's packets come to
// out of its group, so that the kernel gives them to another one: the
// allocation goes on.
func TestOtherSocket(t *testing.T) {
	t.Parallel()
	g := newGate(t, func(cfg *Config) { cfg.Loops = 4 })
	l := g.udp(t, "127.0.0.1:0")
	c := dial(t, l).allocate(t)
	worker := peer(t, "127.0.0.1:0")
	c.bind(t, 0x4000, addrOf(worker.LocalAddr()))
	slot := func() int {
		t.Helper()
		before := make([]uint64, len(l.counters))
		for i := range l.counters {
			before[i] = l.counters[i].packets[Up].Load()
		}
		c.send(t, 0x4000, []byte("x"))
		receiveOne(t, worker)
		at := -1
		eventually(t, "it is counted", func() bool {
			for i := range l.counters {
				if l.counters[i].packets[Up].Load() > before[i] {
					at = i
				}
			}
			return at >= 0
		})
		return at
	}
	seen := map[int]bool{}
	for range 3 {
		at := slot()
		if seen[at] {
			t.Fatalf("socket %d was taken out", at)
		}
		seen[at] = true
		if _, err := worker.WriteToUDPAddrPort([]byte("down"), c.relayed); err != nil {
			t.Fatal(err)
		}
		if _, p := c.receiveData(t); string(p) != "down" {
			t.Fatalf("down came %q", p)
		}
		// A connected socket gets nothing from others, but may send to them.
		if err := unix.Connect(l.sockets[at].fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSendersAtOnce has clients, workers and control messages all at once.
func TestSendersAtOnce(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	const clients, rounds = 8, 30
	var group sync.WaitGroup
	for range clients {
		c, worker := dial(t, l).allocate(t), peer(t, "127.0.0.1:0")
		c.bind(t, 0x4000, addrOf(worker.LocalAddr()))
		group.Go(func() {
			buf := make([]byte, 2048)
			for i := range uint32(rounds) {
				p := binary.BigEndian.AppendUint32(nil, i)
				if _, err := c.conn.Write(channelMessage(0x4000, p)); err != nil {
					t.Error(err)
					return
				}
				_ = worker.SetReadDeadline(time.Now().Add(patience))
				n, from, err := worker.ReadFromUDPAddrPort(buf)
				if err != nil || !bytes.Equal(buf[:n], p) {
					t.Errorf("up: %x, %v", buf[:n], err)
					return
				}
				if _, err := worker.WriteToUDPAddrPort(p, from); err != nil {
					t.Error(err)
				}
				if got, err := c.message(); err != nil || !bytes.Equal(got, channelMessage(0x4000, p)) {
					t.Errorf("down: %x, %v", got, err)
					return
				}
			}
		})
	}
	group.Wait()
	eventually(t, "all are counted", func() bool {
		return l.Stats().Packets == [2]uint64{clients * rounds, clients * rounds}
	})
}

// TestOverflow counts what finds the receive buffer full, during and after.
func TestOverflow(t *testing.T) {
	t.Parallel()
	r, err := New(Config{Admission: &admission{}, Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	l, err := r.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Open(AllocationConfig{Local: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*socket{l.sockets[0], a.socket} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096); err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("udp", s.bound.String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		before := l.Stats().Overflow
		for range 100 {
			if _, err := conn.Write(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if n := l.Stats().Overflow - before; n < 50 || n > 100 {
			t.Errorf("%d of 100 overflowed", n)
		}
	}
	all := l.Stats().Overflow
	_ = a.Close()
	if n := l.Stats().Overflow; n != all {
		t.Errorf("%d after the allocation ended, %d before", n, all)
	}
	_ = l.Close()
	if n := l.Stats().Overflow; n != all {
		t.Errorf("%d after Close, %d before", n, all)
	}
}

// TestSocketClose closes a socket while it is used: its number is free only
// afterwards.
func TestSocketClose(t *testing.T) {
	t.Parallel()
	s, err := openSocket(netip.MustParseAddrPort("127.0.0.1:0"), false, false)
	if err != nil {
		t.Fatal(err)
	}
	if !s.acquire() {
		t.Fatal("an open socket cannot be used")
	}
	s.close()
	s.close()
	if s.acquire() {
		t.Error("a closed socket can be used")
	}
	if _, err := unix.Getsockname(s.fd); err != nil {
		t.Errorf("it was closed under its user: %v", err)
	}
	if err := s.writeTo([]byte("x"), endpoint{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("send by a closed socket: %v", err)
	}
	s.release()
	if s.acquire() || s.overflow() != 0 {
		t.Error("a closed socket can be used")
	}
}

// TestSocketClosesOnce uses a closed socket, in all ways there are, when its
// number belongs to another file already: that stays open.
func TestSocketClosesOnce(t *testing.T) {
	// Not parallel: nobody else may take the number.
	for name, use := range map[string]func(*socket){
		"acquire":  func(s *socket) { s.acquire() },
		"overflow": func(s *socket) { s.overflow() },
		"send":     func(s *socket) { _ = s.writeTo([]byte("x"), endpoint{}) },
		"close":    func(s *socket) { s.close() },
	} {
		s, err := openSocket(netip.MustParseAddrPort("127.0.0.1:0"), false, false)
		if err != nil {
			t.Fatal(err)
		}
		other, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		s.close()
		if err := unix.Dup3(other, s.fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		use(s)
		if _, err := unix.Write(s.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			t.Errorf("%s closed the file of another: %v", name, err)
		} else if err := unix.Close(s.fd); err != nil {
			t.Error(err)
		}
		if err := unix.Close(other); err != nil {
			t.Error(err)
		}
	}
}

// TestLoopForgets closes a socket that has data waiting, before the loop looks.
func TestLoopForgets(t *testing.T) {
	b := newBench(t)
	b.burst(3, 10, Down, newOutbox(0))
	l := b.relay.loops[0]
	n, err := l.poll(uintptr(l.fd))
	if err != nil || n != 1 {
		t.Fatalf("%d events, %v", n, err)
	}
	ready := l.resolve(n)
	before := b.listener.Stats()
	_ = b.allocation.Close()
	l.serve(ready)
	if got := l.resolve(n); len(got) != 0 {
		t.Errorf("%d sockets are known, want none", len(got))
	}
	if s := b.listener.Stats(); s.Packets != before.Packets || s.Allocations != 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestEmptyDatagrams relays datagrams without payload, alone and among others:
// they are no end of a run, which the kernel would cut off, and none is lost.
func TestEmptyDatagrams(t *testing.T) {
	b := newBench(t)
	sizes := []int{0, 100, 100, 0, 0, 100, 0}
	for _, d := range []Direction{Up, Down} {
		before := b.listener.Stats()
		for _, n := range sizes {
			b.burst(1, n, d, newOutbox(0))
		}
		for b.turn() > 0 {
		}
		to, header := b.worker, 0
		if d == Down {
			to, header = b.client, channelHeader
		}
		var want []int
		for _, n := range sizes {
			want = append(want, n+header)
		}
		if got := drain(t, to); !slices.Equal(got, want) {
			t.Errorf("%v: received %v, want %v", d, got, want)
		}
		s := b.listener.Stats()
		// burst counts what it sends for the allocation.
		if got := s.Packets[d] - before.Packets[d]; got != 2*uint64(len(sizes)) {
			t.Errorf("%v: %d packets are counted", d, got)
		}
	}
}

// TestLoopManySockets has more sockets with more data than one round takes.
func TestLoopManySockets(t *testing.T) {
	b := newBench(t)
	b.worker.gso.Store(false)
	const sockets, each = 3 * inEvents, 5
	for i := range uint16(sockets) {
		b.listener.current.from.port = 10_000 + i
		a, err := b.listener.Open(AllocationConfig{Local: netip.MustParseAddrPort("127.0.0.1:0")})
		if err != nil {
			t.Fatal(err)
		}
		a.client = endpointOf(b.client.bound)
		a.bind(0x4000, endpointOf(b.worker.bound))
		out := newOutbox(0)
		for range each {
			out.put(&parcel{socket: b.worker, to: endpointOf(a.socket.bound), packet: make([]byte, 100), allocation: a})
		}
		out.flush()
	}
	for range 100 {
		if b.turn() == 0 {
			break
		}
	}
	if got := len(drain(t, b.client)); got != sockets*each {
		t.Errorf("the client got %d datagrams, want %d", got, sockets*each)
	}
}

// TestLoopLeavesNothing has more wait than one round takes, in one socket and
// in many, when the loop begins: all of it is relayed though nothing else comes
// that would wake the loop.
func TestLoopLeavesNothing(t *testing.T) {
	for name, counts := range map[string][]int{
		"one socket": {3*inMessages + 1}, "many sockets": slices.Repeat([]int{1}, 2*inEvents+1),
		"some of many": slices.Repeat([]int{inMessages / 4}, 9),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.worker.gso.Store(false)
			want := uint64(0)
			for i, n := range counts {
				b.listener.current.from.port = uint16(10_000 + i)
				a, err := b.listener.Open(AllocationConfig{Local: netip.MustParseAddrPort("127.0.0.1:0")})
				if err != nil {
					t.Fatal(err)
				}
				a.client = endpointOf(b.client.bound)
				a.bind(0x4000, endpointOf(b.worker.bound))
				out := newOutbox(0)
				for range n {
					out.put(&parcel{socket: b.worker, to: endpointOf(a.socket.bound), packet: make([]byte, 100), allocation: a, direction: Up})
				}
				out.flush()
				want += uint64(n)
			}
			ended := make(chan error, 1)
			go func() { ended <- b.relay.Run(context.Background()) }()
			eventually(t, "all is relayed", func() bool { return b.listener.Stats().Packets[Down] == want })
			_ = b.relay.Close()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
