package turn

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// ownRefresh is how often the addresses of this machine are read again, at most.
const ownRefresh = 30 * time.Second

// ownAddresses are the UDP sockets of this gate: its listeners and relayed
// sockets. Relaying to them would let a client send packets in circles. All
// methods may be called concurrently.
type ownAddresses struct {
	mu        sync.RWMutex
	announced []netip.Addr // by which others know this machine
	ports     map[uint16]int
	local     map[netip.Addr]struct{}
	read      time.Time
}

func newOwnAddresses(announced []netip.Addr) *ownAddresses {
	return &ownAddresses{announced: announced, ports: map[uint16]int{}, local: map[netip.Addr]struct{}{}}
}

// announce replaces the addresses by which others know this machine.
func (o *ownAddresses) announce(addrs []netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.announced, o.read = addrs, time.Time{}
	for _, a := range addrs {
		o.local[a] = struct{}{}
	}
}

// add counts a socket in, until remove.
func (o *ownAddresses) add(port uint16, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ports[port]++
	if now.Sub(o.read) < ownRefresh {
		return
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return // what was read last is still the best that is known
	}
	o.read = now
	o.local = map[netip.Addr]struct{}{}
	for _, a := range o.announced {
		o.local[a] = struct{}{}
	}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			o.local[prefix.Addr().Unmap().WithZone("")] = struct{}{}
		}
	}
}

func (o *ownAddresses) remove(port uint16) {
	o.mu.Lock()
	defer o.mu.Unlock()
	decrease(o.ports, port)
}

// has says whether an address is one of this gate's sockets.
func (o *ownAddresses) has(addr netip.AddrPort) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.ports[addr.Port()] == 0 {
		return false
	}
	_, local := o.local[addr.Addr()]
	return local || addr.Addr().IsLoopback()
}
