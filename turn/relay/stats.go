package relay

import (
	"maps"
	"slices"
	"sync/atomic"
)

// Direction is which way data flows.
type Direction uint8

const (
	// Up is from the client to the peer.
	Up Direction = iota
	// Down is from the peer to the client.
	Down
	// Directions is their number, to size arrays.
	Directions
)

// String is "up" or "down".
func (d Direction) String() string {
	if d == Up {
		return "up"
	}
	return "down"
}

// Drop is why a packet was not relayed.
type Drop uint8

const (
	// DropMalformed is ChannelData whose length lies, or no TURN message at all.
	DropMalformed Drop = iota
	// DropUnbound is ChannelData of a channel that is not bound, or no longer,
	// or data either way of one whose permission has expired.
	DropUnbound
	// DropPeer is a peer that Admission does not allow.
	DropPeer
	// DropBandwidth is over the bandwidth of the allocation or of all.
	DropBandwidth
	// DropQueue is a control message or indication that pion had no time for.
	DropQueue
	// DropSlow is a stream whose client does not read.
	DropSlow
	// DropSend is refused by the kernel: no buffer, no route.
	DropSend
	// Drops is their number, to size arrays.
	Drops
)

// String is a short lower-case name, fit for a metric's label.
func (d Drop) String() string {
	return [...]string{"malformed", "unbound", "peer", "bandwidth", "queue", "slow", "send", "?"}[min(d, Drops)]
}

// Stats are the counters of a listener.
type Stats struct {
	// Packets and Bytes (payload) relayed as ChannelData, by Direction.
	Packets, Bytes [Directions]uint64
	// Dropped packets by reason.
	Dropped [Drops]uint64
	// Overflow is what the kernel dropped because receive buffers of the
	// listener's sockets and of its open and closed allocations were full.
	Overflow uint64
	// Sends is the number of messages that Packets were given to the kernel
	// in, by Direction: Packets/Sends is the number of segments per send.
	Sends [Directions]uint64
	// Control messages that reached pion/turn.
	Control uint64
	// Allocations and Streams that are open now.
	Allocations, Streams int
	// GSO and GRO say whether segmentation and receive offload are in use.
	GSO, GRO bool
}

// Plus is the sum of the counters of two listeners.
func (s Stats) Plus(o Stats) Stats {
	for d := range Directions {
		s.Packets[d] += o.Packets[d]
		s.Bytes[d] += o.Bytes[d]
		s.Sends[d] += o.Sends[d]
	}
	for why := range Drops {
		s.Dropped[why] += o.Dropped[why]
	}
	s.Overflow += o.Overflow
	s.Control += o.Control
	s.Allocations += o.Allocations
	s.Streams += o.Streams
	s.GSO, s.GRO = s.GSO || o.GSO, s.GRO || o.GRO
	return s
}

// AllocationStats are the counters of one allocation.
type AllocationStats struct {
	// Packets and Bytes (payload) relayed, indications included, by Direction.
	Packets, Bytes [Directions]uint64
	// Dropped packets, for any reason.
	Dropped uint64
}

// counters are those of a listener for one thread, so that threads do not
// fight for them.
type counters struct {
	packets, bytes, sends [Directions]atomic.Uint64
	dropped               [Drops]atomic.Uint64
	overflow, control     atomic.Uint64
	_                     [64]byte // keeps the next thread's out of this one's cache line
}

// allocationCounters are those of an allocation.
type allocationCounters struct {
	packets, bytes [Directions]atomic.Uint64
	dropped        atomic.Uint64
}

// relayed counts packets with together n bytes of payload, which left in so
// many sends.
func (a *Allocation) relayed(slot int, d Direction, packets, n, sends int) {
	c := &a.listener.counters[slot]
	c.packets[d].Add(uint64(packets))
	c.bytes[d].Add(uint64(n))
	c.sends[d].Add(uint64(sends))
	a.counters.packets[d].Add(uint64(packets))
	a.counters.bytes[d].Add(uint64(n))
}

// dropped counts packets that were not relayed.
func (a *Allocation) dropped(slot int, why Drop, packets int) {
	a.listener.counters[slot].dropped[why].Add(uint64(packets))
	a.counters.dropped.Add(uint64(packets))
}

// Stats are the allocation's counters, for the log when it ends. It may be
// called by anyone, after Close too.
func (a *Allocation) Stats() (s AllocationStats) {
	for d := range Directions {
		s.Packets[d] = a.counters.packets[d].Load()
		s.Bytes[d] = a.counters.bytes[d].Load()
	}
	s.Dropped = a.counters.dropped.Load()
	return s
}

// Stats are the listener's counters since it was made. It may be called by
// anyone at any time, and asks the kernel about every open socket.
func (l *Listener) Stats() (s Stats) {
	for i := range l.counters {
		c := &l.counters[i]
		for d := range Directions {
			s.Packets[d] += c.packets[d].Load()
			s.Bytes[d] += c.bytes[d].Load()
			s.Sends[d] += c.sends[d].Load()
		}
		for why := range Drops {
			s.Dropped[why] += c.dropped[why].Load()
		}
		s.Overflow += c.overflow.Load()
		s.Control += c.control.Load()
	}
	l.overflows(&s)
	return s
}

// overflows adds what the kernel counts, and what is open.
func (l *Listener) overflows(s *Stats) {
	l.mu.Lock()
	allocations := slices.Collect(maps.Values(l.allocations))
	l.mu.Unlock()
	s.Allocations = len(allocations)
	for _, a := range allocations {
		s.Overflow += a.socket.overflow()
	}
	select {
	case <-l.done: // counted by Close
	default:
		for _, k := range l.sockets {
			s.Overflow += k.overflow()
		}
	}
	for _, k := range l.sockets {
		s.GSO, s.GRO = k.gso.Load(), k.gro
	}
	if l.streams != nil {
		s.Streams = l.streams.count()
	}
}
