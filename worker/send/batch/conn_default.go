//go:build !linux

package batch

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// maxDatagram is the largest datagram that is read.
const maxDatagram = 2048

// socket is a net.UDPConn, which guards itself against use after Close.
type socket struct {
	udp    *net.UDPConn
	buffer [maxDatagram + 1]byte
}

// destination is an address that the socket can send to.
type destination = netip.AddrPort

// headers is nothing here: each datagram is a call.
type headers struct{}

func (*headers) init() {}

func (c *Conn) open(addr netip.AddrPort, readBuffer, writeBuffer int) (netip.AddrPort, error) {
	network := "udp6"
	if addr.Addr().Is4() {
		network = "udp4"
	}
	udp, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return netip.AddrPort{}, err
	}
	// A smaller buffer than asked for is no reason not to play.
	_ = udp.SetReadBuffer(readBuffer)
	_ = udp.SetWriteBuffer(writeBuffer)
	c.udp = udp
	return unmap(udp.LocalAddr().(*net.UDPAddr).AddrPort()), nil
}

func (c *Conn) receive(p []byte) (int, netip.AddrPort, error) {
	var deadline time.Time
	if at := c.deadline.Load(); at != 0 {
		deadline = time.Unix(0, at)
	}
	if err := c.udp.SetReadDeadline(deadline); err != nil {
		return 0, netip.AddrPort{}, err
	}
	for {
		n, from, err := c.udp.ReadFromUDPAddrPort(c.buffer[:])
		switch {
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return 0, netip.AddrPort{}, err
		case err != nil:
			c.stats.readErrors.Add(1)
		case n > maxDatagram:
			c.stats.receivedTooLarge.Add(1)
		default:
			return copy(p, c.buffer[:n]), unmap(from), nil
		}
	}
}

func (c *Conn) sendOne(p []byte, to netip.AddrPort) error {
	var d destination
	if err := c.resolve(&d, to); err != nil {
		return err
	}
	_, err := c.udp.WriteToUDPAddrPort(p, d)
	return plain(err)
}

// plain takes off what package net wraps around an error.
func plain(err error) error {
	if err == nil {
		return nil
	}
	var errno syscall.Errno
	switch {
	case errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	case errors.As(err, &errno):
		return errno
	}
	return err
}

func (c *Conn) resolve(d *destination, to netip.AddrPort) error {
	to = unmap(to)
	if !to.IsValid() || to.Addr().Is4() != (c.limit == payloadLimit(netip.IPv4Unspecified())) {
		return ErrFamily
	}
	*d = to
	return nil
}

func (w *Writer) sendMessages(messages []message) (int, error) {
	m := messages[0]
	e := &w.entries[m.entry]
	if _, err := w.conn.udp.WriteToUDPAddrPort(e.packets[m.from:m.to], e.to); err != nil {
		return 0, plain(err)
	}
	return 1, nil
}

func (c *Conn) enter() bool { return true }

func (c *Conn) leave() {}

// awaitRoom need not wait: net.UDPConn does.
func (c *Conn) awaitRoom(d time.Duration) bool { return d > 0 }

func (c *Conn) shut() error {
	if err := c.udp.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
