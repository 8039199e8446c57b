package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v2"
)

const (
	testUser  = "user"
	testPass  = "pass"
	testRealm = "realm"
)

// clock is a virtual clock.
type clock struct{ passed atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1e9, c.passed.Load()) }
func (c *clock) advance(d time.Duration) { c.passed.Add(int64(d)) }

// admission is an Admission that refuses a list.
type admission struct {
	mu         sync.Mutex
	refused    map[netip.AddrPort]bool
	asked      int
	generation atomic.Uint64
}

func (a *admission) Allows(_, peer netip.AddrPort) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	return !a.refused[peer]
}

func (a *admission) Generation() uint64 { return a.generation.Load() }

// refuse refuses peer from now on, or allows it again.
func (a *admission) refuse(peer netip.AddrPort, yes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refused == nil {
		a.refused = map[netip.AddrPort]bool{}
	}
	a.refused[peer] = yes
	a.generation.Add(1)
}

func (a *admission) questions() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

// generator is pion's way to relayed sockets.
type generator struct {
	gate     *gate
	listener *Listener
}

func (g generator) Validate() error { return nil }

func (g generator) AllocateConn(string, int) (net.Conn, net.Addr, error) {
	return nil, nil, errors.ErrUnsupported
}

func (g generator) AllocatePacketConn(_ string, port int) (net.PacketConn, net.Addr, error) {
	a, err := g.listener.Open(AllocationConfig{
		Local: netip.AddrPortFrom(g.gate.relayed, uint16(port)), Bandwidth: g.gate.bandwidth,
	})
	if err != nil {
		return nil, nil, err
	}
	g.gate.opened <- a
	return a, a.LocalAddr(), nil
}

// gate is a Relay with pion/turn on top of it.
type gate struct {
	relay     *Relay
	clock     *clock
	admission *admission
	relayed   netip.Addr // where allocations are bound
	bandwidth int64
	opened    chan *Allocation
	stop      func()
}

func newGate(t testing.TB, change ...func(*Config)) *gate {
	t.Helper()
	g := &gate{
		clock: &clock{}, admission: &admission{}, relayed: netip.MustParseAddr("127.0.0.1"),
		opened: make(chan *Allocation, 4096),
	}
	cfg := Config{Admission: g.admission, Loops: 2, Now: g.clock.now}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if g.relay, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.relay.Run(ctx) }()
	var once sync.Once
	g.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(g.stop)
	eventually(t, "Run runs", func() bool {
		g.relay.mu.Lock()
		defer g.relay.mu.Unlock()
		return g.relay.running
	})
	return g
}

// serve puts pion/turn on a listener.
func (g *gate) serve(t testing.TB, l *Listener) {
	t.Helper()
	key := turn.GenerateAuthKey(testUser, testRealm, testPass)
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: testRealm, LoggerFactory: quiet,
		AuthHandler: func(user, _ string, _ net.Addr) ([]byte, bool) { return key, user == testUser },
		PacketConnConfigs: []turn.PacketConnConfig{
			{PacketConn: l, RelayAddressGenerator: generator{g, l}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close server: %v", err)
		}
	})
}

// udp is a UDP listener with pion/turn.
func (g *gate) udp(t testing.TB, address string) *Listener {
	t.Helper()
	l, err := g.relay.ListenUDP(netip.MustParseAddrPort(address))
	if err != nil {
		t.Skipf("listen: %v", err)
	}
	g.serve(t, l)
	return l
}

// tcp is a TCP listener with pion/turn, with TLS if there is a config.
func (g *gate) tcp(t testing.TB, secure *tls.Config) *Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if secure != nil {
		ln = tls.NewListener(ln, secure)
	}
	l, err := g.relay.ListenStreams(ln, Stream)
	if err != nil {
		t.Fatal(err)
	}
	g.serve(t, l)
	return l
}

// peer is a UDP socket that stands for a worker.
func peer(t testing.TB, address string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
	if err != nil {
		t.Skipf("listen: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadBuffer(socketBuffer); err != nil {
		t.Fatal(err)
	}
	return conn
}

func addrOf(a net.Addr) netip.AddrPort {
	e, _ := endpointOfAddr(a)
	return e.addrPort()
}

// receiveOne reads one datagram.
func receiveOne(t testing.TB, conn net.PacketConn) ([]byte, net.Addr) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, maxDatagram)
	n, from, err := conn.ReadFrom(buf)
	if err != nil {
		t.Fatalf("nothing came: %v", err)
	}
	return buf[:n], from
}

// patience is how long a test waits for what must come.
const patience = time.Minute

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		timer := time.NewTimer(time.Millisecond)
		<-timer.C
	}
}
