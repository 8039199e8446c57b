package batch

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// destination is a socket address as the kernel takes it; the larger of the two
// families has room for both.
type destination struct {
	raw  unix.RawSockaddrInet6
	size uint32
}

// resolve makes to an address of this socket's family. 4-in-6 addresses are
// IPv4 ones; a zone is an interface's name or number.
func (c *Conn) resolve(d *destination, to netip.AddrPort) error {
	addr := to.Addr().Unmap()
	switch {
	case addr.Is4() && c.family == unix.AF_INET:
		raw := (*unix.RawSockaddrInet4)(unsafe.Pointer(&d.raw))
		raw.Family = unix.AF_INET
		putPort(&raw.Port, to.Port())
		raw.Addr = addr.As4()
		d.size = uint32(unsafe.Sizeof(*raw))
		return nil
	case addr.Is6() && c.family == unix.AF_INET6:
		scope, err := c.zones.scope(addr.Zone())
		if err != nil {
			return err
		}
		d.raw.Family = unix.AF_INET6
		putPort(&d.raw.Port, to.Port())
		d.raw.Addr = addr.As16()
		d.raw.Scope_id = scope
		d.size = uint32(unsafe.Sizeof(d.raw))
		return nil
	}
	return ErrFamily
}

// decode reads what the kernel wrote; false if it is no whole address of IPv4 or
// IPv6.
func decode(d *destination, z *zones) (netip.AddrPort, bool) {
	switch {
	case d.raw.Family == unix.AF_INET && d.size >= unix.SizeofSockaddrInet4:
		raw := (*unix.RawSockaddrInet4)(unsafe.Pointer(&d.raw))
		return netip.AddrPortFrom(netip.AddrFrom4(raw.Addr), getPort(&raw.Port)), true
	case d.raw.Family == unix.AF_INET6 && d.size >= unix.SizeofSockaddrInet6:
		addr := netip.AddrFrom16(d.raw.Addr).Unmap()
		if d.raw.Scope_id != 0 {
			addr = addr.WithZone(z.name(d.raw.Scope_id))
		}
		return netip.AddrPortFrom(addr, getPort(&d.raw.Port)), true
	}
	return netip.AddrPort{}, false
}

// The port of a socket address is in network byte order.
func putPort(field *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(field))[:], port)
}

func getPort(field *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(field))[:])
}

// maxZones bounds what zones remembers; a machine has few interfaces, but names
// come from addresses that others wrote.
const maxZones = 64

// zones maps IPv6 zones (RFC 4007, section 11) to scope ids and back, and
// remembers them, because asking the kernel takes many system calls. The zero
// value is empty. Any goroutine.
type zones struct {
	mu     sync.Mutex
	scopes map[string]uint32
	names  map[uint32]string
}

func (z *zones) scope(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if scope, ok := z.scopes[zone]; ok {
		return scope, nil
	}
	device, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	z.remember(zone, uint32(device.Index))
	return uint32(device.Index), nil
}

func (z *zones) name(scope uint32) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	if name, ok := z.names[scope]; ok {
		return name
	}
	name := strconv.FormatUint(uint64(scope), 10)
	if device, err := net.InterfaceByIndex(int(scope)); err == nil {
		name = device.Name
	}
	z.remember(name, scope)
	return name
}

func (z *zones) remember(zone string, scope uint32) {
	if z.names == nil || len(z.names) >= maxZones {
		z.names, z.scopes = make(map[uint32]string), make(map[string]uint32)
	}
	z.scopes[zone], z.names[scope] = scope, zone
}
