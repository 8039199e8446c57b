package relay

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/pion/stun"
)

// randomPayloads are payloads of random sizes, each with its number and a
// checksum in front.
func randomPayloads(n int, seed uint64) [][]byte {
	random := rand.New(rand.NewPCG(seed, 1))
	all := make([][]byte, n)
	for i := range all {
		body := make([]byte, random.IntN(1200))
		for k := range body {
			body[k] = byte(random.Uint32())
		}
		sum := sha256.Sum256(body)
		all[i] = append(binary.BigEndian.AppendUint32(nil, uint32(i)), append(sum[:8], body...)...)
	}
	return all
}

// checkPayload says which payload p is.
func checkPayload(t testing.TB, p []byte) int {
	t.Helper()
	if len(p) < 12 {
		t.Fatalf("%d bytes came", len(p))
	}
	if sum := sha256.Sum256(p[12:]); !bytes.Equal(sum[:8], p[4:12]) {
		t.Fatalf("packet %d was damaged", binary.BigEndian.Uint32(p))
	}
	return int(binary.BigEndian.Uint32(p))
}

// TestRandomSizes sends windows of packets whose sizes never agree, both ways
// and over every kind of listener: all come, in order and undamaged.
func TestRandomSizes(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"UDP", "TCP"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			var l *Listener
			if kind == "TCP" {
				l = g.tcp(t, nil)
			} else {
				l = g.udp(t, "127.0.0.1:0")
			}
			c := dial(t, l).allocate(t)
			worker := peer(t, "127.0.0.1:0")
			c.bind(t, 0x4000, addrOf(worker.LocalAddr()))
			all := randomPayloads(600, 7)
			for window := range slices.Chunk(all, 30) {
				first := int(binary.BigEndian.Uint32(window[0]))
				for _, p := range window {
					c.send(t, 0x4000, p)
					if _, err := worker.WriteToUDPAddrPort(p, c.relayed); err != nil {
						t.Fatal(err)
					}
				}
				for i := range window {
					up, _ := receiveOne(t, worker)
					_, down := c.receiveData(t)
					if a, b := checkPayload(t, up), checkPayload(t, down); a != first+i || b != first+i {
						t.Fatalf("packet %d up and %d down came, want %d", a, b, first+i)
					}
				}
			}
		})
	}
}

// TestChannels has several clients use the same channel numbers for several
// peers of their own.
func TestChannels(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	const clients, channels = 4, 5
	for i := range clients {
		c := dial(t, l).allocate(t)
		workers := make([]*net.UDPConn, channels)
		for k := range workers {
			workers[k] = peer(t, "127.0.0.1:0")
			c.bind(t, 0x4000+uint16(k), addrOf(workers[k].LocalAddr()))
		}
		for round := range 3 {
			for k, w := range workers {
				text := fmt.Appendf(nil, "client %d channel %d round %d", i, k, round)
				c.send(t, 0x4000+uint16(k), text)
				if p, from := receiveOne(t, w); !bytes.Equal(p, text) || addrOf(from) != c.relayed {
					t.Fatalf("worker %d got %q from %v", k, p, from)
				}
			}
			// Down, interleaved, equal sizes: they may leave in one send, in order.
			for n := range 10 {
				w := workers[n%channels]
				if _, err := w.WriteToUDPAddrPort(fmt.Appendf(nil, "%08d", n), c.relayed); err != nil {
					t.Fatal(err)
				}
			}
			for n := range 10 {
				channel, p := c.receiveData(t)
				if string(p) != fmt.Sprintf("%08d", n) || channel != 0x4000+uint16(n%channels) {
					t.Fatalf("packet %d: channel %#x, %q", n, channel, p)
				}
			}
		}
	}
	if n := l.bindings.len(); n != clients*channels {
		t.Errorf("%d bindings, want %d", n, clients*channels)
	}
}

// TestUnknownPeer has strangers send to an allocation: without a permission
// nothing reaches the client, with one it gets indications.
func TestUnknownPeer(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	g.relayed = netip.MustParseAddr("0.0.0.0")
	l := g.udp(t, "127.0.0.1:0")
	c := dial(t, l).allocate(t)
	a := <-g.opened
	target := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), c.relayed.Port())
	stranger := peer(t, "127.0.0.2:0")
	if _, err := stranger.WriteToUDPAddrPort([]byte("stranger"), target); err != nil {
		t.Fatal(err)
	}
	eventually(t, "pion is told", func() bool { return a.Stats().Packets[Down] == 1 })
	c.permit(t, addrOf(stranger.LocalAddr()))
	if len(c.data) != 0 {
		t.Errorf("the client got %x", c.data[0])
	}
	if _, err := stranger.WriteToUDPAddrPort([]byte("friend"), target); err != nil {
		t.Fatal(err)
	}
	m := &stun.Message{Raw: c.receive(t)}
	if err := m.Decode(); err != nil {
		t.Fatal(err)
	}
	if from, ok := peerOf(m); !ok || from.addrPort() != addrOf(stranger.LocalAddr()) {
		t.Errorf("an indication of %v", from.addrPort())
	}
}

