package relay

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// Framing says how messages lie in the connections of a stream listener.
type Framing uint8

const (
	// Stream is TCP and TLS: messages follow one another, ChannelData is padded
	// to four bytes (RFC 8656 12.5).
	Stream Framing = iota
	// Datagram is DTLS: each Read and Write of a connection is one message.
	Datagram
)

// Listener is where clients reach the gate: N UDP sockets on one address, or
// all connections of a net.Listener. Towards pion/turn it is one
// net.PacketConn, so that one allocation manager serves it: packets and
// connections that are no ChannelData of a live binding come out of ReadFrom.
//
// pion/turn handles what ReadFrom returned, calling AuthHandler,
// PermissionHandler, AllocatePacketConn and WriteTo (the answer), before it
// calls ReadFrom again. Listener learns channel bindings and permissions from
// that: a request that ReadFrom returned and the success that WriteTo is given
// for it. Only one goroutine may call ReadFrom; WriteTo may be called by many.
type Listener struct {
	relay *Relay
}

var _ net.PacketConn = (*Listener)(nil)

// Request is the control message that pion/turn handles at the moment.
type Request struct {
	// Client is its sender, unmapped and without zone. For streams it is the
	// remote end of the connection.
	Client netip.AddrPort
	// Packet is the whole message. It is valid until the next ReadFrom.
	Packet []byte
}

// Request is what ReadFrom returned last. It may only be called by the
// goroutine that calls ReadFrom, that is from pion's handlers.
func (l *Listener) Request() Request { return Request{} }

// Open makes the relayed socket for the client of Request. It may only be
// called by the goroutine that calls ReadFrom, that is from
// RelayAddressGenerator.AllocatePacketConn.
func (l *Listener) Open(cfg AllocationConfig) (*Allocation, error) {
	return nil, errors.ErrUnsupported
}

// ReadFrom waits for a control message. After Close it returns net.ErrClosed.
func (l *Listener) ReadFrom(p []byte) (int, net.Addr, error) { return 0, nil, net.ErrClosed }

// WriteTo sends a control message to a client that ReadFrom named. Messages
// for a stream that is slow or gone are dropped and counted.
func (l *Listener) WriteTo(p []byte, to net.Addr) (int, error) { return len(p), nil }

// Close closes the sockets and connections and ends ReadFrom. Allocations stay
// until they are closed, which pion/turn does. It may be called more than once.
func (l *Listener) Close() error { return nil }

// LocalAddr is a *net.UDPAddr or what the net.Listener says.
func (l *Listener) LocalAddr() net.Addr { return nil }

// SetDeadline, SetReadDeadline and SetWriteDeadline do nothing: pion/turn does
// not use them on a server.
func (l *Listener) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (l *Listener) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (l *Listener) SetWriteDeadline(time.Time) error { return nil }

// Stats are the listener's counters since it was made. It may be called by
// anyone at any time.
func (l *Listener) Stats() Stats { return Stats{} }

// ListenStreams serves the connections that ln accepts, which may be TCP, TLS
// (framing Stream) or DTLS (Datagram). The Listener owns ln. Handshakes happen
// in the connection's own goroutine. A connection without an allocation is
// closed after 30 seconds; when a connection ends, so does its allocation.
func (r *Relay) ListenStreams(ln net.Listener, framing Framing) (*Listener, error) {
	return nil, errors.ErrUnsupported
}
