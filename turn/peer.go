package turn

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Peer is a set of addresses that may be relayed to. A prefix does not open
// loopback, link-local, multicast and reserved addresses and the service network
// of a cluster unless it names just one, and private ranges only where it lies
// within one. IPv6 forms that embed an IPv4 address, and the gate's own, are never
// opened.
type Peer struct {
	Prefix netip.Prefix
	Port   uint16 // 0 = every port
	Last   uint16 // of a range of ports that begins with Port; 0 = Port alone
}

// opens says whether the ports of p hold one.
func (p Peer) opens(port uint16) bool {
	return p.Port == 0 || port == p.Port || port > p.Port && port <= p.Last
}

// ParsePeer reads "10.0.0.0/8", "10.0.0.0/8:8443", "10.1.2.3", "10.1.2.3:8443"
// and the same with IPv6 ("[2001:db8::]/32:8443", "2001:db8::1").
func ParsePeer(s string) (Peer, error) {
	host, port, err := cutPort(s)
	if err != nil {
		return Peer{}, fmt.Errorf("peer %q: %w", s, err)
	}
	host = strings.NewReplacer("[", "", "]", "").Replace(host)
	if !strings.Contains(host, "/") {
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return Peer{}, fmt.Errorf("peer %q: want an IP, IP:port, prefix or prefix:port: %w", s, err)
		}
		addr = addr.Unmap().WithZone("")
		return Peer{Prefix: netip.PrefixFrom(addr, addr.BitLen()), Port: port}, nil
	}
	prefix, err := netip.ParsePrefix(host)
	if err != nil {
		return Peer{}, fmt.Errorf("peer %q: want an IP, IP:port, prefix or prefix:port: %w", s, err)
	}
	return Peer{Prefix: prefix.Masked(), Port: port}, nil
}

// cutPort takes ":port" off the end of s, where there is one. A bare IPv6
// address has none: its port needs brackets around the address.
func cutPort(s string) (host string, port uint16, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.IndexByte(s, ']') > i {
		return s, 0, nil
	}
	if strings.Count(s, ":") > 1 && !strings.Contains(s, "]") {
		return s, 0, nil
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("port %q is not one of 1..65535", s[i+1:])
	}
	return s[:i], uint16(n), nil
}
