//go:build !portable

package relay

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenSocket(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		address string
		dual    bool
		reach   []string // hosts that it receives from
		miss    []string
	}{
		{"127.0.0.1:0", false, []string{"127.0.0.1"}, []string{"::1"}},
		{"0.0.0.0:0", true, []string{"127.0.0.1"}, []string{"::1"}},
		{"[::1]:0", false, []string{"::1"}, []string{"127.0.0.1"}},
		{"[::]:0", true, []string{"127.0.0.1", "::1"}, nil},
		{"[::]:0", false, []string{"::1"}, []string{"127.0.0.1"}},
	} {
		t.Run(fmt.Sprint(tc.address, tc.dual), func(t *testing.T) {
			t.Parallel()
			s, err := openSocket(netip.MustParseAddrPort(tc.address), false, tc.dual)
			if err != nil {
				t.Skip(err)
			}
			defer s.close()
			if s.bound.Port() == 0 || s.bound.Addr() != netip.MustParseAddrPort(tc.address).Addr() {
				t.Errorf("bound to %v", s.bound)
			}
			if n, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF); err != nil || n < 100_000 {
				t.Errorf("a receive buffer of %d bytes, %v", n, err)
			}
			for i, host := range append(tc.reach, tc.miss...) {
				conn, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(host), s.bound.Port()).String())
				if err != nil {
					t.Skip(err)
				}
				_, _ = conn.Write([]byte("hello")) // to miss is refused
				got := len(drain(t, s))
				_ = conn.Close()
				if want := min(1, max(0, len(tc.reach)-i)); got != want {
					t.Errorf("from %s came %d datagrams, want %d", host, got, want)
				}
			}
		})
	}
}

func TestOpenSocketRefused(t *testing.T) {
	t.Parallel()
	taken, err := openSocket(netip.MustParseAddrPort("127.0.0.1:0"), true, false)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.close()
	twin, err := openSocket(taken.bound, true, false)
	if err != nil {
		t.Fatalf("a shared port cannot be shared: %v", err)
	}
	defer twin.close()
	for name, address := range map[string]netip.AddrPort{
		"taken":   taken.bound,
		"foreign": netip.MustParseAddrPort("192.0.2.1:0"),
		"zone":    netip.MustParseAddrPort("[fe80::1%99999]:0"),
	} {
		if s, err := openSocket(address, false, false); err == nil {
			t.Errorf("%s: bound to %v", name, s.bound)
			s.close()
		}
	}
	if _, err := listenSockets(taken.bound, 2); err == nil {
		t.Error("a port that others share was shared with them")
	}
}

