package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// allocationInbox is how many datagrams of peers without a channel may wait
// for pion/turn; those which come when it is full are dropped.
const allocationInbox = 16

// AllocationConfig describes a relayed socket.
type AllocationConfig struct {
	// Local is what the socket is bound to: 0.0.0.0 or an address of this
	// machine, IPv4 or IPv6; port 0 takes a free one.
	Local netip.AddrPort
	// Announced is the address that LocalAddr tells, with the bound port; the
	// zero Addr means that of Local.
	Announced netip.Addr
	// Bandwidth bounds the payload of both directions together, in bytes per
	// second; 0 means no bound.
	Bandwidth int64
}

// Allocation is the relayed socket of one allocation (RFC 8656 3.2). pion/turn
// sees a net.PacketConn: what comes from peers that are admitted but not bound
// to a channel comes out of ReadFrom, and WriteTo carries Send indications. It
// costs a file descriptor, about a kilobyte here and three in pion/turn; the
// buffers are the loops'.
type Allocation struct {
	listener  *Listener
	client    endpoint
	stream    *stream // that the client came by, or nil
	announced *net.UDPAddr
	socket    *socket
	loop      *loop
	watch     uint64
	bucket    bucket
	counters  allocationCounters
	inbox     chan *letter
	done      chan struct{}
	bindings  atomic.Pointer[[]*binding] // a snapshot, replaced under mu

	mu     sync.Mutex
	closed bool
}

var (
	_ net.PacketConn = (*Allocation)(nil)
	_ receiver       = (*Allocation)(nil)
)

// Open makes the relayed socket for the client of Request. It may only be
// called by the goroutine that calls ReadFrom, that is from
// RelayAddressGenerator.AllocatePacketConn.
func (l *Listener) Open(cfg AllocationConfig) (*Allocation, error) {
	if !cfg.Local.Addr().IsValid() {
		return nil, errors.New("open relayed socket: no local address")
	}
	s, err := openSocket(cfg.Local, false, false)
	if err != nil {
		return nil, fmt.Errorf("open relayed socket: %w", err)
	}
	announced := s.bound
	if cfg.Announced.IsValid() {
		announced = netip.AddrPortFrom(cfg.Announced, s.bound.Port())
	}
	r := l.relay
	a := &Allocation{
		listener: l, client: l.current.from, stream: l.current.stream, socket: s,
		announced: net.UDPAddrFromAddrPort(announced),
		loop:      r.loops[r.turn.Add(1)%uint32(len(r.loops))],
		inbox:     make(chan *letter, allocationInbox), done: make(chan struct{}),
	}
	a.bindings.Store(new([]*binding))
	a.bucket.limit(cfg.Bandwidth)
	if a.watch, err = a.loop.add(s, a); err == nil {
		if err = a.enter(); err == nil {
			return a, nil
		}
		a.loop.remove(a.watch)
	}
	s.close()
	return nil, fmt.Errorf("open relayed socket: %w", err)
}

// enter makes a known to its relay, listener and stream.
func (a *Allocation) enter() error {
	l, r := a.listener, a.listener.relay
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return net.ErrClosed
	}
	r.allocations[a] = struct{}{}
	r.mu.Unlock()
	l.mu.Lock()
	l.allocations[a.client] = a
	l.mu.Unlock()
	if a.stream != nil {
		a.stream.hold(a)
	}
	return nil
}

// Client is the client's address as the listener sees it, unmapped.
func (a *Allocation) Client() netip.AddrPort { return a.client.addrPort() }

// LocalAddr is the address that is announced to the client.
func (a *Allocation) LocalAddr() net.Addr { return a.announced }

// SetDeadline does nothing, as the two others: pion/turn uses none on servers.
func (a *Allocation) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (a *Allocation) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (a *Allocation) SetWriteDeadline(time.Time) error { return nil }

// Close frees the socket and all bindings. It may be called more than once.
func (a *Allocation) Close() error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	for _, b := range *a.bindings.Swap(new([]*binding)) {
		a.forget(b)
	}
	a.mu.Unlock()

	l, r := a.listener, a.listener.relay
	a.loop.remove(a.watch)
	l.counters[0].overflow.Add(a.socket.overflow())
	a.socket.close()
	close(a.done)
	l.mu.Lock()
	if l.allocations[a.client] == a {
		delete(l.allocations, a.client)
	}
	l.mu.Unlock()
	if a.stream != nil {
		a.stream.release(a)
	}
	r.mu.Lock()
	delete(r.allocations, a)
	r.mu.Unlock()
	return nil
}

