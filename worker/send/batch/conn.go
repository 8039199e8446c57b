// Package batch is the UDP socket that all viewers of a worker and pion share.
//
// Media leaves through a [Writer]: what Add queued goes out in one sendmmsg, and
// datagrams of equal size to one viewer as one message with segmentation offload
// (UDP_SEGMENT, Linux 4.18, udp(7)). pion reads and writes the same [Conn] as its
// net.PacketConn; [Conn.Cork] lets its media leave in segmented runs too.
//
// Words: datagram < run (datagrams of one size to one address, back to back in
// memory) < message (one kernel call's worth of a run) < batch (the messages of
// one sendmmsg).
//
// On Linux the socket lives outside Go's netpoller. A socket in the netpoller is
// registered for EPOLLOUT, so each datagram that leaves a full queue wakes the
// thread in epoll_wait (sk_write_space, net/core/sock.c): a third of the cost of
// sending. Elsewhere the package is a loop around net.UDPConn.
package batch

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultBuffer = 4 << 20
	maxBuffer     = 64 << 20

	// writeWait bounds how long one call waits for room in a full send buffer.
	// A burst is spread over 4 ms at most; what is later than that is of no use.
	writeWait = 5 * time.Millisecond
)

var (
	// ErrTooLarge says that datagrams are larger than the path's MTU. They were
	// sent all the same, one by one, and the kernel cut them into IP fragments.
	// It is reported for runs, once the kernel knows the MTU: of the device and
	// the route at once, of the path after an ICMP message. On IPv4 only single
	// datagrams bring that about; segmented ones leave without DF and routers
	// may fragment them (__ip_make_skb, net/ipv4/ip_output.c).
	ErrTooLarge = errors.New("datagrams larger than the path MTU")
	// ErrCongested says that datagrams were dropped because the send buffer
	// stayed full.
	ErrCongested = errors.New("send buffer full")
	// ErrFamily says that an address is not of the socket's family, or not valid.
	ErrFamily = errors.New("address of another family")
)

// Config is how a socket is opened. The zero value will do.
type Config struct {
	// Logger gets one line about what the socket can do and one when
	// segmentation is turned off; nil discards them.
	Logger *slog.Logger
	// ReadBuffer and WriteBuffer are the kernel's buffers in bytes, 4 MiB when
	// 0, at most 64 MiB; without CAP_NET_ADMIN the kernel caps them at
	// net.core.rmem_max and wmem_max.
	ReadBuffer, WriteBuffer int
	// Fault, for tests, is asked before each message of more than one segment;
	// an error of it takes the place of the kernel's answer and nothing is
	// sent. It may be called by several goroutines at once.
	Fault func(segments int) error
}

// Conn is one UDP socket. All methods may be called by any goroutine at any time,
// after Close too. It is a net.PacketConn for pion's ice.NewUDPMuxDefault.
type Conn struct {
	socket
	log   *slog.Logger
	fault func(segments int) error
	local *net.UDPAddr
	limit int // payload bytes of one message

	segmentation atomic.Bool
	deadline     atomic.Int64 // of reads, Unix nanoseconds, 0 = none
	stats        counters
	corks        corks

	reading sync.Mutex // one reader at a time; guards senders and the socket's receive buffers
	senders senders
}

var _ net.PacketConn = (*Conn)(nil)

// Listen opens a socket bound to addr: an IPv4 one for an IPv4 address (4-in-6
// ones included), else an IPv6 one that takes no IPv4. Port 0 picks a free one.
// The caller closes it.
func Listen(addr netip.AddrPort, cfg Config) (*Conn, error) {
	if !addr.Addr().IsValid() {
		return nil, fmt.Errorf("listen on %v: %w", addr, ErrFamily)
	}
	for _, size := range []*int{&cfg.ReadBuffer, &cfg.WriteBuffer} {
		if *size < 0 || *size > maxBuffer {
			return nil, fmt.Errorf("listen on %v: buffer of %d bytes", addr, *size)
		}
		if *size == 0 {
			*size = defaultBuffer
		}
	}
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	c := &Conn{log: cfg.Logger, fault: cfg.Fault, limit: payloadLimit(addr.Addr())}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	local, err := c.open(addr, cfg.ReadBuffer, cfg.WriteBuffer)
	if err != nil {
		return nil, fmt.Errorf("listen on %v: %w", addr, err)
	}
	c.local = net.UDPAddrFromAddrPort(local)
	c.log.Info("media socket open", "address", local.String(), "segmentation", c.segmentation.Load())
	return c, nil
}

