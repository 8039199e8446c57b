package relay

import (
	"net"
	"net/netip"
	"strconv"
)

// endpoint is an address and port as a key without pointers: IPv4 is kept in
// its mapped form, so that a client is the same on an IPv4 and on a dual-stack
// socket. scope is the interface of a link-local address, else 0.
type endpoint struct {
	ip    [16]byte
	scope uint32
	port  uint16
}

// endpointOf is the endpoint of a; the zone may be a number or an interface.
func endpointOf(a netip.AddrPort) endpoint {
	return endpoint{ip: a.Addr().As16(), scope: scopeOf(a.Addr().Zone()), port: a.Port()}
}

func scopeOf(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if ifi, err := net.InterfaceByName(zone); err == nil {
		return uint32(ifi.Index)
	}
	return 0
}

// endpointOfAddr is the endpoint of a *net.UDPAddr or *net.TCPAddr.
func endpointOfAddr(a net.Addr) (endpoint, bool) {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	}
	if !ap.Addr().IsValid() {
		return endpoint{}, false
	}
	return endpointOf(ap), true
}

// addrPort is unmapped and without a zone, as Admission wants it.
func (e endpoint) addrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(e.ip).Unmap(), e.port)
}

// udpAddr is what pion/turn is told; endpointOfAddr finds the way back.
func (e endpoint) udpAddr() *net.UDPAddr {
	a := net.UDPAddrFromAddrPort(e.addrPort())
	if e.scope != 0 {
		a.Zone = strconv.FormatUint(uint64(e.scope), 10)
	}
	return a
}

// is4 says whether the address is IPv4.
func (e endpoint) is4() bool { return netip.AddrFrom16(e.ip).Is4In6() }
