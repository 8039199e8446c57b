package batch

import (
	"net"
	"net/netip"
)

// maxSenders bounds the addresses that are remembered. Anybody can send from any
// address, so a full table is forgotten at once rather than grown.
const maxSenders = 4096

// senders gives one *net.UDPAddr per address, so that reading does not allocate.
type senders struct {
	known map[netip.AddrPort]*net.UDPAddr
}

func (s *senders) addr(from netip.AddrPort) *net.UDPAddr {
	if udp, ok := s.known[from]; ok {
		return udp
	}
	if s.known == nil || len(s.known) >= maxSenders {
		s.known = make(map[netip.AddrPort]*net.UDPAddr)
	}
	udp := net.UDPAddrFromAddrPort(from)
	s.known[from] = udp
	return udp
}