// AddrPort returns the local address.
func (c *Conn) AddrPort() netip.AddrPort { return c.local.AddrPort() }

// LocalAddr returns the local address, a *net.UDPAddr. It must not be changed.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// ReadFrom copies one datagram into p, cutting it to len(p) like any UDP socket,
// and returns its length and sender. The sender is a *net.UDPAddr shared by all
// datagrams of that address and must not be changed. Datagrams over 2048 bytes
// are dropped and counted. The calling goroutine holds an operating system's
// thread while it waits. ICMP errors are counted and not returned; net.ErrClosed
// after Close, os.ErrDeadlineExceeded at the deadline.
func (c *Conn) ReadFrom(p []byte) (int, net.Addr, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	n, from, err := c.receive(p)
	if err != nil {
		return 0, nil, c.failed("read", err)
	}
	c.stats.received.Add(1)
	c.stats.receivedBytes.Add(uint64(n))
	return n, c.senders.addr(from), nil
}

// WriteTo sends p as one datagram to a *net.UDPAddr, waiting at most 5 ms for
// room in the send buffer. Between Cork and Uncork of that address RTP is copied
// and queued instead; an error of sending it is Uncork's.
func (c *Conn) WriteTo(p []byte, addr net.Addr) (int, error) {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, c.failed("write", ErrFamily)
	}
	to := udp.AddrPort()
	if c.corks.hold(c, p, to) {
		return len(p), nil
	}
	if err := c.writeOne(p, to); err != nil {
		return 0, c.failed("write", err)
	}
	return len(p), nil
}

// failed wraps an error as package net does: callers ask it for Timeout.
func (c *Conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Addr: c.local, Err: err}
}

func (c *Conn) writeOne(p []byte, to netip.AddrPort) error {
	err := c.sendOne(p, to)
	var t tally
	if err != nil {
		t.drop(1, err)
	} else {
		t.syscalls = 1
		t.sent(1, len(p))
	}
	c.stats.add(&t)
	return err
}

// Close closes the socket: a reader returns at once, writers within 5 ms, and
// Close after the last of them. Closing again waits for the same and returns nil.
func (c *Conn) Close() error {
	if err := c.shut(); err != nil {
		return fmt.Errorf("close UDP socket: %w", err)
	}
	return nil
}

// SetReadDeadline bounds each ReadFrom that begins after it; the zero time takes
// the bound away. Unlike net.UDPConn's it does not end a ReadFrom under way.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		c.deadline.Store(0)
		return nil
	}
	c.deadline.Store(max(1, t.UnixNano()))
	return nil
}

// SetWriteDeadline does nothing: no write waits longer than 5 ms.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is SetReadDeadline.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// Stats returns what the socket has done so far. The counters are read one after
// the other, so they may differ by what happens meanwhile.
func (c *Conn) Stats() Stats {
	s := c.stats.snapshot()
	s.Segmentation = c.segmentation.Load()
	return s
}

// NewWriter returns a Writer on this socket, for one goroutine.
func (c *Conn) NewWriter() *Writer { return newWriter(c) }

// stopSegmenting turns segmentation off for good: the device or route cannot do
// the checksums of it (EIO, udp_send_skb in net/ipv4/udp.c).
func (c *Conn) stopSegmenting(err error) {
	if c.segmentation.CompareAndSwap(true, false) {
		c.log.Warn("segmentation offload turned off", "address", c.local.String(), "error", err)
	}
}
