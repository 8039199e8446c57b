// Package history keeps what was sent to one viewer on one stream. Its ring of
// bytes is three things at once: where the cipher writes a packet, what the
// kernel reads it from, and the store that answers requests for
// retransmission. A packet is never copied.
package history

import "math/bits"

// Bounds of a Ring. Sizes outside of them are moved to the nearest.
const (
	MinBytes   = 4 << 10
	MaxBytes   = 1 << 30
	MinPackets = 16
	MaxPackets = 1 << 15 // half of the sequence numbers: a number then names one packet or none
)

// A Ring is used by one goroutine: it hands out memory that the next Reserve
// may give away again.
//
// Positions count every byte that the ring ever held, 64 bits wide; the low
// bits are where in the memory it lies. A packet is whole as long as nothing
// was reserved at or past its position plus the size of the memory.
type Ring struct {
	data  []byte
	slots []slot // by packet index

	head    uint64 // position behind the last committed packet
	start   uint64 // position of the reserved packet: head, or the next start of the memory
	room    int    // bytes reserved at start, 0 once committed
	dirty   uint64 // position behind all that was ever reserved
	newest  uint64 // index of the last committed packet
	written bool   // whether there is one
}

// slot is one packet that was committed; size is 0 where there never was one.
type slot struct {
	index    uint64
	position uint64
	size     uint32
}

// New makes a Ring that keeps the last packets, as long as they fit into that
// many bytes. Both are rounded up to powers of two. A packet's bytes are
// contiguous, so that up to one packet's length is lost where the ring wraps.
func New(bytes, packets int) *Ring {
	return &Ring{
		data:  make([]byte, power(bytes, MinBytes, MaxBytes)),
		slots: make([]slot, power(packets, MinPackets, MaxPackets)),
	}
}

// power is n moved into the bounds, which are powers of two, and rounded up to
// the next power of two.
func power(n, low, high int) int {
	n = min(max(n, low), high)
	return 1 << bits.Len(uint(n-1))
}

// Reserve gives n contiguous bytes for the next packet, to be written and
// committed before anything else is reserved; without Commit they are given
// again. What was there is lost. follows says that they lie directly behind the
// last committed packet, so that both can be one run. It returns nil unless
// 0 < n and the ring has that many bytes.
func (r *Ring) Reserve(n int) (b []byte, follows bool) {
	if n <= 0 || n > len(r.data) {
		return nil, false
	}
	offset := int(r.head & uint64(len(r.data)-1))
	r.start, follows = r.head, r.written && offset != 0
	if offset+n > len(r.data) {
		r.start, follows = r.head+uint64(len(r.data)-offset), false
		offset = 0
	}
	r.room = n
	r.dirty = max(r.dirty, r.start+uint64(n))
	return r.data[offset : offset+n : offset+n], follows
}

// Commit keeps the first n of the reserved bytes as the packet with this index
// (ROC<<16 | sequence number), which is larger than any before; gaps are fine.
// It panics when n bytes are not reserved or the index is not larger: the
// caller has lost count, and a resend would send something else.
func (r *Ring) Commit(index uint64, n int) {
	if n <= 0 || n > r.room {
		panic("history: commit of bytes that are not reserved")
	}
	if r.written && index <= r.newest {
		panic("history: index is not larger than the last")
	}
	*r.slot(index) = slot{index: index, position: r.start, size: uint32(n)}
	r.head, r.room = r.start+uint64(n), 0
	r.newest, r.written = index, true
}

// Run gives the bytes of the packets first to last, both included, as one
// slice: what the kernel cuts into segments. It is false when one of the two
// was never committed or is overwritten, or when the ring wrapped between them.
// The slice is the ring's; it is valid until Reserve gives the memory away,
// which a later Run or Get notices.
func (r *Ring) Run(first, last uint64) ([]byte, bool) {
	a, b := r.slot(first), r.slot(last)
	if first > last || !r.whole(a, first) || !r.whole(b, last) {
		return nil, false
	}
	offset := int(a.position & uint64(len(r.data)-1))
	n := int(b.position-a.position) + int(b.size)
	if offset+n > len(r.data) {
		return nil, false
	}
	return r.data[offset : offset+n : offset+n], true
}

// Get finds a packet by its sequence number, for a retransmission, and gives
// its bytes and its index. The number is taken as the nearest at or before the
// newest packet's. It is false when a single byte of the packet was
// overwritten, when the packet is not among the last, or the number was not
// sent yet. The slice is as Run's.
func (r *Ring) Get(sequence uint16) (packet []byte, index uint64, ok bool) {
	back := uint64(uint16(r.newest) - sequence)
	if back >= uint64(len(r.slots)) || back > r.newest {
		return nil, 0, false
	}
	index = r.newest - back
	packet, ok = r.Run(index, index)
	return packet, index, ok
}

func (r *Ring) slot(index uint64) *slot {
	return &r.slots[index&uint64(len(r.slots)-1)]
}

// whole says whether the slot is this packet's and no byte of it was given to
// another.
func (r *Ring) whole(s *slot, index uint64) bool {
	return s.size != 0 && s.index == index && r.dirty <= s.position+uint64(len(r.data))
}