// bind makes or refreshes the binding of channel to peer, and with it the
// permission of all bindings to the peer's address (RFC 8656 12).
func (a *Allocation) bind(channel uint16, peer endpoint) {
	defer a.permit(peer)
	now := a.listener.relay.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	var next []*binding
	for _, b := range *a.bindings.Load() {
		switch {
		case b.channel == channel && b.peer == peer:
			b.refresh(now)
			return
		case b.channel == channel || b.peer == peer || b.expired(now):
			// pion/turn refuses to bind again what has not expired.
			a.forget(b)
		default:
			next = append(next, b)
		}
	}
	if len(next) < maxBindings {
		b := &binding{allocation: a, channel: channel, peer: peer}
		b.refresh(now)
		next = append(next, b)
		a.listener.bindings.store(channelKey{a.client, channel}, b)
	}
	a.bindings.Store(&next)
}

// forget takes b out of the listener's table.
func (a *Allocation) forget(b *binding) {
	a.listener.bindings.remove(channelKey{a.client, b.channel}, func(held *binding) bool { return held == b })
}

// permit refreshes the permission of bindings to the peer's address, with any
// port (RFC 8656 9).
func (a *Allocation) permit(peer endpoint) {
	now := a.listener.relay.now()
	for _, b := range *a.bindings.Load() {
		if b.peer.ip == peer.ip {
			b.permit(now)
		}
	}
}

// bound is the binding of a peer whose channel has not expired, or nil.
func (a *Allocation) bound(peer *endpoint, now int64) *binding {
	for _, b := range *a.bindings.Load() {
		if b.peer.port == peer.port && b.peer.ip == peer.ip && !b.expired(now) {
			return b
		}
	}
	return nil
}

// afford takes n bytes of the allocation's and of everybody's bandwidth.
func (a *Allocation) afford(n int, now int64) bool {
	return a.bucket.take(n, now) && a.listener.relay.total.take(n, now)
}

// receive takes what the relayed socket received, in its loop.
func (a *Allocation) receive(out *outbox, m message) {
	b := a.bound(&m.from, out.now)
	if b == nil {
		a.receiveUnbound(out, m)
		return
	}
	if !b.live(out.now) {
		// Not for pion/turn, which sends on a channel without a permission.
		a.dropped(out.slot, DropUnbound, m.count())
		return
	}
	if !b.admitted(out.now) {
		a.dropped(out.slot, DropPeer, m.count())
		return
	}
	p := parcel{to: a.client, channel: b.channel, allocation: a, direction: Down}
	if a.stream == nil {
		p.socket = a.listener.sockets[out.slot%len(a.listener.sockets)]
	}
	for p.packet, p.roomy = range m.datagrams() {
		n := len(p.packet) - channelHeader
		switch {
		case !a.afford(n, out.now):
			a.dropped(out.slot, DropBandwidth, 1)
		case a.stream == nil:
			out.put(&p)
		case a.stream.push(b.channel, p.packet[channelHeader:]):
			a.relayed(out.slot, Down, 1, n, 0)
		default:
			a.dropped(out.slot, DropSlow, 1)
		}
	}
}

// receiveUnbound leaves datagrams to pion/turn, which makes Data indications
// of those with a permission.
func (a *Allocation) receiveUnbound(out *outbox, m message) {
	if !a.admits(m.from) {
		a.dropped(out.slot, DropPeer, m.count())
		return
	}
	for packet := range m.datagrams() {
		p := packet[channelHeader:]
		switch {
		case !a.afford(len(p), out.now):
			a.dropped(out.slot, DropBandwidth, 1)
		case !a.listener.relay.post(a.inbox, m.from, p):
			a.dropped(out.slot, DropQueue, 1)
		}
	}
}

// admits asks Admission, for what has no binding.
func (a *Allocation) admits(peer endpoint) bool {
	return a.listener.relay.cfg.Admission.Allows(a.client.addrPort(), peer.addrPort())
}

// ReadFrom waits for a datagram of an admitted peer that has no channel. After
// Close it returns net.ErrClosed.
func (a *Allocation) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case <-a.done:
		return 0, nil, net.ErrClosed
	case t := <-a.inbox:
		n, from := copy(p, t.data[:t.size]), t.from.udpAddr()
		a.listener.relay.letters.Put(t)
		a.relayed(a.listener.relay.cfg.Loops, Down, 1, n, 0)
		return n, from, nil
	}
}

// WriteTo sends to an admitted peer. For others, and over the bandwidth, the
// datagram is dropped and counted, and no error returned, as a firewall would.
func (a *Allocation) WriteTo(p []byte, to net.Addr) (int, error) {
	r, slot := a.listener.relay, a.listener.relay.cfg.Loops
	peer, ok := endpointOfAddr(to)
	switch {
	case !ok || !a.admits(peer):
		a.dropped(slot, DropPeer, 1)
	case !a.afford(len(p), r.now()):
		a.dropped(slot, DropBandwidth, 1)
	default:
		if err := a.socket.writeTo(p, peer); err != nil {
			a.dropped(slot, DropSend, 1)
			return 0, err
		}
		a.relayed(slot, Up, 1, len(p), 1)
	}
	return len(p), nil
}