// TestListenSockets has the kernel spread clients over all sockets.
func TestListenSockets(t *testing.T) {
	t.Parallel()
	sockets, err := listenSockets(netip.MustParseAddrPort("127.0.0.1:0"), 4)
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		conn, err := net.Dial("udp", sockets[0].bound.String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	sum := 0
	for i, s := range sockets {
		if s.bound != sockets[0].bound {
			t.Errorf("socket %d has %v", i, s.bound)
		}
		n := len(drain(t, s))
		if n == 0 {
			t.Errorf("socket %d got nothing", i)
		}
		sum += n
		s.close()
	}
	if sum != 200 {
		t.Errorf("%d of 200 came", sum)
	}
}

// TestGROSegments has a burst arrive as one message, cut where it was sent.
func TestGROSegments(t *testing.T) {
	b := newBench(t)
	if !b.worker.gso.Load() || !b.allocation.socket.gro {
		t.Skip("no offload here")
	}
	out := newOutbox(0)
	raw := make([]byte, channelHeader+2500)
	for i := range raw {
		raw[i] = byte(i / 100)
	}
	p := parcel{socket: b.worker, to: endpointOf(b.allocation.socket.bound), allocation: b.allocation}
	for p.packet, p.roomy = range (message{raw: raw, segment: 1000}).datagrams() {
		out.put(&p)
	}
	out.flush()
	l := b.relay.loops[0]
	if n := l.read(b.allocation.socket.fd, 3); n != 1 {
		t.Fatalf("%d messages", n)
	}
	m, ok := l.message(3)
	if !ok || m.segment != 1000 || m.count() != 3 || !bytes.Equal(m.raw[channelHeader:], raw[channelHeader:]) {
		t.Errorf("segment %d, %d datagrams, %d bytes", m.segment, m.count(), len(m.raw)-channelHeader)
	}
	if m.from != endpointOf(b.worker.bound) {
		t.Errorf("from %v", m.from.addrPort())
	}
	l.arm(3)
	if n := l.read(b.allocation.socket.fd, 0); n != 0 {
		t.Errorf("%d more messages", n)
	}
}

// TestMessageIgnored has what the kernel may say besides datagrams.
func TestMessageIgnored(t *testing.T) {
	b := newBench(t)
	l := b.relay.loops[0]
	l.messages[0].n, l.messages[0].Flags = 100, unix.MSG_TRUNC
	if m, ok := l.message(0); ok {
		t.Errorf("truncated: %+v", m)
	}
	for name, c := range map[string]groControl{
		"other level":   {Cmsghdr: unix.Cmsghdr{Level: unix.SOL_SOCKET, Type: unix.UDP_GRO}, size: 10},
		"other type":    {Cmsghdr: unix.Cmsghdr{Level: unix.SOL_UDP, Type: unix.UDP_SEGMENT}, size: 10},
		"segment 0":     {Cmsghdr: unix.Cmsghdr{Level: unix.SOL_UDP, Type: unix.UDP_GRO}},
		"segment below": {Cmsghdr: unix.Cmsghdr{Level: unix.SOL_UDP, Type: unix.UDP_GRO}, size: -1},
	} {
		l.arm(0)
		l.messages[0].n, l.messages[0].Flags, l.controls[0] = 100, 0, c
		if m, ok := l.message(0); !ok || m.segment != 100 {
			t.Errorf("%s: %+v, %v", name, m, ok)
		}
	}
}

// TestLoopStops ends run, and a loop whose epoll is gone says so.
func TestLoopStops(t *testing.T) {
	t.Parallel()
	now := func() int64 { return 1 }
	l, err := newLoop(0, now)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.run() }()
	l.stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := l.add(nil, nil); err == nil {
		t.Error("a stopped loop took a socket")
	}
	if err := l.free(); err != nil {
		t.Error(err)
	}

	l, err = newLoop(0, now)
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- l.run() }()
	_ = l.epoll.Close()
	if err := <-ended; err == nil {
		t.Error("a loop without an epoll goes on")
	}
	if err := unix.Close(l.wake); err != nil {
		t.Error(os.NewSyscallError("close", err))
	}
}

func FuzzSockaddr(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1}, uint16(1), uint32(0))
	f.Add(bytes.Repeat([]byte{0xfe, 0x80}, 8), uint16(65535), uint32(7))
	f.Fuzz(func(t *testing.T, ip []byte, port uint16, scope uint32) {
		a, ok := netip.AddrFromSlice(ip)
		if !ok {
			return
		}
		e := endpointOf(netip.AddrPortFrom(a, port))
		e.scope = scope
		var sa sockaddr
		var got endpoint
		e.put(&sa, unix.AF_INET6)
		if got.get(&sa); got != e {
			t.Errorf("%+v became %+v", e, got)
		}
		if back, ok := endpointOfAddr(e.udpAddr()); !ok || back.ip != e.ip || back.port != e.port {
			t.Errorf("%+v became %+v", e, back)
		}
	})
}

func BenchmarkFramer(b *testing.B) {
	frames := bytes.Repeat(channelMessage(0x4000, make([]byte, 100)), 15)
	f := testFramer(Stream)
	b.SetBytes(int64(len(frames)))
	b.ReportAllocs()
	for b.Loop() {
		f.filled(copy(f.space(), frames))
		for n := 0; ; n++ {
			p, err := f.next()
			if err != nil {
				b.Fatal(err)
			}
			if p == nil {
				if n != 15 {
					b.Fatalf("%d messages", n)
				}
				break
			}
		}
		f.rewind()
	}
}

func BenchmarkStreamPush(b *testing.B) {
	k := newBench(b)
	l := k.relay.newListener(k.listener.LocalAddr())
	l.streams = &streams{listener: l, conns: map[endpoint]*stream{}}
	s := newStream(l.streams, newPipe(), endpoint{port: 1})
	payload := make([]byte, 1200)
	b.SetBytes(1200)
	b.ReportAllocs()
	for b.Loop() {
		if !s.push(0x4000, payload) {
			for c := s.take(); c != nil; c = s.take() {
				s.recycle(c)
			}
		}
	}
}

func BenchmarkAdmitted(b *testing.B) {
	k := newBench(b)
	bound := (*k.allocation.bindings.Load())[0]
	b.ReportAllocs()
	for b.Loop() {
		if !bound.admitted(1) || !bound.live(1) {
			b.Fatal("refused")
		}
	}
}
