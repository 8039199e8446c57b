package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/logging"
	pion "github.com/pion/turn/v2"

	"github.com/cloudretro/cloudretro/turn"
)

// A static user of the gates under test, as tools and guides have it.
const (
	gateUser     = "user-1"
	gatePassword = "pass-1"
	gateSecret   = "a secret of the gate's tests"
	patient      = 30 * time.Second // for what should be there in no time
)

// gate is a turn.Gate of this process, with a listener of each kind, and the
// list of workers that it relays to.
type gate struct {
	*turn.Gate
	workers *workers
	cert    string // folder of tls.crt and tls.key
	address map[string]string
	stop    func()
}

func startGate(t *testing.T, change func(*turn.Config)) *gate {
	t.Helper()
	g := &gate{workers: &workers{changed: make(chan struct{}, 1)}, cert: t.TempDir(), address: map[string]string{}}
	g.newCertificate(t)
	cfg := turn.Config{
		Secrets: []string{gateSecret}, Users: []turn.User{{Name: gateUser, Password: gatePassword}}, Sources: []turn.Source{g.workers},
		MaxAllocations: 20_000, Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	protocols := []string{turn.UDP, turn.TCP, turn.TLS, turn.DTLS}
	for _, p := range protocols {
		l := turn.Listener{Protocol: p, Address: "127.0.0.1:0"}
		if p == turn.TLS || p == turn.DTLS {
			l.CertFile, l.KeyFile = filepath.Join(g.cert, "tls.crt"), filepath.Join(g.cert, "tls.key")
		}
		cfg.Listeners = append(cfg.Listeners, l)
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if g.Gate, err = turn.New(cfg); err != nil {
		t.Fatal(err)
	}
	for i, url := range g.URLs() {
		_, rest, _ := strings.Cut(url, ":")
		g.address[protocols[i]], _, _ = strings.Cut(rest, "?")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("gate: %v", err)
		}
	})
	t.Cleanup(g.stop)
	return g
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// port of a listener.
func (g *gate) port(protocol string) string {
	_, port, _ := net.SplitHostPort(g.address[protocol])
	return port
}

// newCertificate writes a new pair of files, the way an operator's tool does.
func (g *gate) newCertificate(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		part := filepath.Join(g.cert, name+".part")
		if err := errors.Join(os.WriteFile(part, pem.EncodeToMemory(block), 0o600), os.Rename(part, filepath.Join(g.cert, name))); err != nil {
			t.Fatal(err)
		}
	}
}

// serial is that of the certificate which the TLS listener shows now.
func (g *gate) serial(t *testing.T) string {
	t.Helper()
	conn, err := tls.Dial("tcp", g.address[turn.TLS], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// workers is a turn.Source whose list the test sets.
type workers struct {
	mu      sync.Mutex
	list    []netip.AddrPort
	changed chan struct{}
}

// String implements turn.Source.
func (w *workers) String() string { return "test" }

// Watch implements turn.Source.
func (w *workers) Watch(ctx context.Context, update func([]netip.AddrPort)) {
	for {
		w.mu.Lock()
		list := append([]netip.AddrPort(nil), w.list...)
		w.mu.Unlock()
		update(list)
		select {
		case <-w.changed:
		case <-ctx.Done():
			return
		}
	}
}

// set replaces the list and waits until the gate has taken it.
func (w *workers) set(t *testing.T, g *gate, list ...netip.AddrPort) {
	t.Helper()
	w.mu.Lock()
	w.list = list
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
	eventually(t, "the new list of workers", func() bool { return g.Stats().Peers == len(list) })
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not come within %s", what, patient)
}

// echo is a worker's media port that sends everything back, until the test ends.
func echo(t *testing.T) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = conn.WriteToUDPAddrPort(buf[:n], from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// caller is a pion/turn client with one relay.
type caller struct {
	conn    net.PacketConn
	client  *pion.Client
	relayed net.PacketConn
	buf     [2048]byte
}

// call opens a relay over a protocol. The caller closes it.
func (g *gate) call(protocol, user, password string) (*caller, error) {
	return g.callFrom("127.0.0.1", protocol, user, password)
}

// callFrom is call from an address of its own: the gate answers only so many
// first requests of one.
func (g *gate) callFrom(from, protocol, user, password string) (*caller, error) {
	conn, err := g.dial(from, protocol)
	if err != nil {
		return nil, err
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	c := &caller{conn: conn}
	c.client, err = pion.NewClient(&pion.ClientConfig{
		TURNServerAddr: g.address[protocol], Conn: conn, Username: user, Password: password, LoggerFactory: quiet,
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err = c.client.Listen(); err == nil {
		c.relayed, err = c.client.Allocate()
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// dial is a connection to a listener as pion's client wants it.
func (g *gate) dial(from, protocol string) (net.PacketConn, error) {
	if protocol == turn.UDP {
		return net.ListenPacket("udp4", from+":0")
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", g.address[protocol])
	if err != nil {
		return nil, err
	}
	if protocol == turn.TLS {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	return pion.NewSTUNConn(conn), nil
}

// close frees the relay.
func (c *caller) close() {
	if c.relayed != nil {
		_ = c.relayed.Close()
	}
	c.client.Close()
	_ = c.conn.Close()
}

// roundTrip sends a message to a worker until it comes back.
func (c *caller) roundTrip(worker netip.AddrPort, message string) error {
	to := net.UDPAddrFromAddrPort(worker)
	for end := time.Now().Add(patient); time.Now().Before(end); {
		if _, err := c.relayed.WriteTo([]byte(message), to); err != nil {
			return err
		}
		if err := c.relayed.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			return err
		}
		for {
			n, _, err := c.relayed.ReadFrom(c.buf[:])
			if err != nil {
				break
			}
			if string(c.buf[:n]) == message {
				return nil
			}
		}
	}
	return errors.New("nothing comes back from " + worker.String())
}
