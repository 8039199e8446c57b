package turn

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
)

// UDP is the one protocol that listeners speak so far.
const UDP = "udp"

// Listener is one address that clients reach the gate at.
type Listener struct {
	Protocol string // UDP
	Address  string // host:port; port 0 takes a free one (see Gate.URLs)
}

// Config is what a Gate needs. It is copied by New and may be reused.
type Config struct {
	// Listeners to serve; at least one.
	Listeners []Listener
	// PublicAddress is the host name or IP that browsers reach the listeners by;
	// "" means the name by which the browser found the coordinator.
	PublicAddress string
	// RelayAddress is the IPv4 address announced for relayed sockets; the zero
	// Addr means the address of this machine on the way to the client.
	RelayAddress netip.Addr
	// Realm of the TURN long-term credentials; "" means "cloudretro".
	Realm string
	// Secrets that credentials may be minted with, the newest first; at least
	// one. The gate proves itself to coordinators with one of them.
	Secrets []string
	// Peers may be relayed to besides the workers that coordinators announce.
	Peers []Peer
	// Coordinators to join, each as signal.URL takes it ("host:port" or a URL).
	Coordinators []string
	// MaxAllocations bounds all allocations; 0 means 4096.
	MaxAllocations int
	// MaxPerUser bounds the allocations of one credential; 0 means 12.
	MaxPerUser int
	// Logger receives what happens; nil means silence.
	Logger *slog.Logger
}

const (
	defaultRealm          = "cloudretro"
	defaultMaxAllocations = 4096
	defaultMaxPerUser     = 12
)

// Peer is a set of addresses that may be relayed to. Of a prefix, loopback,
// link-local and multicast addresses are left out unless it names just one.
type Peer struct {
	Prefix netip.Prefix
	Port   uint16 // 0 = every port
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
		return Peer{netip.PrefixFrom(addr, addr.BitLen()), port}, nil
	}
	prefix, err := netip.ParsePrefix(host)
	if err != nil {
		return Peer{}, fmt.Errorf("peer %q: want an IP, IP:port, prefix or prefix:port: %w", s, err)
	}
	return Peer{prefix.Masked(), port}, nil
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

// contains says whether addr is in the set.
func (p Peer) contains(addr netip.AddrPort) bool {
	return p.containsIP(addr.Addr()) && (p.Port == 0 || p.Port == addr.Port())
}

// containsIP says whether a port of addr is in the set. Addresses that lead
// into this machine or its host's services must be named one by one: a wide
// prefix does not open them.
func (p Peer) containsIP(addr netip.Addr) bool {
	return p.Prefix.Contains(addr) && (p.Prefix.IsSingleIP() || !special(addr))
}

// special addresses are loopback, link-local (the metadata services of clouds
// among them), multicast and the unspecified one.
func special(a netip.Addr) bool {
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified()
}
