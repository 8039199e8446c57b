package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Limits of the kernel: UIO_MAXIOV-like batch of our own, UDP_MAX_SEGMENTS
// (include/linux/udp.h, 64 before Linux 6.9) and the UDP length field.
const (
	maxMessages = 64
	maxSegments = 64
	maxBytes    = 65507
)

// segments is a blocking UDP socket that takes up to maxMessages runs per
// sendmmsg, each with UDP_SEGMENT. One goroutine.
type segments struct {
	fd                 int
	to                 unix.RawSockaddrInet4
	headers            [maxMessages]message
	vectors            [maxMessages]unix.Iovec
	control            [maxMessages][controlLen]byte
	n                  int
	syscalls, messages uint64
}

// message is struct mmsghdr (include/linux/socket.h).
type message struct {
	header unix.Msghdr
	sent   uint32
	_      [4]byte
}

// controlLen is CMSG_SPACE(sizeof(u16)).
const controlLen = unix.SizeofCmsghdr + 8

func openSegments(ip string) (*segments, error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: addr.As4()}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("bind %v: %w", addr, err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, writeBuffer)
	return &segments{fd: fd}, nil
}

// aim sets where all of it goes.
func (s *segments) aim(to netip.AddrPort) error {
	if !to.Addr().Is4() {
		return errors.New("the floor needs a sink with an IPv4 address")
	}
	s.to = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}
	port := (*[2]byte)(unsafe.Pointer(&s.to.Port))
	port[0], port[1] = byte(to.Port()>>8), byte(to.Port())
	return nil
}

// add queues datagrams of size bytes each, which lie back to back in burst, in
// messages as large as the kernel takes.
func (s *segments) add(burst []byte, size int) error {
	step := min(maxSegments, maxBytes/size) * size
	for at := 0; at < len(burst); at += step {
		if s.n == maxMessages {
			if err := s.flush(); err != nil {
				return err
			}
		}
		s.put(burst[at:min(at+step, len(burst))], size)
	}
	return nil
}

func (s *segments) put(run []byte, size int) {
	m, v, c := &s.headers[s.n].header, &s.vectors[s.n], &s.control[s.n]
	v.Base = &run[0]
	v.SetLen(len(run))
	*m = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&s.to)), Namelen: unix.SizeofSockaddrInet4, Iov: v}
	m.SetIovlen(1)
	if len(run) > size {
		h := (*unix.Cmsghdr)(unsafe.Pointer(c))
		h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
		h.SetLen(unix.CmsgLen(2))
		*(*uint16)(unsafe.Pointer(&c[unix.SizeofCmsghdr])) = uint16(size)
		m.Control = &c[0]
		m.SetControllen(unix.CmsgSpace(2))
	}
	s.n++
}

// flush sends what is queued.
func (s *segments) flush() error {
	for at := 0; at < s.n; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.headers[at])),
			uintptr(s.n-at), 0, 0, 0)
		s.syscalls++
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			s.n = 0
			return fmt.Errorf("sendmmsg: %w", errno)
		default:
			at += int(n)
			s.messages += uint64(n)
		}
	}
	s.n = 0
	return nil
}

// takeWhole makes a socket take super-packets as they are (UDP_GRO, udp(7)).
// Others get them cut up in the sender's time when it is on the same machine
// (udp_unexpected_gso, include/linux/udp.h).
func takeWhole(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("set UDP_GRO: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1) })
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("set UDP_GRO: %w", err)
	}
	return nil
}
