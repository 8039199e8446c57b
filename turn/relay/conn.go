package relay

import (
	"iter"
	"net/netip"
)

// Sizes of the sockets' side.
const (
	socketBuffer = 4 << 20 // bytes; the kernel may give less
	maxDatagram  = 65535   // bytes of a datagram, or of a run of them
	maxSegments  = 64      // datagrams of one send: UDP_MAX_SEGMENTS of Linux < 6.9
	maxRun       = 65000   // bytes of one send, below the 65535 of an IP packet
)

// message is what one read of a socket gave: one datagram, or several of one
// sender that the kernel put together (UDP_GRO), each of segment bytes and the
// last maybe shorter.
//
// raw begins with channelHeader bytes that belong to nobody, for the header of
// the first datagram. It is valid, and may be changed, until the outbox has
// been flushed.
type message struct {
	from    endpoint
	raw     []byte
	segment int
}

// datagrams are those of m, each with the channelHeader bytes in front of it;
// only those in front of the first one (roomy) may be written to. An empty
// datagram is one, too.
func (m message) datagrams() iter.Seq2[[]byte, bool] {
	return func(yield func(packet []byte, roomy bool) bool) {
		for at := 0; at == 0 || at < len(m.raw)-channelHeader; at += m.segment {
			end := min(at+channelHeader+m.segment, len(m.raw))
			if !yield(m.raw[at:end], at == 0) {
				return
			}
		}
	}
}

// count is the number of datagrams.
func (m message) count() int {
	return max(1, (len(m.raw)-channelHeader+m.segment-1)/m.segment)
}

// receiver is told of what a socket received, by its reader thread. It gives
// what goes on to out, which the thread flushes afterwards.
type receiver interface {
	receive(out *outbox, m message)
}

// parcel is one datagram for an outbox.
type parcel struct {
	socket  *socket
	to      endpoint
	channel uint16 // 0 = packet goes without its first channelHeader bytes
	// packet is the datagram with channelHeader bytes in front, which may be
	// written to if roomy.
	packet     []byte
	roomy      bool
	allocation *Allocation // whose it is
	direction  Direction
}

// size is the number of bytes that go out.
func (p *parcel) size() int {
	if p.channel == 0 {
		return len(p.packet) - channelHeader
	}
	return len(p.packet)
}

// run is datagrams that may leave in one send: one destination, equal sizes,
// only the last one shorter (Documentation/networking/segmentation-offloads).
type run struct {
	to         endpoint
	allocation *Allocation
	direction  Direction
	segment    int // bytes of each datagram but the last
	bytes      int // of all
	count      int
}

// start makes r a run of p alone.
func (r *run) start(p *parcel) {
	n := p.size()
	*r = run{to: p.to, allocation: p.allocation, direction: p.direction, segment: n, bytes: n, count: 1}
}

// join takes p into r if it fits. An empty datagram never does: the kernel
// cuts none off the end.
func (r *run) join(p *parcel) bool {
	n := p.size()
	if r.allocation != p.allocation || r.direction != p.direction || r.to != p.to ||
		n == 0 || n > r.segment || r.bytes%r.segment != 0 || r.count == maxSegments || r.bytes+n > maxRun {
		return false
	}
	r.bytes += n
	r.count++
	return true
}

// payload is the number of bytes without ChannelData headers.
func (r *run) payload() int {
	if r.direction == Down {
		return r.bytes - r.count*channelHeader
	}
	return r.bytes
}

// sent and lost account for a run.
func (r *run) sent(slot int) {
	r.allocation.relayed(slot, r.direction, r.count, r.payload(), 1)
}

func (r *run) lost(slot int) {
	r.allocation.dropped(slot, DropSend, r.count)
}

// withPort is addr with another port.
func withPort(addr netip.AddrPort, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr(), port)
}
