//go:build !portable

package relay

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// bench is a relay that does not run: tests turn its loop by hand.
type bench struct {
	relay      *Relay
	listener   *Listener
	allocation *Allocation
	client     *socket
	worker     *socket
}

func newBench(t testing.TB) *bench {
	t.Helper()
	r, err := New(Config{Admission: &admission{}, Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	b := &bench{relay: r}
	local := netip.MustParseAddrPort("127.0.0.1:0")
	for _, s := range []**socket{&b.client, &b.worker} {
		if *s, err = openSocket(local, false, false); err != nil {
			t.Fatal(err)
		}
		t.Cleanup((*s).close)
		(*s).gro = unix.SetsockoptInt((*s).fd, unix.SOL_UDP, unix.UDP_GRO, 0) == nil
	}
	if b.listener, err = r.ListenUDP(local); err != nil {
		t.Fatal(err)
	}
	b.listener.current.from = endpointOf(b.client.bound)
	if b.allocation, err = b.listener.Open(AllocationConfig{Local: local}); err != nil {
		t.Fatal(err)
	}
	b.allocation.bind(0x4000, endpointOf(b.worker.bound))
	return b
}

// turn makes the loop do what there is to do.
func (b *bench) turn() int {
	l := b.relay.loops[0]
	n, err := l.poll(uintptr(l.fd))
	if err != nil {
		panic(err)
	}
	l.serve(l.resolve(n))
	return n
}

// burst sends n datagrams of a size from the worker to the allocation, or from
// the client to the listener, in one send if segmented.
func (b *bench) burst(n, size int, d Direction, out *outbox) {
	p := parcel{allocation: b.allocation, direction: d}
	p.socket, p.to = b.worker, endpointOf(b.allocation.socket.bound)
	if d == Up {
		p.socket, p.to = b.client, endpointOf(addrOf(b.listener.LocalAddr()))
	}
	packet := make([]byte, channelHeader+size)
	if d == Up {
		packet = append(make([]byte, channelHeader), channelMessage(0x4000, packet[channelHeader:])...)
	}
	p.packet = packet
	for range n {
		out.put(&p)
	}
	out.flush()
}

// drain reads all that a socket holds and says how long each datagram is.
func drain(t testing.TB, s *socket) (sizes []int) {
	t.Helper()
	buf := make([]byte, maxDatagram)
	for {
		n, _, err := unix.Recvfrom(s.fd, buf, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			return sizes
		}
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, n)
	}
}

// TestBurstIsOneSend has the worker send with and without offload.
func TestBurstIsOneSend(t *testing.T) {
	for _, d := range []Direction{Up, Down} {
		for _, offload := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, offload %v", d, offload), func(t *testing.T) {
				b := newBench(t)
				if !b.worker.gso.Load() || !b.allocation.socket.gro {
					t.Skip("no offload here")
				}
				b.worker.gso.Store(offload)
				b.client.gso.Store(offload)
				b.burst(16, 1200, d, newOutbox(0))
				before := b.listener.Stats()
				b.turn()
				s := b.listener.Stats()
				if s.Packets[d]-before.Packets[d] != 16 || s.Sends[d]-before.Sends[d] != 1 {
					t.Errorf("%d packets in %d sends", s.Packets[d]-before.Packets[d], s.Sends[d]-before.Sends[d])
				}
				if !s.GSO || !s.GRO {
					t.Errorf("stats say GSO %v, GRO %v", s.GSO, s.GRO)
				}
				want, to := slices.Repeat([]int{1200}, 16), b.worker
				if d == Down {
					want, to = slices.Repeat([]int{1204}, 16), b.client
				}
				if got := drain(t, to); !slices.Equal(got, want) {
					t.Errorf("received %v", got)
				}
			})
		}
	}
}

