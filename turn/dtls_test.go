package turn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/dtls/v2"

	"github.com/cloudretro/cloudretro/coordinator/certificate/certificatetest"
)

func dtlsOnLoopback(t *testing.T) *dtlsListener {
	t.Helper()
	cert, err := newIdentity("", "", "", logOf(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := listenDTLS(netip.AddrPortFrom(loopback(false), 0), cert, logFactory{logOf(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A handshake is part of the first Read; until then nothing can be written.
func TestDTLSHandshakeInRead(t *testing.T) {
	l := dtlsOnLoopback(t)
	dialed := make(chan error, 1)
	go func() {
		c, err := dtls.Dial("udp", l.Addr().(*net.UDPAddr), &dtls.Config{InsecureSkipVerify: true})
		if err == nil {
			_, err = c.Write([]byte("hello"))
			defer c.Close()
		}
		if err == nil {
			var n int
			buf := make([]byte, 99)
			if n, err = c.Read(buf); err == nil && string(buf[:n]) != "and back" {
				err = errors.New(string(buf[:n]))
			}
		}
		dialed <- err
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("early")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write before the handshake: %v", err)
	}
	for _, err := range []error{conn.SetDeadline(time.Time{}), conn.SetReadDeadline(time.Time{}), conn.SetWriteDeadline(time.Time{})} {
		if err != nil {
			t.Error(err)
		}
	}
	buf := make([]byte, 99)
	n, err := conn.Read(buf)
	if err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	for _, err := range []error{conn.SetDeadline(time.Time{}), conn.SetReadDeadline(time.Time{}), conn.SetWriteDeadline(time.Time{})} {
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := conn.Write([]byte("and back")); err != nil {
		t.Fatal(err)
	}
	if err := <-dialed; err != nil {
		t.Errorf("at the client: %v", err)
	}
	if n := l.handshakes.Load(); n != 0 {
		t.Errorf("%d handshakes are counted", n)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

// A client that says nothing after its handshake is given up when it was said
// before.
func TestDTLSSilentAfterHandshake(t *testing.T) {
	l := dtlsOnLoopback(t)
	dialed := make(chan net.Conn, 1)
	go func() {
		c, err := dtls.Dial("udp", l.Addr().(*net.UDPAddr), &dtls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Error(err)
		}
		dialed <- c
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 9))
		read <- err
	}()
	client := <-dialed
	select {
	case err := <-read:
		var e net.Error
		if !errors.As(err, &e) || !e.Timeout() {
			t.Errorf("read: %v", err)
		}
	case <-time.After(patient):
		t.Error("the deadline was forgotten")
	}
	_ = conn.Close()
	if client != nil {
		_ = client.Close()
	}
}

// A client that begins and says no more holds up nobody, and can be closed.
func TestDTLSHalfAHandshake(t *testing.T) {
	l := dtlsOnLoopback(t)
	hello := []byte("\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01")
	stranger := socket(t, "127.0.0.1:0")
	for _, p := range [][]byte{[]byte("no hello"), hello} {
		if _, err := stranger.WriteTo(p, l.Addr()); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := l.Accept() // of the hello only
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 9))
		read <- err
	}()
	if err := conn.Close(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	if err := <-read; err == nil {
		t.Error("the read of a closed connection succeeds")
	}
	if n := l.handshakes.Load(); n != 0 {
		t.Errorf("%d handshakes are counted", n)
	}
	_ = conn.Close()
}

// noted tells when connections have come out of a listener.
type noted struct {
	net.Listener
	came chan struct{}
}

func (n noted) Accept() (net.Conn, error) {
	conn, err := n.Listener.Accept()
	if err == nil {
		n.came <- struct{}{}
	}
	return conn, err
}

// Beyond the limit of handshakes new connections are dropped until one is over.
func TestDTLSHandshakeLimit(t *testing.T) {
	l := dtlsOnLoopback(t)
	came := make(chan struct{}, 2)
	l.Listener = noted{l.Listener, came}
	l.handshakes.Store(dtlsHandshakes)
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			accepted <- conn
		}
	}()
	stranger := socket(t, "127.0.0.1:0")
	hello := []byte("\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01")
	l.handshakes.Add(-1)
	if _, err := stranger.WriteTo(hello, l.Addr()); err != nil {
		t.Fatal(err)
	}
	conn := <-accepted
	<-came
	if n := l.handshakes.Load(); n != dtlsHandshakes {
		t.Errorf("%d handshakes are counted", n)
	}
	second := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		second <- err
	}()
	if _, err := socket(t, "127.0.0.1:0").WriteTo(hello, l.Addr()); err != nil {
		t.Fatal(err)
	}
	<-came // pion's listener must not be closed while it hands a connection out
	conn.Close()
	l.Close()
	if err := <-second; err == nil {
		t.Error("one too many is accepted")
	}
}

// TLS clients may name the protocol, and get the newest certificate.
func TestTLSListener(t *testing.T) {
	m := certificatetest.NewMount(t, pairFor(t, "one"))
	g := start(t, func(c *Config) {
		c.Listeners = []Listener{{Protocol: TLS, Address: "127.0.0.1:0", CertFile: m.Cert, KeyFile: m.Key}, {Protocol: DTLS, Address: "127.0.0.1:0", CertFile: m.Cert, KeyFile: m.Key}}
	})
	if len(g.identities) != 1 {
		t.Errorf("two listeners have %d certificates", len(g.identities))
	}
	if list := g.Certificates(); len(list) != 1 || list[0].Name != m.Cert || list[0].Expires.Before(time.Now()) {
		t.Errorf("status of the certificates: %+v", list)
	}
	dial := func(protocols ...string) (name, protocol string) {
		t.Helper()
		c, err := tls.Dial("tcp", g.address(), &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		state := c.ConnectionState()
		names := state.PeerCertificates[0].DNSNames
		return names[len(names)-1], state.NegotiatedProtocol
	}
	for _, host := range []string{"one", "two"} {
		if host == "two" {
			m.Swap(pairFor(t, host))
			g.identities[0].reread()
		}
		if name, protocol := dial("stun.turn"); name != host || protocol != "stun.turn" {
			t.Errorf("shown %s, %s", name, protocol)
		}
		if name, protocol := dial("stun.nat-discovery", "h2"); name != host || protocol != "" {
			t.Errorf("another protocol: shown %s, %s", name, protocol)
		}
	}
}
