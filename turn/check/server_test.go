package check

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/stun"
	"github.com/pion/turn/v2"
	"go.uber.org/goleak"

	"github.com/cloudretro/cloudretro/turn/credential"
)

const (
	secret   = "a secret for tests"
	realm    = "somewhere"
	user     = "user-1"
	password = "pass-1"
)

// pion's DTLS listener, of the servers here, keeps the socket of a client that
// refused its certificate.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/pion/transport/v2/udp.(*listener).readLoop"),
		goleak.IgnoreAnyFunction("github.com/pion/transport/v2/connctx.(*connCtx).ReadContext.func1"))
}

// quick is a check that takes little time, where nothing is lost: 26 packets.
func quick(url string) Config {
	return Config{URL: url, Secret: secret, Timeout: 10 * time.Second, Duration: 100 * time.Millisecond, Bitrate: 2_500_000}
}

// walk checks and logs what was found.
func walk(t *testing.T, cfg Config) Report {
	t.Helper()
	report, err := Run(t.Context(), cfg, func(l Leg) { t.Logf("%+v", l) })
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// wantLegs compares the legs: "resolve connect stun allocate!" ends in one that
// failed, "peer?" is one that was noted.
func wantLegs(t *testing.T, r Report, want string) {
	t.Helper()
	var got []string
	for _, l := range r.Legs {
		got = append(got, l.Name+map[State]string{Failed: "!", Noted: "?"}[l.State])
	}
	if strings.Join(got, " ") != want {
		t.Fatalf("legs %q, want %q", strings.Join(got, " "), want)
	}
}

// wantCause looks at the last leg.
func wantCause(t *testing.T, r Report, code int, words ...string) {
	t.Helper()
	last := r.Legs[len(r.Legs)-1]
	for _, w := range words {
		if !strings.Contains(last.Cause+"\n"+last.Remedy, w) {
			t.Errorf("cause %q, remedy %q; want %q in it", last.Cause, last.Remedy, w)
		}
	}
	if last.Code != code {
		t.Errorf("code %d, want %d", last.Code, code)
	}
}

// server is a plain pion/turn server with credentials of the secret and of one
// user; change may alter it. It ends with the test.
func server(t *testing.T, change func(*turn.ServerConfig)) {
	t.Helper()
	cfg := turn.ServerConfig{
		Realm: realm,
		AuthHandler: func(name, _ string, _ net.Addr) ([]byte, bool) {
			if name == user {
				return turn.GenerateAuthKey(user, realm, password), true
			}
			u, err := credential.Parse(name)
			if err != nil || u.Expired(time.Now()) {
				return nil, false
			}
			return turn.GenerateAuthKey(name, realm, credential.Password(secret, name)), true
		},
	}
	change(&cfg)
	s, err := turn.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
}

func generator() turn.RelayAddressGenerator {
	return &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"}
}

// overUDP starts a server and answers its URL.
func overUDP(t *testing.T, change func(*turn.ServerConfig)) string {
	t.Helper()
	conn := listenUDP(t)
	server(t, func(cfg *turn.ServerConfig) {
		cfg.PacketConnConfigs = []turn.PacketConnConfig{{PacketConn: conn, RelayAddressGenerator: generator()}}
		if change != nil {
			change(cfg)
		}
	})
	return "turn:" + conn.LocalAddr().String()
}

// over starts a server on a listener and answers its URL.
func over(t *testing.T, listener net.Listener, scheme, transport string) string {
	t.Helper()
	listener = &guests{Listener: listener}
	t.Cleanup(func() { _ = listener.Close() })
	server(t, func(cfg *turn.ServerConfig) {
		cfg.ListenerConfigs = []turn.ListenerConfig{{Listener: listener, RelayAddressGenerator: generator()}}
	})
	return scheme + ":" + listener.Addr().String() + "?transport=" + transport
}

// guests is a listener whose connections end with it. pion/turn closes none of
// them, and a DTLS client's goodbye may come before its handshake is over.
type guests struct {
	net.Listener

	mu     sync.Mutex
	closed bool
	conns  []net.Conn
}

func (g *guests) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	g.conns = append(g.conns, conn)
	return conn, nil
}

func (g *guests) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := []error{g.Listener.Close()}
	g.closed = true
	for _, conn := range g.conns {
		err = append(err, conn.Close())
	}
	return errors.Join(err...)
}

func listenUDP(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func listenTLS(t *testing.T, cert tls.Certificate) net.Listener {
	t.Helper()
	return tls.NewListener(listenTCP(t), &tls.Config{Certificates: []tls.Certificate{cert}})
}

func listenDTLS(t *testing.T, cert tls.Certificate) net.Listener {
	t.Helper()
	l, err := dtls.Listen("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, &dtls.Config{
		Certificates: []tls.Certificate{cert},
		ConnectContextMaker: func() (context.Context, func()) {
			return context.WithTimeout(t.Context(), 20*time.Second) // a handshake that was given up ends with the test
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority of the tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a certificate for 127.0.0.1 and localhost, good for an hour from
// begin; change may alter it. Without an authority it is self-made.
func sign(t *testing.T, a *authority, begin time.Time, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "gate"}, NotBefore: begin, NotAfter: begin.Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// answering is a server that answers each request with what answer makes of it,
// nothing if that is nil.
func answering(t *testing.T, answer func(*stun.Message) []stun.Setter) string {
	t.Helper()
	conn := listenUDP(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, maxFrame)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			m := &stun.Message{Raw: append([]byte(nil), buffer[:n]...)}
			if err != nil || m.Decode() != nil {
				continue
			}
			if set := answer(m); set != nil {
				out := stun.MustBuild(append([]stun.Setter{stun.NewTransactionIDSetter(m.TransactionID)}, set...)...)
				_, _ = conn.WriteTo(out.Raw, from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return "turn:" + conn.LocalAddr().String()
}

// refusing answers Binding, challenges the first Allocate and refuses the rest.
func refusing(t *testing.T, code stun.ErrorCode, more ...stun.Setter) string {
	t.Helper()
	return answering(t, func(m *stun.Message) []stun.Setter {
		fail := stun.NewType(m.Type.Method, stun.ClassErrorResponse)
		switch {
		case m.Type == stun.BindingRequest:
			return []stun.Setter{stun.BindingSuccess, &stun.XORMappedAddress{IP: net.IPv4(198, 51, 100, 7), Port: 4711}}
		case !m.Contains(stun.AttrUsername):
			return []stun.Setter{fail, stun.CodeUnauthorized, stun.NewRealm(realm), stun.NewNonce("n")}
		}
		return append([]stun.Setter{fail, stun.ErrorCodeAttribute{Code: code, Reason: []byte(fmt.Sprint("Reason ", int(code)))}}, more...)
	})
}
