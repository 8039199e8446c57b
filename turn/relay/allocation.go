package relay

import (
	"net"
	"net/netip"
	"time"
)

// AllocationConfig describes a relayed socket.
type AllocationConfig struct {
	// Local is what the socket is bound to: 0.0.0.0 or an address of this
	// machine, IPv4 or IPv6; port 0 takes a free one.
	Local netip.AddrPort
	// Announced is the address that LocalAddr tells, with the bound port; the
	// zero Addr means that of Local.
	Announced netip.Addr
	// Bandwidth bounds the payload of both directions together, in bytes per
	// second; 0 means no bound.
	Bandwidth int64
}

// Allocation is the relayed socket of one allocation (RFC 8656 3.2). pion/turn
// sees a net.PacketConn: what comes from peers that are admitted but not bound
// to a channel comes out of ReadFrom, and WriteTo carries Send indications.
type Allocation struct {
	listener *Listener
}

var _ net.PacketConn = (*Allocation)(nil)

// Client is the client's address as the listener sees it.
func (a *Allocation) Client() netip.AddrPort { return netip.AddrPort{} }

// ReadFrom waits for a datagram of an admitted peer that has no channel. After
// Close it returns net.ErrClosed.
func (a *Allocation) ReadFrom(p []byte) (int, net.Addr, error) { return 0, nil, net.ErrClosed }

// WriteTo sends to an admitted peer. For others, and over the bandwidth, the datagram is dropped and
// counted, and no error returned, as a firewall would.
func (a *Allocation) WriteTo(p []byte, to net.Addr) (int, error) { return len(p), nil }

// LocalAddr is the address that is announced to the client.
func (a *Allocation) LocalAddr() net.Addr { return nil }

// Close frees the socket and all bindings. It may be called more than once.
func (a *Allocation) Close() error { return nil }

// SetDeadline does nothing: pion/turn does not use it on a server.
func (a *Allocation) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (a *Allocation) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (a *Allocation) SetWriteDeadline(time.Time) error { return nil }

// Stats are the allocation's counters, for the log when it ends. It may be
// called by anyone, after Close too.
func (a *Allocation) Stats() AllocationStats { return AllocationStats{} }