// TestOutboxRefused has the kernel refuse sends.
func TestOutboxRefused(t *testing.T) {
	for _, tc := range []struct {
		refusal      error
		segmented    bool // only sends of several datagrams are refused
		sent, sticky bool
	}{
		{unix.EIO, true, true, true},
		{unix.EINVAL, true, true, false},
		{unix.EMSGSIZE, true, true, false},
		{unix.EIO, false, false, true},
		{unix.EAGAIN, false, false, false},
		{unix.ENOBUFS, false, false, false},
		{unix.EPERM, false, false, false},
	} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			b := newBench(t)
			if !b.worker.gso.Load() {
				t.Skip("no offload here")
			}
			calls := 0
			out := b.relay.loops[0].out
			out.send = func(fd int, messages []mmsghdr) (int, error) {
				calls++
				if !tc.segmented || messages[0].Control != nil {
					return 0, tc.refusal
				}
				return sendmmsg(fd, messages)
			}
			b.burst(16, 1200, Down, newOutbox(0))
			before := b.listener.Stats()
			b.turn()
			s := b.listener.Stats()
			relayed, dropped := s.Packets[Down]-before.Packets[Down], s.Dropped[DropSend]
			if tc.sent && (relayed != 16 || dropped != 0) || !tc.sent && (relayed != 0 || dropped != 16) {
				t.Errorf("%d relayed, %d dropped", relayed, dropped)
			}
			want := []int(nil)
			if tc.sent {
				want = slices.Repeat([]int{1204}, 16)
			}
			if got := drain(t, b.client); !slices.Equal(got, want) {
				t.Errorf("received %v", got)
			}
			if b.listener.sockets[0].gso.Load() == tc.sticky {
				t.Errorf("GSO is %v afterwards", !tc.sticky)
			}
			calls = 0
			b.burst(16, 1200, Down, newOutbox(0))
			b.turn()
			if tc.sticky && tc.sent && calls != 1 {
				t.Errorf("%d sends of datagrams one by one, want one sendmmsg", calls)
			}
		})
	}
}

// TestOutboxSingleUneven sends a refused run whose last datagram is shorter, of
// pieces (header, payload) and whole.
func TestOutboxSingleUneven(t *testing.T) {
	b := newBench(t)
	out := newOutbox(0)
	out.send = func(fd int, messages []mmsghdr) (int, error) {
		if messages[0].Control != nil {
			return 0, unix.EINVAL
		}
		return sendmmsg(fd, messages)
	}
	raw := make([]byte, channelHeader+250)
	m := message{raw: raw, segment: 100}
	p := parcel{socket: b.listener.sockets[0], to: endpointOf(b.client.bound), channel: 0x4000, allocation: b.allocation, direction: Down}
	for p.packet, p.roomy = range m.datagrams() {
		out.put(&p)
	}
	out.flush()
	if got := drain(t, b.client); !slices.Equal(got, []int{104, 104, 54}) {
		t.Errorf("received %v", got)
	}
	if s := b.listener.Stats(); s.Bytes[Down] != 250 || s.Packets[Down] != 3 || s.Sends[Down] != 3 {
		t.Errorf("stats %+v", s)
	}
}

