package turn

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/turn/relay"
)

// How long an admission outlives the request that it was given for: as long as
// what that request made (RFC 8656 9 and 12).
const (
	permissionLife = 5 * time.Minute
	channelLife    = 10 * time.Minute
)

// maxHeld bounds the admissions that one client holds.
const maxHeld = 256

// Source knows the media addresses of live workers: the coordinators, or what
// else follows them.
type Source interface {
	// String names the source in logs; it must differ from that of others.
	String() string
	// Watch calls update with all addresses, at first and whenever they
	// change, until ctx ends. What it said last stays in force while it is
	// away. It may block for long; update does not.
	Watch(ctx context.Context, update func([]netip.AddrPort))
}

// Network knows the addresses behind which the services of a cluster are.
type Network interface {
	// Watch calls update with all of its prefixes, at first and whenever they
	// change, until ctx ends. It may block for long; update does not.
	Watch(ctx context.Context, update func([]netip.Prefix))
}

// admission says who may be relayed to: the workers that sources list, by
// address and port, and the configured peers. A worker that leaves the list is
// closed to new bindings, but what a client has bound stays open, refreshes
// included, until it expires or the allocation ends. It implements
// relay.Admission; all methods may be called concurrently.
type admission struct {
	static  atomic.Pointer[opened]
	classes classes
	workers atomic.Pointer[workerSet]
	changes atomic.Uint64
	wide    chan struct{} // closed once there is a peer of more than one address
	once    sync.Once     // for that

	mu    sync.Mutex
	lists map[string][]netip.AddrPort // the last one of each source

	heldMu sync.RWMutex
	held   map[netip.AddrPort]*holder // by client

	own *ownAddresses
}

var _ relay.Admission = (*admission)(nil)

// opened is a snapshot: the configured peers, and addresses and networks that no
// prefix of more than one opens.
type opened struct {
	peers   []Peer
	shut    map[netip.Addr]struct{}
	network []netip.Prefix
}

// workerSet is a snapshot: the addresses with their ports, and without.
type workerSet struct {
	addrs map[netip.AddrPort]struct{}
	ips   map[netip.Addr]struct{}
}

// holder is the allocations of one client's address and what they have bound.
type holder struct {
	allocations int
	peers       map[netip.AddrPort]time.Time // until when
}

func newAdmission(static []Peer, own *ownAddresses) *admission {
	a := &admission{
		classes: newClasses(), lists: map[string][]netip.AddrPort{},
		held: map[netip.AddrPort]*holder{}, own: own, wide: make(chan struct{}),
	}
	a.workers.Store(&workerSet{})
	a.static.Store(&opened{})
	a.open(static, nil)
	return a
}

// open takes a list of peers in place of those of the configuration, and what no
// prefix of more than one address opens. The network stays closed.
func (a *admission) open(static []Peer, shut []netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := &opened{static, make(map[netip.Addr]struct{}, len(shut)), a.static.Load().network}
	for _, addr := range shut {
		next.shut[addr] = struct{}{}
	}
	a.static.Store(next)
	a.changes.Add(1)
	if slices.ContainsFunc(static, func(p Peer) bool { return !p.Prefix.IsSingleIP() }) {
		a.once.Do(func() { close(a.wide) })
	}
}

// closeNetwork takes the networks that no prefix of more than one address opens.
func (a *admission) closeNetwork(network []netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	is := a.static.Load()
	a.static.Store(&opened{is.peers, is.shut, slices.Clone(network)})
	a.changes.Add(1)
}

// anyNetwork is every address: what is closed as long as the network is not known.
func anyNetwork() []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
}

// closed says why a listed prefix does not open an address that it contains; ""
// if it does.
func (o *opened) closed(c classes, prefix netip.Prefix, addr netip.Addr) string {
	if why := c.closed(prefix, addr); why != "" || prefix.IsSingleIP() {
		return why
	}
	_, shut := o.shut[addr]
	if shut || slices.ContainsFunc(o.network, func(n netip.Prefix) bool { return n.Contains(addr) }) {
		return whyService
	}
	return ""
}

// update takes the list of one source in place of its last and answers how
// many addresses of it are of use.
func (a *admission) update(source string, addrs []netip.AddrPort) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	good := make([]netip.AddrPort, 0, len(addrs))
	for _, addr := range addrs {
		addr = unmap(addr)
		if addr.IsValid() && addr.Port() != 0 && a.classes.never(addr.Addr()) == "" {
			good = append(good, addr)
		}
	}
	a.lists[source] = good
	next := &workerSet{map[netip.AddrPort]struct{}{}, map[netip.Addr]struct{}{}}
	for _, list := range a.lists {
		for _, addr := range list {
			next.addrs[addr] = struct{}{}
			next.ips[addr.Addr()] = struct{}{}
		}
	}
	a.workers.Store(next)
	a.changes.Add(1)
	return len(good)
}

