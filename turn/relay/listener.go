package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// inboxSize is how many control messages may wait for pion/turn. Those which
// come when it is full are dropped: clients on UDP ask again (RFC 8489 6.2.1),
// and streams wait.
const inboxSize = 512

// Listener is where clients reach the gate: N UDP sockets on one address, or
// all connections of a net.Listener. Towards pion/turn it is one
// net.PacketConn, so that one allocation manager serves it: packets and
// connections that are no ChannelData come out of ReadFrom.
//
// pion/turn handles what ReadFrom returned, calling AuthHandler,
// PermissionHandler, AllocatePacketConn and WriteTo (the answer), before it
// calls ReadFrom again. Listener learns channel bindings and permissions from
// that: a request that ReadFrom returned and the success that WriteTo is given
// for it. Only one goroutine may call ReadFrom; WriteTo may be called by many.
type Listener struct {
	relay    *Relay
	local    net.Addr
	sockets  []*socket // UDP: one for each loop
	watches  []uint64  // their numbers in the loops
	streams  *streams  // else nil
	inbox    chan *letter
	done     chan struct{}
	once     sync.Once
	bindings *table[channelKey, *binding]
	counters []counters // by slot

	current request // of the goroutine that calls ReadFrom

	mu          sync.Mutex
	allocations map[endpoint]*Allocation
}

var (
	_ net.PacketConn = (*Listener)(nil)
	_ receiver       = (*Listener)(nil)
)

// letter is a message on its way to pion/turn.
type letter struct {
	from   endpoint
	stream *stream // it came by, or nil
	size   int
	data   [maxControl]byte
}

// maxControl is one more than what pion/turn takes: its InboundMTU.
const maxControl = 1600

func (r *Relay) newListener(local net.Addr) *Listener {
	return &Listener{
		relay: r, local: local,
		inbox: make(chan *letter, inboxSize), done: make(chan struct{}),
		bindings: newTable[channelKey, *binding](), counters: make([]counters, r.slots()),
		allocations: map[endpoint]*Allocation{},
	}
}

// ListenUDP binds Config.Loops sockets to addr and makes them one Listener;
// port 0 takes a free one. An unspecified IPv6 address takes IPv4 clients as
// well. It may be called before and while Run runs.
func (r *Relay) ListenUDP(addr netip.AddrPort) (*Listener, error) {
	sockets, err := listenSockets(addr, r.cfg.Loops)
	if err != nil {
		return nil, err
	}
	l := r.newListener(net.UDPAddrFromAddrPort(sockets[0].bound))
	l.sockets = sockets
	for i, s := range sockets {
		id, err := r.loops[i].add(s, l)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.watches = append(l.watches, id)
	}
	if err := r.adopt(l); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// adopt makes shutdown close l.
func (r *Relay) adopt(l *Listener) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return fmt.Errorf("listen on %s: %w", l.local, net.ErrClosed)
	}
	r.listeners[l] = struct{}{}
	return nil
}

// Close closes the sockets and connections and ends ReadFrom. Allocations stay
// until they are closed, which pion/turn does. It may be called more than once.
func (l *Listener) Close() error {
	l.once.Do(func() {
		for i, s := range l.sockets {
			if i < len(l.watches) {
				l.relay.loops[i].remove(l.watches[i])
			}
			l.counters[i].overflow.Add(s.overflow())
			s.close()
		}
		close(l.done)
		if l.streams != nil {
			l.streams.close()
		}
		l.relay.mu.Lock()
		delete(l.relay.listeners, l)
		l.relay.mu.Unlock()
	})
	return nil
}

// LocalAddr is a *net.UDPAddr or what the net.Listener says.
func (l *Listener) LocalAddr() net.Addr { return l.local }

// SetDeadline does nothing, as the two others: pion/turn uses none on servers.
func (l *Listener) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (l *Listener) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (l *Listener) SetWriteDeadline(time.Time) error { return nil }

// receive takes what a UDP socket received, in the loop of that socket.
func (l *Listener) receive(out *outbox, m message) {
	var b *binding
	for packet := range m.datagrams() {
		p := packet[channelHeader:]
		if isChannelData(p) {
			b = l.up(out, m.from, p, b)
		} else if isSTUN(p) && len(p) < maxControl {
			l.deliver(out.slot, m.from, p)
		} else {
			l.counters[out.slot].dropped[DropMalformed].Add(1)
		}
	}
}

// up relays ChannelData to its peer. hint is the binding of a message of the
// same client that came just before; up returns the one it used.
func (l *Listener) up(out *outbox, from endpoint, p []byte, hint *binding) *binding {
	channel, payload, ok := channelData(p)
	if !ok {
		l.counters[out.slot].dropped[DropMalformed].Add(1)
		return hint
	}
	b := hint
	if b == nil || b.channel != channel {
		b = l.bindings.load(channelKey{from, channel})
	}
	if b == nil {
		l.counters[out.slot].dropped[DropUnbound].Add(1)
		return hint
	}
	a := b.allocation
	switch {
	case !b.live(out.now):
		a.dropped(out.slot, DropUnbound, 1)
	case !b.admitted(out.now):
		a.dropped(out.slot, DropPeer, 1)
	case !a.afford(len(payload), out.now):
		a.dropped(out.slot, DropBandwidth, 1)
	default:
		out.put(&parcel{
			socket: a.socket, to: b.peer, packet: p[:channelHeader+len(payload)], allocation: a, direction: Up,
		})
	}
	return b
}

// deliver hands a control message to pion/turn, if there is room.
func (l *Listener) deliver(slot int, from endpoint, p []byte) {
	if !l.relay.post(l.inbox, from, p) {
		l.counters[slot].dropped[DropQueue].Add(1)
		return
	}
	l.counters[slot].control.Add(1)
}

// post puts a copy of p into inbox, if there is room for it.
func (r *Relay) post(inbox chan *letter, from endpoint, p []byte) bool {
	if len(p) > maxControl || len(inbox) == cap(inbox) {
		return false
	}
	t := r.letters.Get().(*letter)
	t.from, t.stream, t.size = from, nil, copy(t.data[:], p)
	select {
	case inbox <- t:
		return true
	default:
		r.letters.Put(t)
		return false
	}
}

// ReadFrom waits for a control message. After Close it returns net.ErrClosed.
func (l *Listener) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case <-l.done: // also when the inbox is full
		return 0, nil, net.ErrClosed
	default:
	}
	select {
	case <-l.done:
		return 0, nil, net.ErrClosed
	case t := <-l.inbox:
		n := copy(p, t.data[:t.size])
		l.current = request{from: t.from, stream: t.stream, packet: p[:n]}
		l.relay.letters.Put(t)
		if l.current.stream != nil { // the letter is no longer ours
			return n, l.current.stream.conn.RemoteAddr(), nil
		}
		return n, l.current.from.udpAddr(), nil
	}
}

// WriteTo sends a control message to a client that ReadFrom named. Messages
// for a stream that is slow or gone are dropped and counted.
func (l *Listener) WriteTo(p []byte, to net.Addr) (int, error) {
	e, ok := endpointOfAddr(to)
	if !ok {
		return 0, fmt.Errorf("write to %v: not an address of a client", to)
	}
	l.learn(p)
	if l.streams != nil {
		l.streams.write(e, p)
		return len(p), nil
	}
	if err := l.sockets[0].writeTo(p, e); err != nil {
		return 0, err
	}
	return len(p), nil
}
