package turn

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/turn/v2"
	"go.uber.org/goleak"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/turn/credential"
)

const (
	secret  = "north"
	patient = time.Minute // for what should be there in no time
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not happen within %s", what, patient)
}

// gate is a running Gate.
type gate struct {
	*Gate
	stop func()
}

func start(t *testing.T, change func(*Config)) gate {
	t.Helper()
	cfg := Config{
		Listeners: []Listener{{Protocol: UDP, Address: "127.0.0.1:0"}}, Secrets: []string{secret},
		Logger: logOf(t),
	}
	if change != nil {
		change(&cfg)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return gate{g, run(t, g)}
}

// run runs a gate until stop is called or the test ends.
func run(t *testing.T, g *Gate) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (g gate) address() string { return g.doors[0].LocalAddr().String() }

// client is a TURN client with a credential of its own.
func (g gate) client(t *testing.T, username, password string) *turn.Client {
	t.Helper()
	return g.clientAt(t, g.address(), username, password)
}

func (g gate) clientAt(t *testing.T, address, username, password string) *turn.Client {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: address, STUNServerAddr: address, Conn: conn,
		Username: username, Password: password, LoggerFactory: logFactory{slog.New(slog.DiscardHandler)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); conn.Close() })
	return c
}

// good is a client with a good credential for a session.
func (g gate) good(t *testing.T, session string) *turn.Client {
	t.Helper()
	username, password, err := credential.Mint(secret, session, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return g.client(t, username, password)
}

// udp is a peer's socket.
func socket(t *testing.T, address string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenPacket("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.UDPConn)
}

func peerOf(conn *net.UDPConn) Peer {
	a, _ := addrPort(conn.LocalAddr())
	p, err := ParsePeer(a.String())
	if err != nil {
		panic(err)
	}
	return p
}

// coordinator is a fake one at /ws/turn.
type coordinator struct {
	*httptest.Server
	id     string
	secret string

	mu      sync.Mutex
	conns   map[*websocket.Conn]struct{}
	peers   []string
	gates   []signal.Gate // that were accepted
	refused int
	said    []signal.Type // by gates after their proof
}

func newCoordinator(t *testing.T, secret string, peers ...string) *coordinator {
	c := &coordinator{id: signal.NewID(), secret: secret, conns: map[*websocket.Conn]struct{}{}, peers: peers}
	c.Server = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.close)
	return c
}

// close ends it with all its connections.
func (c *coordinator) close() {
	c.mu.Lock()
	for conn := range c.conns {
		conn.Close()
	}
	c.mu.Unlock()
	c.Server.Close()
}

func (c *coordinator) serve(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/ws/turn" {
		http.NotFound(rw, r)
		return
	}
	conn, err := (&websocket.Upgrader{}).Upgrade(rw, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	nonce := signal.NewNonce()
	say(conn, signal.TypeChallenge, signal.Challenge{Nonce: nonce, Coordinator: c.id})
	_, data, err := conn.ReadMessage()
	if err != nil {
		return
	}
	e, err := signal.Decode(data, signal.MaxInternal)
	if err != nil {
		return
	}
	gate, err := signal.Read[signal.Gate](e)
	if err != nil || !signal.CheckMAC(c.secret, nonce, signal.RoleGate, gate.ID, gate.MAC) {
		c.mu.Lock()
		c.refused++
		c.mu.Unlock()
		say(conn, signal.TypeError, signal.Errorf(signal.CodeDenied, "wrong secret"))
		return
	}
	c.mu.Lock()
	say(conn, signal.TypeAccepted, nil)
	say(conn, signal.TypePeers, signal.Peers{Addrs: c.peers})
	c.gates = append(c.gates, gate)
	c.conns[conn] = struct{}{}
	c.mu.Unlock()
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			break
		}
		if e, err := signal.Decode(data, signal.MaxInternal); err == nil {
			c.mu.Lock()
			c.said = append(c.said, e.Type)
			c.mu.Unlock()
		}
	}
	c.mu.Lock()
	delete(c.conns, conn)
	c.mu.Unlock()
}

// push sends all gates another set.
func (c *coordinator) push(peers ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers = peers
	for conn := range c.conns {
		say(conn, signal.TypePeers, signal.Peers{Addrs: peers})
	}
}

// drop cuts all gates off.
func (c *coordinator) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		conn.Close()
	}
}

// forget forgets what gates have said.
func (c *coordinator) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = nil
}

// heard says whether a gate has sent a message of a type.
func (c *coordinator) heard(t signal.Type) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.said, t)
}

func (c *coordinator) joined() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.gates)
}

func say(conn *websocket.Conn, t signal.Type, payload any) {
	data, err := signal.Encode(t, "", "", payload)
	if err != nil {
		panic(err)
	}
	_ = conn.WriteMessage(websocket.TextMessage, data) // a gate that left is noticed by read
}

// client4 is a client with a good credential that reaches a gate on all
// addresses by 127.0.0.1.
func (g gate) client4(t *testing.T) *turn.Client {
	t.Helper()
	_, port, err := net.SplitHostPort(g.address())
	if err != nil {
		t.Fatal(err)
	}
	username, password, err := credential.Mint(secret, "abc", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return g.clientAt(t, net.JoinHostPort("127.0.0.1", port), username, password)
}

// everyInterface is a port at each IPv4 address of this machine, as a worker
// on all interfaces announces it.
func everyInterface(t *testing.T, port uint16) []Peer {
	t.Helper()
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var list []Peer
	for _, a := range interfaces {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil {
			addr, _ := netip.AddrFromSlice(ip.IP.To4())
			list = append(list, Peer{Prefix: netip.PrefixFrom(addr, 32), Port: port})
		}
	}
	return list
}

func loopbackClient() netip.AddrPort { return netip.MustParseAddrPort("127.0.0.1:4000") }

// logOf is a log that is shown when the test fails.
func logOf(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