// TestOutboxMixed puts more datagrams, of more sizes, sockets and clients, than
// one send, one sendmmsg or one outbox holds; order is kept per client.
func TestOutboxMixed(t *testing.T) {
	b := newBench(t)
	out := newOutbox(0)
	var toClient, toWorker []int
	for i := range 600 {
		size := 20 + i*i%7*100
		p := parcel{
			to: endpointOf(b.client.bound), channel: 0x4000, packet: make([]byte, channelHeader+size), roomy: i%2 == 0,
			socket: b.listener.sockets[0], allocation: b.allocation, direction: Down,
		}
		if i%97 == 0 {
			p.socket, p.to, p.channel, p.direction = b.allocation.socket, endpointOf(b.worker.bound), 0, Up
			toWorker = append(toWorker, size)
		} else {
			toClient = append(toClient, size+channelHeader)
		}
		out.put(&p)
	}
	out.flush()
	if got := drain(t, b.client); !slices.Equal(got, toClient) {
		t.Errorf("the client got %d of %d", len(got), len(toClient))
	}
	if got := drain(t, b.worker); !slices.Equal(got, toWorker) {
		t.Errorf("the worker got %v, want %v", got, toWorker)
	}
	if s := b.listener.Stats(); s.Packets[Up]+s.Packets[Down] != 600 || s.Dropped[DropSend] != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestOutboxUnreachable(t *testing.T) {
	b := newBench(t)
	out := newOutbox(0)
	p := parcel{socket: b.worker, to: endpointOf(netip.MustParseAddrPort("[2001:db8::1]:5")), packet: make([]byte, 10), allocation: b.allocation}
	out.put(&p) // IPv6 from an IPv4 socket
	out.flush()
	if n := b.listener.Stats().Dropped[DropSend]; n != 1 {
		t.Errorf("%d dropped", n)
	}
	b.worker.close()
	p.to = endpointOf(b.client.bound)
	out.put(&p)
	out.flush()
	if n := b.listener.Stats().Dropped[DropSend]; n != 2 {
		t.Errorf("%d dropped", n)
	}
	if err := b.allocation.socket.writeTo([]byte("x"), endpointOf(netip.MustParseAddrPort("[2001:db8::1]:5"))); err == nil {
		t.Error("IPv6 from an IPv4 socket")
	}
}

func TestSockaddr(t *testing.T) {
	for _, s := range []string{"192.0.2.1:1", "[2001:db8::1]:65535", "[fe80::1%3]:443", "[::ffff:192.0.2.1]:9"} {
		e := endpointOf(netip.MustParseAddrPort(s))
		var sa sockaddr
		var got endpoint
		if n := e.put(&sa, unix.AF_INET6); n != unix.SizeofSockaddrInet6 {
			t.Errorf("%s: size %d", s, n)
		}
		if got.get(&sa); got != e {
			t.Errorf("%s by way of AF_INET6: %+v", s, got)
		}
		n := e.put(&sa, unix.AF_INET)
		if (n != 0) != e.is4() {
			t.Errorf("%s: size %d", s, n)
		}
		got = endpoint{scope: 5, ip: [16]byte{1}}
		if got.get(&sa); e.is4() && got != e {
			t.Errorf("%s by way of AF_INET: %+v", s, got)
		}
	}
}

func TestZeroAllocations(t *testing.T) {
	if racing {
		t.Skip("the race detector allocates")
	}
	for _, d := range []Direction{Up, Down} {
		for _, n := range []int{1, 16} {
			b := newBench(t)
			out := newOutbox(0)
			buf := make([]byte, maxDatagram)
			packet := make([]byte, channelHeader+1200)
			to, from, at := b.worker, b.client, endpointOf(addrOf(b.listener.LocalAddr()))
			packet = append(packet[:channelHeader], channelMessage(0x4000, packet[channelHeader:])...)
			if d == Down {
				to, from, at = b.client, b.worker, endpointOf(b.allocation.socket.bound)
			}
			p := parcel{socket: from, to: at, packet: packet, allocation: b.allocation, direction: d}
			relayed := b.listener.Stats().Packets[d]
			got := testing.AllocsPerRun(200, func() {
				for range n {
					out.put(&p)
				}
				out.flush()
				b.turn()
				for range n {
					// Read, as Recvfrom makes an address.
					if _, err := unix.Read(to.fd, buf); err != nil {
						t.Fatal(err)
					}
				}
			})
			if got != 0 {
				t.Errorf("%v, bursts of %d: %v allocations", d, n, got)
			}
			if relayed = b.listener.Stats().Packets[d] - relayed; relayed < uint64(200*n) {
				t.Errorf("%v: %d packets were relayed", d, relayed)
			}
		}
	}
}

func TestZeroAllocationsStream(t *testing.T) {
	if racing {
		t.Skip("the race detector allocates")
	}
	b := newBench(t)
	l := b.relay.newListener(b.listener.LocalAddr())
	l.streams = &streams{listener: l, conns: map[endpoint]*stream{}}
	s := newStream(l.streams, newPipe(), endpoint{port: 1})
	payload := bytes.Repeat([]byte{1}, 1200)
	got := testing.AllocsPerRun(1000, func() {
		for range 16 {
			if !s.push(0x4000, payload) {
				t.Fatal("no room")
			}
		}
		s.recycle(s.take())
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkRelay(b *testing.B) {
	for _, d := range []Direction{Up, Down} {
		for _, n := range []int{1, 16} {
			for _, offload := range []bool{false, true} {
				if n == 1 && offload {
					continue
				}
				b.Run(fmt.Sprintf("%v/burst=%d/offload=%v", d, n, offload), func(b *testing.B) {
					k := newBench(b)
					k.client.gso.Store(offload)
					k.worker.gso.Store(offload)
					out := newOutbox(0)
					b.ReportAllocs()
					for b.Loop() {
						b.StopTimer()
						k.burst(n, 1200, d, out)
						b.StartTimer()
						k.turn()
						b.StopTimer()
						drain(b, k.client)
						drain(b, k.worker)
						b.StartTimer()
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/packet")
				})
			}
		}
	}
}

func BenchmarkTable(b *testing.B) {
	t := newTable[channelKey, *binding]()
	for i := range 10_000 {
		t.store(channelKey{endpoint{port: uint16(i)}, 0x4000}, &binding{})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if t.load(channelKey{endpoint{port: uint16(i % 10_000)}, 0x4000}) == nil {
			b.Fatal("lost")
		}
	}
}

func BenchmarkBucket(b *testing.B) {
	var k bucket
	k.limit(1 << 30)
	for now := int64(0); b.Loop(); now += 1000 {
		k.take(1200, now)
	}
}
