package relay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun"
	"github.com/pion/turn/v2"
)

// payloads are n distinct payloads of a size.
func payloads(n, size int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = bytes.Repeat([]byte{byte(i)}, size)
		if size >= 4 {
			binary.BigEndian.PutUint32(all[i], uint32(i))
		}
	}
	return all
}

// exchange sends bursts both ways over a bound channel and checks each.
func exchange(t *testing.T, c *client, worker *net.UDPConn) {
	t.Helper()
	const channel = 0x4001
	c.bind(t, channel, addrOf(worker.LocalAddr()))
	for _, size := range []int{1, 3, 100, 1200} {
		burst := payloads(16, size)
		for _, p := range burst {
			if _, err := worker.WriteToUDPAddrPort(p, c.relayed); err != nil {
				t.Fatal(err)
			}
		}
		for i, want := range burst {
			if got, p := c.receiveData(t); got != channel || !bytes.Equal(p, want) {
				t.Fatalf("down, %d bytes, packet %d: channel %#x, %x", size, i, got, p[:min(8, len(p))])
			}
		}
		for _, p := range burst {
			c.send(t, channel, p)
		}
		for i, want := range burst {
			p, from := receiveOne(t, worker)
			if !bytes.Equal(p, want) || addrOf(from) != c.relayed {
				t.Fatalf("up, %d bytes, packet %d: from %v, %x", size, i, from, p[:min(8, len(p))])
			}
		}
	}
}

func TestRelaysBothWays(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ listener, relayed, worker string }{
		{"127.0.0.1:0", "127.0.0.1", "127.0.0.1:0"},
		{"[::1]:0", "127.0.0.1", "127.0.0.1:0"},
		{"127.0.0.1:0", "::1", "[::1]:0"},
		{"[::1]:0", "::1", "[::1]:0"},
	} {
		t.Run(tc.listener+" to "+tc.worker, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			g.relayed = netip.MustParseAddr(tc.relayed)
			l := g.udp(t, tc.listener)
			exchange(t, dial(t, l).allocate(t), peer(t, tc.worker))
			eventually(t, "all are counted", func() bool { return l.Stats().Packets == [2]uint64{64, 64} })
			s := l.Stats()
			if s.Bytes[Up] != 16*1304 || s.Bytes[Down] != 16*1304 {
				t.Errorf("counted %v bytes", s.Bytes)
			}
			if s.Dropped != [Drops]uint64{} || s.Allocations != 1 || s.Control < 3 {
				t.Errorf("stats %+v", s)
			}
			if a := (<-g.opened).Stats(); a.Packets != s.Packets || a.Bytes != s.Bytes || a.Dropped != 0 {
				t.Errorf("the allocation counts %+v, the listener %+v", a, s)
			}
		})
	}
}

// A dual-stack listener sees IPv4 clients as mapped addresses.
func TestDualStackListener(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "[::]:0")
	port := addrOf(l.LocalAddr()).Port()
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(host), port).String())
		if err != nil {
			t.Skip(err)
		}
		c := newClient(t, conn, false).allocate(t)
		exchange(t, c, peer(t, "127.0.0.1:0"))
		if a := <-g.opened; a.Client() != addrOf(conn.LocalAddr()) {
			t.Errorf("the client is %v, called %v", conn.LocalAddr(), a.Client())
		}
	}
}

