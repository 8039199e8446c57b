//go:build !portable

package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is a UDP socket outside Go's netpoller: that would be woken for each
// change of the send buffer, too. Reader threads of their own (loop) wait for
// what comes in, and nobody for what goes out: a full send buffer drops.
type socket struct {
	fd     int
	family uint16
	bound  netip.AddrPort
	gso    atomic.Bool // until a send says otherwise
	gro    bool

	users  atomic.Int64 // who uses fd; negative once closed
	closed atomic.Bool
	missed atomic.Uint64 // overflow, read when the fd is closed
}

// closedMark makes socket.users negative.
const closedMark = -1 << 40

// openSocket binds a socket to addr. shared lets several sockets of this
// process have the same address (SO_REUSEPORT); dual lets an unspecified IPv6
// address take IPv4, too.
func openSocket(addr netip.AddrPort, shared, dual bool) (*socket, error) {
	s := &socket{family: unix.AF_INET}
	if addr.Addr().Is6() {
		s.family = unix.AF_INET6
	}
	fd, err := unix.Socket(int(s.family), unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", os.NewSyscallError("socket", err))
	}
	s.fd = fd
	if err := s.bind(addr, shared, dual); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	s.tune()
	return s, nil
}

func (s *socket) bind(addr netip.AddrPort, shared, dual bool) error {
	if shared {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return fmt.Errorf("share the port: %w", os.NewSyscallError("setsockopt", err))
		}
	}
	var to unix.Sockaddr = &unix.SockaddrInet4{Port: int(addr.Port()), Addr: endpointOf(addr).v4()}
	if s.family == unix.AF_INET6 {
		only := 1
		if dual {
			only = 0
		}
		if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return fmt.Errorf("set dual stack: %w", os.NewSyscallError("setsockopt", err))
		}
		e := endpointOf(addr)
		to = &unix.SockaddrInet6{Port: int(e.port), Addr: e.ip, ZoneId: e.scope}
	}
	if err := unix.Bind(s.fd, to); err != nil {
		return fmt.Errorf("bind socket to %s: %w", addr, os.NewSyscallError("bind", err))
	}
	bound, err := unix.Getsockname(s.fd)
	if err != nil {
		return fmt.Errorf("name socket: %w", os.NewSyscallError("getsockname", err))
	}
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		s.bound = withPort(addr, uint16(bound.Port))
	case *unix.SockaddrInet6:
		s.bound = withPort(addr, uint16(bound.Port))
	}
	return nil
}

// tune asks for what makes the socket fast. All of it may be refused: by an
// old kernel, or for want of privilege.
func (s *socket) tune() {
	for _, o := range [][2]int{{unix.SO_RCVBUF, unix.SO_RCVBUFFORCE}, {unix.SO_SNDBUF, unix.SO_SNDBUFFORCE}} {
		if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o[1], socketBuffer) != nil {
			_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o[0], socketBuffer)
		}
	}
	s.gro = unix.SetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	_, err := unix.GetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_SEGMENT)
	s.gso.Store(err == nil)
}

// acquire makes fd safe to use until release. It fails once s is closed, and
// then leaves users alone: who made them closedMark again would close the
// file that has the number by then.
func (s *socket) acquire() bool {
	for {
		n := s.users.Load()
		if n < 0 {
			return false
		}
		if s.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release undoes acquire. Of a closed socket the last one closes fd, so that
// nobody meets another file under the same number.
func (s *socket) release() {
	if s.users.Add(-1) == closedMark {
		s.missed.Store(s.kernelDrops())
		_ = unix.Close(s.fd)
	}
}

// close may be called more than once.
func (s *socket) close() {
	if s.closed.Swap(true) {
		return
	}
	s.users.Add(1 + closedMark)
	s.release()
}

// overflow is the number of datagrams that found the receive buffer full.
func (s *socket) overflow() uint64 {
	if !s.acquire() {
		return s.missed.Load()
	}
	defer s.release()
	return s.kernelDrops()
}

// kernelDrops asks the kernel (SO_MEMINFO, SK_MEMINFO_DROPS in sock_diag.h): unlike
// SO_RXQ_OVFL, that costs nothing per datagram.
func (s *socket) kernelDrops() uint64 {
	var info [9]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size < uint32(unsafe.Sizeof(info)) {
		return 0
	}
	return uint64(info[8])
}

// writeTo sends one datagram, for what is no ChannelData.
func (s *socket) writeTo(p []byte, to endpoint) error {
	if !s.acquire() {
		return net.ErrClosed
	}
	defer s.release()
	var name unix.Sockaddr = &unix.SockaddrInet6{Port: int(to.port), Addr: to.ip, ZoneId: to.scope}
	if s.family == unix.AF_INET {
		if !to.is4() {
			return fmt.Errorf("send to %s: %w", to.addrPort(), unix.EAFNOSUPPORT)
		}
		name = &unix.SockaddrInet4{Port: int(to.port), Addr: to.v4()}
	}
	if err := unix.Sendto(s.fd, p, unix.MSG_DONTWAIT, name); err != nil {
		return fmt.Errorf("send to %s: %w", to.addrPort(), os.NewSyscallError("sendto", err))
	}
	return nil
}

// listenSockets binds n sockets to one address. The first attempt is without
// SO_REUSEPORT, so that another process which has the port is an error.
func listenSockets(addr netip.AddrPort, n int) ([]*socket, error) {
	dual := addr.Addr().IsUnspecified()
	probe, err := openSocket(addr, false, dual)
	if err != nil {
		return nil, err
	}
	probe.close()
	addr = probe.bound
	var sockets []*socket
	for range n {
		s, err := openSocket(addr, true, dual)
		if err != nil {
			for _, s := range sockets {
				s.close()
			}
			return nil, err
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}