// count is the number of addresses that sources list.
func (a *admission) count() int { return len(a.workers.Load().addrs) }

// Generation is part of relay.Admission.
func (a *admission) Generation() uint64 { return a.changes.Load() }

// Allows is part of relay.Admission.
func (a *admission) Allows(client, peer netip.AddrPort) bool {
	return a.refuses(client, peer) == "" || a.holds(client, peer, time.Now())
}

// refuses says why nothing new may be bound to a peer, "" if it may. A worker's
// loopback address is this machine's only for a client that is on this machine,
// too: for others it may be another worker's, and some other program listens
// there.
func (a *admission) refuses(client, peer netip.AddrPort) string {
	addr := peer.Addr()
	if a.own.has(peer) {
		return whyOwn
	}
	set := a.workers.Load()
	if _, ok := set.addrs[peer]; ok {
		if addr.IsLoopback() && !client.Addr().IsLoopback() {
			return whyLoopback
		}
		return ""
	}
	why, static := "", a.static.Load()
	for _, p := range static.peers {
		if !p.Prefix.Contains(addr) {
			continue
		}
		switch closed := static.closed(a.classes, p.Prefix, addr); {
		case closed != "":
			why = closed
		case p.opens(peer.Port()):
			return ""
		default:
			why = whyPort
		}
	}
	if why != "" {
		return why
	}
	if _, ok := set.ips[addr]; ok {
		return whyPort
	}
	return a.classes.describe(addr)
}

// refusesIP is refuses for a permission that names no port: it is granted if
// any port is open.
func (a *admission) refusesIP(client netip.AddrPort, addr netip.Addr) string {
	if _, ok := a.workers.Load().ips[addr]; ok && (!addr.IsLoopback() || client.Addr().IsLoopback()) {
		return ""
	}
	static := a.static.Load()
	for _, p := range static.peers {
		if p.Prefix.Contains(addr) && static.closed(a.classes, p.Prefix, addr) == "" {
			return ""
		}
	}
	return a.classes.describe(addr)
}

// enter counts an allocation of a client in, until leave.
func (a *admission) enter(client netip.AddrPort) {
	a.heldMu.Lock()
	defer a.heldMu.Unlock()
	if a.held[client] == nil {
		a.held[client] = &holder{}
	}
	a.held[client].allocations++
}

// leave counts an allocation out; with the last one go all that the client holds.
func (a *admission) leave(client netip.AddrPort) {
	a.heldMu.Lock()
	defer a.heldMu.Unlock()
	if h := a.held[client]; h != nil {
		if h.allocations--; h.allocations <= 0 {
			delete(a.held, client)
		}
	}
}

// hold keeps a peer open to a client for a while, even if it leaves.
func (a *admission) hold(client, peer netip.AddrPort, now time.Time, life time.Duration) {
	a.heldMu.Lock()
	defer a.heldMu.Unlock()
	h := a.held[client]
	if h == nil {
		return
	}
	if _, ok := h.peers[peer]; !ok && len(h.peers) >= maxHeld {
		h.forget(now)
		if len(h.peers) >= maxHeld {
			return
		}
	}
	if h.peers == nil {
		h.peers = map[netip.AddrPort]time.Time{}
	}
	if until := now.Add(life); until.After(h.peers[peer]) {
		h.peers[peer] = until
	}
}

// forget drops what has expired.
func (h *holder) forget(now time.Time) {
	for peer, until := range h.peers {
		if !now.Before(until) {
			delete(h.peers, peer)
		}
	}
}

// holds says whether a client has bound a peer and not let it expire.
func (a *admission) holds(client, peer netip.AddrPort, now time.Time) bool {
	a.heldMu.RLock()
	defer a.heldMu.RUnlock()
	h := a.held[client]
	return h != nil && now.Before(h.peers[peer])
}

// anyWorker is a worker's address of the wanted family, for finding the way there.
func (a *admission) anyWorker(six bool) (netip.AddrPort, bool) {
	for addr := range a.workers.Load().addrs {
		if addr.Addr().Is6() == six && !addr.Addr().IsLoopback() {
			return addr, true
		}
	}
	return netip.AddrPort{}, false
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