// TestPionClient has a real client choose channels, permissions and indications.
func TestPionClient(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	c, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: l.LocalAddr().String(), TURNServerAddr: l.LocalAddr().String(), Conn: conn,
		Username: testUser, Password: testPass, Realm: testRealm, LoggerFactory: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	relayed, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = relayed.Close() }()
	worker := peer(t, "127.0.0.1:0")
	a := <-g.opened
	// The client begins with indications and goes over to a channel.
	for i := 0; a.Stats().Packets[Up] < 50 || l.Stats().Packets[Up] < 10; i++ {
		want := fmt.Appendf(nil, "packet %d", i)
		if _, err := relayed.WriteTo(want, worker.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if p, from := receiveOne(t, worker); !bytes.Equal(p, want) || from.String() != relayed.LocalAddr().String() {
			t.Fatalf("from %v came %q", from, p)
		}
		if _, err := worker.WriteTo(want, relayed.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if p, from := receiveOne(t, relayed); !bytes.Equal(p, want) || from.String() != worker.LocalAddr().String() {
			t.Fatalf("from %v came %q", from, p)
		}
	}
	eventually(t, "the channel is bound", func() bool { return l.bindings.len() == 1 })
}

func TestIndications(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	c := dial(t, l).allocate(t)
	worker := peer(t, "127.0.0.1:0")
	address := addrOf(worker.LocalAddr())
	c.permit(t, address)

	indication, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
		attribute{stun.AttrData, []byte("up")}, peerAttribute(address))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.conn.Write(indication.Raw); err != nil {
		t.Fatal(err)
	}
	if p, _ := receiveOne(t, worker); string(p) != "up" {
		t.Errorf("the worker got %q", p)
	}
	if _, err := worker.WriteToUDPAddrPort([]byte("down"), c.relayed); err != nil {
		t.Fatal(err)
	}
	m := &stun.Message{Raw: c.receive(t)}
	if err := m.Decode(); err != nil || m.Type.Method != stun.MethodData {
		t.Fatalf("%v, %v", m, err)
	}
	if data, _ := m.Get(stun.AttrData); string(data) != "down" {
		t.Errorf("the client got %q", data)
	}

	// The same peer refused: neither way.
	g.admission.refuse(address, true)
	if _, err := c.conn.Write(indication.Raw); err != nil {
		t.Fatal(err)
	}
	if _, err := worker.WriteToUDPAddrPort([]byte("down"), c.relayed); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are dropped", func() bool { return l.Stats().Dropped[DropPeer] == 2 })
	a := <-g.opened
	eventually(t, "both others are counted", func() bool { return a.Stats().Packets == [2]uint64{1, 1} })
	if got := a.Stats(); got.Dropped != 2 || got.Packets != [2]uint64{1, 1} || got.Bytes != [2]uint64{2, 4} {
		t.Errorf("the allocation counts %+v", got)
	}
}

// TestAdmission has a worker leave and come back while data flows, address and
// port.
func TestAdmission(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	c := dial(t, l).allocate(t)
	worker, other := peer(t, "127.0.0.1:0"), peer(t, "127.0.0.1:0")
	address := addrOf(worker.LocalAddr())
	g.admission.refuse(addrOf(other.LocalAddr()), true)
	exchange(t, c, worker)

	// Another port of the same address, though the permission is for it, too.
	if _, err := other.WriteToUDPAddrPort([]byte("x"), c.relayed); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other port is dropped", func() bool { return l.Stats().Dropped[DropPeer] == 1 })
	c.bind(t, 0x4002, addrOf(other.LocalAddr()))
	c.send(t, 0x4002, []byte("x"))
	eventually(t, "data to the other port is dropped", func() bool { return l.Stats().Dropped[DropPeer] == 2 })

	asked := g.admission.questions()
	exchange(t, c, worker)
	if n := g.admission.questions() - asked; n > 2 {
		t.Errorf("admission was asked %d times for 128 packets", n)
	}
	g.admission.refuse(address, true)
	c.send(t, 0x4001, []byte("x"))
	eventually(t, "the way up is cut", func() bool { return l.Stats().Dropped[DropPeer] == 3 })
	if _, err := worker.WriteToUDPAddrPort([]byte("x"), c.relayed); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the way down is cut", func() bool { return l.Stats().Dropped[DropPeer] == 4 })
	g.admission.refuse(address, false)
	exchange(t, c, worker)
}

func TestBandwidth(t *testing.T) {
	t.Parallel()
	for _, total := range []bool{false, true} {
		t.Run(fmt.Sprintf("total %v", total), func(t *testing.T) {
			t.Parallel()
			const rate = 100_000 // bytes per second
			g := newGate(t, func(cfg *Config) {
				if total {
					cfg.Bandwidth = rate
				}
			})
			if !total {
				g.bandwidth = rate
			}
			l := g.udp(t, "127.0.0.1:0")
			c := dial(t, l).allocate(t)
			worker := peer(t, "127.0.0.1:0")
			c.bind(t, 0x4000, addrOf(worker.LocalAddr()))
			for range 100 {
				if _, err := worker.WriteToUDPAddrPort(make([]byte, 1000), c.relayed); err != nil {
					t.Fatal(err)
				}
			}
			want := uint64(rate * bucketDepth / time.Second / 1000)
			eventually(t, "all are accounted for", func() bool {
				s := l.Stats()
				return s.Packets[Down]+s.Dropped[DropBandwidth] == 100
			})
			if s := l.Stats(); s.Packets[Down] < want || s.Packets[Down] > want+1 {
				t.Errorf("%d packets passed, want %d", s.Packets[Down], want)
			}
			before := l.Stats().Dropped[DropBandwidth]
			c.send(t, 0x4000, make([]byte, 1000))
			eventually(t, "both directions are one", func() bool { return l.Stats().Dropped[DropBandwidth] == before+1 })
			g.clock.advance(time.Second)
			c.send(t, 0x4000, make([]byte, 1000))
			receiveOne(t, worker)
		})
	}
}
