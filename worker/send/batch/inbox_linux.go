package batch

import (
	"net"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	size   uint32
}

// inbox is what one recvmmsg took and ReadFrom has not yet returned. Guarded by
// Conn.reading.
type inbox struct {
	headers [readDatagrams]mmsghdr
	vectors [readDatagrams]unix.Iovec
	senders [readDatagrams]destination
	buffers [readDatagrams][maxDatagram]byte
	next, n int
}

func newInbox() *inbox {
	b := new(inbox)
	for i := range b.headers {
		b.vectors[i].Base = &b.buffers[i][0]
		b.vectors[i].SetLen(maxDatagram)
		h := &b.headers[i].header
		h.Name = (*byte)(unsafe.Pointer(&b.senders[i].raw))
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
	}
	return b
}

// receive copies the next datagram into p. The caller holds Conn.reading.
func (c *Conn) receive(p []byte) (int, netip.AddrPort, error) {
	if !c.enter() {
		return 0, netip.AddrPort{}, net.ErrClosed
	}
	defer c.leave()
	for {
		for c.inbox.next < c.inbox.n {
			i := c.inbox.next
			c.inbox.next++
			if n, from, ok := c.take(i, p); ok {
				return n, from, nil
			}
		}
		if err := c.fetch(); err != nil {
			return 0, netip.AddrPort{}, err
		}
	}
}

// take returns datagram i of the inbox; false if it is not to be had.
func (c *Conn) take(i int, p []byte) (int, netip.AddrPort, bool) {
	h := &c.inbox.headers[i]
	if h.header.Flags&unix.MSG_TRUNC != 0 {
		c.stats.receivedTooLarge.Add(1)
		return 0, netip.AddrPort{}, false
	}
	sender := &c.inbox.senders[i]
	sender.size = h.header.Namelen
	from, ok := decode(sender, &c.zones)
	if !ok { // what a recvmmsg returns that Close woke
		return 0, netip.AddrPort{}, false
	}
	return copy(p, c.inbox.buffers[i][:min(h.size, maxDatagram)]), from, true
}

// fetch waits for datagrams and fills the inbox.
func (c *Conn) fetch() error {
	b := c.inbox
	b.next, b.n = 0, 0
	for {
		if c.isClosed() {
			return net.ErrClosed
		}
		flags := unix.MSG_WAITFORONE
		if at := c.deadline.Load(); at != 0 {
			if !c.await(unix.POLLIN, time.Until(time.Unix(0, at))) {
				return os.ErrDeadlineExceeded
			}
			flags = unix.MSG_DONTWAIT
		}
		for i := range b.headers {
			b.headers[i].header.Namelen = uint32(unsafe.Sizeof(b.senders[i].raw))
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(c.fd), uintptr(unsafe.Pointer(&b.headers)), readDatagrams,
			uintptr(flags), 0, 0)
		switch errno {
		case 0:
			b.n = int(min(n, readDatagrams))
			return nil
		case unix.EINTR, unix.EAGAIN:
		case unix.EBADF, unix.ENOTSOCK, unix.EFAULT, unix.EINVAL, unix.ENOSYS:
			return os.NewSyscallError("recvmmsg", errno)
		default: // what ICMP told, or a lack of memory that may pass
			c.stats.readErrors.Add(1)
		}
	}
}
