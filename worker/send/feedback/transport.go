package feedback

import (
	"encoding/binary"
	"time"
)

// Units of transport-wide feedback (draft sections 3.1 and 3.1.5).
const (
	referenceUnit = 64 * time.Millisecond
	deltaUnit     = 250 * time.Microsecond
)

// Symbols of a packet's status (draft section 3.1.1).
const (
	symbolMissing = 0
	symbolSmall   = 1 // received, delta of one byte, unsigned
	symbolLarge   = 2 // received, delta of two bytes, signed
)

const chunkLen = 2

// Arrival is the fate of one packet, by its transport-wide sequence number.
type Arrival struct {
	Sequence uint16
	Received bool
	// Timed is false for a packet that did not arrive, and for the reserved symbol 3: arrived, at an unknown time.
	Timed bool
	// At is when it arrived by the receiver's clock, which begins anywhere and wraps after 12 days: only differences
	// within one message, or between neighbouring ones, mean something.
	At time.Duration
}

// Arrivals walks over the packets of a TransportCC message, in the order of
// their sequence numbers.
type Arrivals struct {
	chunks   chunks
	deltas   []byte
	sequence uint16
	at       time.Duration
}

// Arrivals starts at the first packet of transport feedback; it is empty for
// other kinds.
func (m *Message) Arrivals() Arrivals {
	if m.Kind != TransportCC {
		return Arrivals{}
	}
	return Arrivals{
		chunks:   chunks{rest: m.body[ccLen:m.deltas], left: m.Count()},
		deltas:   m.body[m.deltas:],
		sequence: binary.BigEndian.Uint16(m.body),
		at:       time.Duration(signed24(binary.BigEndian.Uint32(m.body[4:])>>8)) * referenceUnit,
	}
}

// Count is of how many packets transport feedback tells the fate; 0 for other
// kinds.
func (m *Message) Count() int {
	if m.Kind != TransportCC {
		return 0
	}
	return int(binary.BigEndian.Uint16(m.body[2:]))
}

// Feedback is the number of a transport feedback message, counted modulo 256,
// so that a lost one is noticed; 0 for other kinds.
func (m *Message) Feedback() uint8 {
	if m.Kind != TransportCC {
		return 0
	}
	return m.body[7]
}

// Next gives the next packet.
func (a *Arrivals) Next() (Arrival, bool) {
	symbol, ok := a.chunks.next()
	if !ok {
		return Arrival{}, false
	}
	arrival := Arrival{Sequence: a.sequence, Received: symbol != symbolMissing}
	a.sequence++
	switch symbol {
	case symbolSmall:
		a.at += time.Duration(a.deltas[0]) * deltaUnit
		a.deltas = a.deltas[1:]
	case symbolLarge:
		a.at += time.Duration(int16(binary.BigEndian.Uint16(a.deltas))) * deltaUnit
		a.deltas = a.deltas[2:]
	default:
		return arrival, true
	}
	arrival.Timed, arrival.At = true, a.at
	return arrival, true
}

// parseTransportCC checks that the chunks cover every packet and that each
// delta is there, and notes where the deltas begin.
func (m *Message) parseTransportCC() (count int, err error) {
	if len(m.body) < ccLen {
		return 0, ErrMalformed
	}
	count = m.Count()
	if count > MaxSequences {
		return count, nil // too many, as the Reader finds
	}
	c := chunks{rest: m.body[ccLen:], left: count}
	size := 0
	for {
		symbol, ok := c.next()
		if !ok {
			break
		}
		if symbol == symbolSmall || symbol == symbolLarge {
			size += int(symbol)
		}
	}
	m.deltas = len(m.body) - len(c.rest)
	if c.left > 0 || size > len(c.rest) {
		return count, ErrMalformed
	}
	return count, nil
}

// chunks walks over the status symbols of packet status chunks (draft sections
// 3.1.3 and 3.1.4).
type chunks struct {
	rest []byte
	left int // packets whose status is still to come

	chunk  uint16 // status vector: the symbols still to come, the next one highest
	run    int    // symbols still to come of this chunk
	width  int    // bits of a symbol; 0 = a run of the same one
	symbol uint8
}

// next gives the next packet's symbol; it is false at the end, with left > 0
// when chunks are missing.
func (c *chunks) next() (symbol uint8, ok bool) {
	if c.left == 0 {
		return 0, false
	}
	for c.run == 0 {
		if len(c.rest) < chunkLen {
			return 0, false
		}
		c.open(binary.BigEndian.Uint16(c.rest))
		c.rest = c.rest[chunkLen:]
	}
	c.left--
	c.run--
	if c.width > 0 {
		c.symbol = uint8(c.chunk >> (16 - c.width))
		c.chunk <<= c.width
	}
	return c.symbol, true
}

// open begins a chunk.
func (c *chunks) open(chunk uint16) {
	switch chunk >> 14 {
	case 0b10:
		c.chunk, c.run, c.width = chunk<<2, 14, 1
	case 0b11:
		c.chunk, c.run, c.width = chunk<<2, 7, 2
	default:
		c.run, c.width, c.symbol = int(chunk&0x1fff), 0, uint8(chunk>>13)
	}
}
