package turn

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/logging"
	"github.com/pion/transport/v2/udp"
)

const (
	dtlsPatience   = 5 * time.Second // for a handshake
	dtlsHandshakes = 256             // at once; more are dropped, and clients ask again
	dtlsBuffer     = 4 << 20         // bytes of the socket's receive buffer
)

// dtlsListener accepts DTLS connections (RFC 7350) of one UDP socket. A
// handshake happens in the first Read of a connection, so that a slow client
// holds up nobody.
type dtlsListener struct {
	net.Listener
	config     *dtls.Config
	handshakes atomic.Int64
}

// listenDTLS binds addr.
func listenDTLS(addr netip.AddrPort, cert *identity, logs logging.LoggerFactory) (*dtlsListener, error) {
	config := udp.ListenConfig{ReadBufferSize: dtlsBuffer, AcceptFilter: isClientHello, LoggerFactory: logs}
	inner, err := config.Listen(network("udp", addr), net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	return &dtlsListener{Listener: inner, config: &dtls.Config{
		GetCertificate: func(hello *dtls.ClientHelloInfo) (*tls.Certificate, error) {
			return cert.shownTo(hello.ServerName), nil
		},
		LoggerFactory: logs,
	}}, nil
}

// isClientHello says whether a datagram of a stranger may open a connection: a
// handshake record whose message is a ClientHello (RFC 6347 4.1 and 4.2.2).
func isClientHello(p []byte) bool {
	const recordHeader, handshake, clientHello = 13, 22, 1
	return len(p) > recordHeader && p[0] == handshake && p[recordHeader] == clientHello
}

// Accept waits for a connection that may begin its handshake.
func (l *dtlsListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.handshakes.Add(1) <= dtlsHandshakes {
			return &dtlsConn{Conn: conn, listener: l}, nil
		}
		l.handshakes.Add(-1)
		_ = conn.Close()
	}
}

// dtlsConn is a connection whose handshake may still be to come. Read, Write
// and Close may be called concurrently; what is written before the first Read
// is refused.
type dtlsConn struct {
	net.Conn // of the datagrams
	listener *dtlsListener
	once     sync.Once
	err      error
	inner    atomic.Pointer[dtls.Conn]

	mu       sync.Mutex
	deadline time.Time // for reading, set before the handshake was over
}

// handshake is done once; others wait for it.
func (c *dtlsConn) handshake() error {
	c.once.Do(func() {
		defer c.listener.handshakes.Add(-1)
		ctx, cancel := context.WithTimeout(context.Background(), dtlsPatience)
		defer cancel()
		inner, err := dtls.ServerWithContext(ctx, c.Conn, c.listener.config)
		if err != nil {
			c.err = fmt.Errorf("DTLS handshake: %w", err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inner.Store(inner)
		c.err = inner.SetReadDeadline(c.deadline)
	})
	return c.err
}

// Read waits for one message.
func (c *dtlsConn) Read(p []byte) (int, error) {
	if err := c.handshake(); err != nil {
		return 0, err
	}
	return c.inner.Load().Read(p)
}

// Write sends one message.
func (c *dtlsConn) Write(p []byte) (int, error) {
	inner := c.inner.Load()
	if inner == nil {
		return 0, net.ErrClosed
	}
	return inner.Write(p)
}

// Close may be called at any time, more than once.
func (c *dtlsConn) Close() error {
	if inner := c.inner.Load(); inner != nil {
		return inner.Close()
	}
	err := c.Conn.Close() // which ends a handshake
	c.once.Do(func() {    // one that never began
		c.listener.handshakes.Add(-1)
		c.err = net.ErrClosed
	})
	if inner := c.inner.Load(); inner != nil {
		_ = inner.Close() // it became whole in between
	}
	return err
}

// SetDeadline concerns messages, not the handshake.
func (c *dtlsConn) SetDeadline(t time.Time) error {
	if inner := c.inner.Load(); inner != nil {
		return inner.SetDeadline(t)
	}
	return nil
}

// SetReadDeadline concerns messages, not the handshake: set before that, it
// counts afterwards.
func (c *dtlsConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if inner := c.inner.Load(); inner != nil {
		return inner.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline concerns messages, not the handshake.
func (c *dtlsConn) SetWriteDeadline(t time.Time) error {
	if inner := c.inner.Load(); inner != nil {
		return inner.SetWriteDeadline(t)
	}
	return nil
}
