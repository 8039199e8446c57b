package batch

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxDatagram is the largest datagram that is read.
	maxDatagram = 2048
	// readDatagrams is how many one recvmmsg takes.
	readDatagrams = 16
)

// socket is a blocking socket that Go's netpoller does not know: reads wait in
// the kernel, writes never do (MSG_DONTWAIT).
type socket struct {
	*guard
	fd     int
	family uint16
	zones  zones
	inbox  *inbox
	closed chan struct{} // closed when the descriptor is
}

func (c *Conn) open(addr netip.AddrPort, readBuffer, writeBuffer int) (netip.AddrPort, error) {
	c.family = unix.AF_INET6
	if addr.Addr().Is4() {
		c.family = unix.AF_INET
	}
	fd, err := unix.Socket(int(c.family), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.AddrPort{}, os.NewSyscallError("socket", err)
	}
	c.fd = fd
	local, err := c.setUp(addr)
	if err != nil {
		_ = unix.Close(fd)
		return netip.AddrPort{}, err
	}
	read := setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, readBuffer)
	write := setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, writeBuffer)
	if read < readBuffer || write < writeBuffer {
		c.log.Warn("socket buffers smaller than asked for: see net.core.rmem_max, wmem_max", "read", read, "write", write)
	}
	_, err = unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	c.segmentation.Store(err == nil)
	c.inbox = newInbox()
	c.guard, c.closed = newGuard(), make(chan struct{})
	return local, nil
}

// setUp sets what a socket cannot do without, and binds it.
func (c *Conn) setUp(addr netip.AddrPort) (netip.AddrPort, error) {
	// WANT: the kernel learns the path MTU, fragments a datagram beyond it and
	// refuses a segment beyond it (ip(7), IP_MTU_DISCOVER). It is the default
	// that net.ipv4.ip_no_pmtu_disc can change. With DO nothing would be
	// fragmented, and a DTLS flight beyond the MTU would never arrive.
	level, option, value := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_WANT
	if c.family == unix.AF_INET6 {
		level, option, value = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_WANT
		if err := unix.SetsockoptInt(c.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return netip.AddrPort{}, os.NewSyscallError("setsockopt IPV6_V6ONLY", err)
		}
	}
	if err := unix.SetsockoptInt(c.fd, level, option, value); err != nil {
		return netip.AddrPort{}, os.NewSyscallError("setsockopt MTU_DISCOVER", err)
	}
	var to destination
	if err := c.resolve(&to, addr); err != nil {
		return netip.AddrPort{}, err
	}
	if _, _, errno := unix.Syscall(unix.SYS_BIND, uintptr(c.fd), uintptr(unsafe.Pointer(&to.raw)), uintptr(to.size)); errno != 0 {
		return netip.AddrPort{}, os.NewSyscallError("bind", errno)
	}
	to.size = uint32(unsafe.Sizeof(to.raw))
	if _, _, errno := unix.Syscall(unix.SYS_GETSOCKNAME, uintptr(c.fd), uintptr(unsafe.Pointer(&to.raw)), uintptr(unsafe.Pointer(&to.size))); errno != 0 {
		return netip.AddrPort{}, os.NewSyscallError("getsockname", errno)
	}
	local, ok := decode(&to, &c.zones)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("local address: %w", ErrFamily)
	}
	return local, nil
}

// setBuffer asks for a buffer as root may, then as anybody may; a smaller one
// than asked for is no reason not to play. It returns the size that was granted;
// the kernel doubles it for its own use and tells that (socket(7)).
func setBuffer(fd, force, plain, size int) int {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
	}
	granted, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, plain)
	return granted / 2
}

// sendOne sends p as one datagram.
func (c *Conn) sendOne(p []byte, to netip.AddrPort) error {
	var d destination
	if err := c.resolve(&d, to); err != nil {
		return err
	}
	if !c.enter() {
		return net.ErrClosed
	}
	defer c.leave()
	var wait time.Time
	for {
		_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&d.raw)), uintptr(d.size))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
			continue
		case unix.EPIPE:
			return net.ErrClosed
		case unix.EAGAIN:
		default:
			return errno
		}
		if wait.IsZero() {
			wait = time.Now().Add(writeWait)
		}
		if !c.awaitRoom(time.Until(wait)) {
			return ErrCongested
		}
	}
}

// awaitRoom waits until the send buffer has room, or the socket is shut; false
// when it took longer than d.
func (c *Conn) awaitRoom(d time.Duration) bool { return c.await(unix.POLLOUT, d) }

// await waits for an event of poll(2); false when it took longer than d.
func (c *Conn) await(events int16, d time.Duration) bool {
	for end := time.Now().Add(d); d > 0; d = time.Until(end) {
		timeout := unix.NsecToTimespec(int64(d))
		n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(c.fd), Events: events}}, &timeout, nil)
		if n > 0 || (err != nil && err != syscall.EINTR) { //nolint:errorlint // Ppoll returns nothing but errno
			return true
		}
	}
	return false
}

// shut closes the descriptor once nobody uses it. Shutting an unconnected socket
// down is ENOTCONN and wakes whoever waits on it all the same (inet_shutdown in
// net/ipv4/af_inet.c).
func (c *Conn) shut() error {
	if !c.guard.close() {
		<-c.closed
		return nil
	}
	defer close(c.closed)
	_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
	c.drain()
	return os.NewSyscallError("close", unix.Close(c.fd))
}
