package feedback

import (
	"encoding/binary"
	"math/bits"
)

// pairMax is how many packets one PID with its bitmask names at most.
const pairMax = 17

// Lost walks over the sequence numbers of a NACK, in the order they are named;
// one can be named twice.
type Lost struct {
	pairs []byte
	last  uint16 // the PID, or what the lowest bit of mask is one above of
	mask  uint16
}

// Lost starts at the first lost packet of a NACK; it is empty for other kinds.
func (m *Message) Lost() Lost {
	if m.Kind != NACK {
		return Lost{}
	}
	return Lost{pairs: m.body}
}

// Next gives the next sequence number.
func (l *Lost) Next() (sequence uint16, ok bool) {
	if l.mask != 0 {
		skip := bits.TrailingZeros16(l.mask) + 1
		l.mask >>= skip
		l.last += uint16(skip)
		return l.last, true
	}
	if len(l.pairs) < pairLen {
		return 0, false
	}
	l.last, l.mask = binary.BigEndian.Uint16(l.pairs), binary.BigEndian.Uint16(l.pairs[2:])
	l.pairs = l.pairs[pairLen:]
	return l.last, true
}
