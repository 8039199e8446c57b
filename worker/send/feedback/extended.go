package feedback

import "encoding/binary"

// Blocks of an extended report (RFC 3611 section 3).
const (
	blockHeader        = 4
	blockReferenceTime = 4  // section 4.4
	referenceTimeLen   = 12 // with its header
)

// parseExtended looks for a reference time among the blocks of an extended
// report, the first one counts; without one the packet is passed over. A block
// whose length is beyond the packet ends there, as for pion.
func (m *Message) parseExtended(body []byte) error {
	if len(body) < ssrcLen {
		return ErrMalformed
	}
	for b := body[ssrcLen:]; len(b) >= blockHeader; {
		size := min(blockHeader+4*int(binary.BigEndian.Uint16(b[2:])), len(b))
		if b[0] == blockReferenceTime && size >= referenceTimeLen {
			m.Kind, m.Sender = ReferenceTime, binary.BigEndian.Uint32(body)
			m.body = b[blockHeader:referenceTimeLen]
			return nil
		}
		b = b[size:]
	}
	return nil
}

// ReferenceTime is when a receiver sent the message, by its own clock: the middle
// 32 bits of the NTP time, which the answer repeats (RFC 3611 section 4.5). It is
// 0 for other kinds.
func (m *Message) ReferenceTime() uint32 {
	if m.Kind != ReferenceTime {
		return 0
	}
	return binary.BigEndian.Uint32(m.body[2:])
}
