package turn

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// peerGrace is how long an address is relayed to after its coordinator took it
// out: workers are missing for seconds when they, or a coordinator, reconnect,
// and games must not notice.
const peerGrace = 30 * time.Second

// peers is who may be relayed to. All methods may be called concurrently;
// allows and allowsIP take no lock.
type peers struct {
	static []Peer
	set    atomic.Pointer[peerSet]

	mu    sync.Mutex
	lists map[string][]netip.AddrPort // the last one of each coordinator
}

// peerSet is a snapshot. The time is until when, zero for as long as it is listed.
type peerSet struct {
	addrs map[netip.AddrPort]time.Time
	ips   map[netip.Addr]time.Time
}

func newPeers(static []Peer) *peers {
	p := &peers{static: static, lists: map[string][]netip.AddrPort{}}
	p.set.Store(&peerSet{})
	return p
}

// update takes the list of one coordinator in place of its last.
func (p *peers) update(coordinator string, addrs []netip.AddrPort, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lists[coordinator] = addrs
	next := &peerSet{addrs: map[netip.AddrPort]time.Time{}, ips: map[netip.Addr]time.Time{}}
	for _, list := range p.lists {
		for _, a := range list {
			next.addrs[unmap(a)] = time.Time{}
		}
	}
	for a, until := range p.set.Load().addrs {
		if until.IsZero() {
			until = now.Add(peerGrace)
		}
		if _, listed := next.addrs[a]; !listed && now.Before(until) {
			next.addrs[a] = until
		}
	}
	for a, until := range next.addrs {
		known, ok := next.ips[a.Addr()]
		if !ok || until.IsZero() || (!known.IsZero() && until.After(known)) {
			next.ips[a.Addr()] = until
		}
	}
	p.set.Store(next)
}

// count is the number of addresses that coordinators list, and of those that
// only have their grace.
func (p *peers) count() int { return len(p.set.Load().addrs) }

// allows says whether data may go to and come from addr, which is unmapped. A
// worker's loopback address is this machine's only for a client that is on this
// machine, too (local): for others it may be another worker's, and some other
// program listens there.
func (p *peers) allows(addr netip.AddrPort, local bool) bool {
	if until, ok := p.set.Load().addrs[addr]; ok && live(until) && (local || !addr.Addr().IsLoopback()) {
		return true
	}
	for _, s := range p.static {
		if s.contains(addr) {
			return true
		}
	}
	return false
}

// allowsIP says whether any port of addr, which is unmapped, may be relayed to:
// TURN permissions are by address (RFC 8656 9). local as for allows.
func (p *peers) allowsIP(addr netip.Addr, local bool) bool {
	if until, ok := p.set.Load().ips[addr]; ok && live(until) && (local || !addr.IsLoopback()) {
		return true
	}
	for _, s := range p.static {
		if s.containsIP(addr) {
			return true
		}
	}
	return false
}

// anyIPv4 is an IPv4 address that is relayed to, for finding the way there.
func (p *peers) anyIPv4() (netip.Addr, bool) {
	for a := range p.set.Load().ips {
		if a.Is4() && !a.IsLoopback() {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func live(until time.Time) bool { return until.IsZero() || time.Now().Before(until) }

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