// TestBindingRequest asks what a STUN client asks, over each transport.
func TestBindingRequest(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	for name, l := range map[string]*Listener{
		"UDP": g.udp(t, "127.0.0.1:0"), "UDP6": g.udp(t, "[::1]:0"), "TCP": g.tcp(t, nil), "TLS": g.tcp(t, nil),
	} {
		c := dial(t, l)
		answer, err := c.ask(stun.MethodBinding)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var x stun.XORMappedAddress
		if err := x.GetFrom(answer); err != nil || x.String() != c.conn.LocalAddr().String() {
			t.Errorf("%s: %v, want %v, %v", name, x, c.conn.LocalAddr(), err)
		}
	}
}

// TestControlFloodOnStream sends more requests in one go than may wait: on a
// stream, none is lost.
func TestControlFloodOnStream(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.tcp(t, nil)
	c := dial(t, l)
	const n = 2 * inboxSize
	flood := bytes.Repeat(stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw, n)
	sent := make(chan error, 1)
	go func() {
		_, err := c.conn.Write(flood)
		sent <- err
	}()
	for i := range n {
		if p, err := c.message(); err != nil || !isSTUN(p) {
			t.Fatalf("answer %d: %x, %v", i, p, err)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if s := l.Stats(); s.Control != n || s.Dropped != [Drops]uint64{} {
		t.Errorf("stats %+v", s)
	}
}

// TestStreamWaitsForInbox closes a stream that waits for room in the inbox.
func TestStreamWaitsForInbox(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := g.relay.ListenStreams(ln, Stream) // without pion, nobody reads
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, l)
	flood := bytes.Repeat(stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw, 2*inboxSize)
	if _, err := c.conn.Write(flood); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the inbox is full", func() bool { return len(l.inbox) == inboxSize })
	g.stop() // which waits for all goroutines
	if l.Stats().Streams != 0 {
		t.Error("the stream is still there")
	}
}

// TestChange binds, refreshes and releases while data flows, for the race
// detector; all that is received is whole.
func TestChange(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	for _, l := range []*Listener{g.udp(t, "127.0.0.1:0"), g.tcp(t, nil)} {
		worker := peer(t, "127.0.0.1:0")
		targets := make(chan netip.AddrPort, 1)
		var group sync.WaitGroup
		group.Go(func() {
			p := randomPayloads(1, 3)[0]
			for to := range targets {
				for range 20 { // few enough for answers to get through
					_, _ = worker.WriteToUDPAddrPort(p, to)
				}
				_ = l.Stats()
			}
		})
		for i := range 10 {
			c := dial(t, l).allocate(t)
			c.bind(t, 0x4000, addrOf(worker.LocalAddr()))
			for range 5 {
				targets <- c.relayed
				g.admission.generation.Add(1)
				c.bind(t, 0x4000, addrOf(worker.LocalAddr()))
				if channel, p := c.receiveData(t); channel == 0x4000 {
					checkPayload(t, p)
				}
			}
			targets <- c.relayed
			if i%2 == 0 {
				c.refresh(t, 0)
			}
			_ = c.conn.Close()
		}
		close(targets)
		group.Wait()
	}
}

// TestLateAllocation opens an allocation for a stream that has ended meanwhile.
func TestLateAllocation(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.tcp(t, nil)
	s := newStream(l.streams, newPipe(), endpoint{port: 7})
	s.close()
	l2 := g.relay.newListener(l.LocalAddr())
	l2.streams = l.streams
	l2.current = request{from: s.from, stream: s}
	a, err := l2.Open(AllocationConfig{Local: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.ReadFrom(nil); err == nil {
		t.Error("the allocation outlives its stream")
	}
}

// TestSameClientTwice opens a second socket for a client, as pion/turn does for
// EVEN-PORT: closing the first leaves the second alone.
func TestSameClientTwice(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l, err := g.relay.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	l.current.from = endpoint{port: 1}
	var both [2]*Allocation
	for i := range both {
		if both[i], err = l.Open(AllocationConfig{Local: netip.MustParseAddrPort("127.0.0.1:0")}); err != nil {
			t.Fatal(err)
		}
	}
	both[0].bind(0x4000, endpoint{port: 2})
	both[1].bind(0x4000, endpoint{port: 3})
	_ = both[0].Close()
	if b := l.bindings.load(channelKey{endpoint{port: 1}, 0x4000}); b == nil || b.allocation != both[1] {
		t.Errorf("the binding is %+v", b)
	}
	if l.allocations[endpoint{port: 1}] != both[1] || l.Stats().Allocations != 1 {
		t.Error("the second allocation was forgotten")
	}
}

// TestEvenPort asks for an even port.
func TestEvenPort(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	c := dial(t, l)
	udp := attribute{stun.AttrRequestedTransport, []byte{17, 0, 0, 0}}
	answer, err := c.ask(stun.MethodAllocate, udp)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Parse(&c.realm, &c.nonce); err != nil {
		t.Fatal(err)
	}
	c.key = stun.NewLongTermIntegrity(testUser, testRealm, testPass)
	var x stun.XORMappedAddress
	if err := x.GetFromAs(c.do(t, stun.MethodAllocate, udp, attribute{stun.AttrEvenPort, []byte{0}}), stun.AttrXORRelayedAddress); err != nil {
		t.Fatal(err)
	}
	if x.Port%2 != 0 {
		t.Errorf("port %d", x.Port)
	}
	c.relayed = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(x.Port))
	exchange(t, c, peer(t, "127.0.0.1:0"))
	if n := l.Stats().Allocations; n != 1 {
		t.Errorf("%d allocations", n)
	}
}
