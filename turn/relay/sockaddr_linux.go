//go:build !portable

package relay

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// v4 is the IPv4 address.
func (e endpoint) v4() (a [4]byte) {
	copy(a[:], e.ip[12:])
	return a
}

// sockaddr is a struct sockaddr_in or sockaddr_in6.
type sockaddr = unix.RawSockaddrInet6

// put writes e for a socket of the given family and says how long it is; 0
// means that the family cannot reach it.
func (e *endpoint) put(sa *sockaddr, family uint16) uint32 {
	sa.Family = family
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], e.port)
	if family == unix.AF_INET6 {
		sa.Addr, sa.Scope_id = e.ip, e.scope
		return unix.SizeofSockaddrInet6
	}
	if !e.is4() {
		return 0
	}
	copy((*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr[:], e.ip[12:])
	return unix.SizeofSockaddrInet4
}

// get reads what the kernel wrote.
func (e *endpoint) get(sa *sockaddr) {
	e.port = binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])
	if sa.Family == unix.AF_INET6 {
		e.ip, e.scope = sa.Addr, sa.Scope_id
		return
	}
	e.ip, e.scope = [16]byte{10: 0xff, 11: 0xff}, 0
	copy(e.ip[12:], (*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr[:])
}
