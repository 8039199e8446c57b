package feedback

import "encoding/binary"

// kindOf is the kind of an RTCP packet, 0 for one that is passed over. format
// is the low five bits of its first byte.
func kindOf(packetType, format byte) Kind {
	switch packetType {
	case typeSenderReport, typeReceiverReport:
		return Reports
	case typeTransport:
		switch format {
		case formatNACK:
			return NACK
		case formatTransportCC:
			return TransportCC
		}
	case typePayload:
		switch format {
		case formatPLI:
			return PLI
		case formatFIR:
			return FIR
		case formatApplication:
			return REMB
		}
	case typeExtended:
		return ReferenceTime
	}
	return 0
}

// parse fills the message from the body of an RTCP packet; its kind stays 0
// when the packet is passed over. sequences is how many sequence numbers it
// names.
func (m *Message) parse(packetType, count byte, body []byte) (sequences int, err error) {
	kind := kindOf(packetType, count)
	switch {
	case kind == 0:
		return 0, nil
	case kind == Reports:
		return 0, m.parseReports(packetType, int(count), body)
	case kind == ReferenceTime:
		return 0, m.parseExtended(body)
	case len(body) < 2*ssrcLen:
		return 0, ErrMalformed
	}
	m.Kind, m.Sender, m.Media = kind, binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[ssrcLen:])
	m.body = body[2*ssrcLen:]
	switch kind {
	case NACK:
		if len(m.body) == 0 || len(m.body)%pairLen != 0 {
			return 0, ErrMalformed
		}
		return len(m.body) / pairLen * pairMax, nil
	case TransportCC:
		return m.parseTransportCC()
	case FIR:
		m.Media = 0
		if len(m.body) == 0 || len(m.body)%firLen != 0 {
			return 0, ErrMalformed
		}
	case REMB:
		return 0, m.parseREMB()
	}
	return 0, nil
}

func (m *Message) parseReports(packetType byte, count int, body []byte) error {
	from := ssrcLen
	if packetType == typeSenderReport {
		from += infoLen
	}
	if len(body) < from+count*reportLen {
		return ErrMalformed
	}
	m.Kind, m.Sender = Reports, binary.BigEndian.Uint32(body)
	m.body = body[from : from+count*reportLen]
	return nil
}

// parseREMB passes over other application layer feedback, which has the same
// format (RFC 4585 section 6.4).
func (m *Message) parseREMB() error {
	if len(m.body) < rembName || string(m.body[:rembName]) != "REMB" {
		m.Kind = 0
		return nil
	}
	m.Media = 0
	if len(m.body) < rembLen || len(m.body) < rembLen+ssrcLen*int(m.body[rembName]) {
		return ErrMalformed
	}
	return nil
}

// Concerns says whether the message is about this stream: a report block of it,
// its SSRC in a NACK, PLI, FIR or REMB. Transport feedback and a reference time
// concern the whole transport, hence every stream.
func (m *Message) Concerns(ssrc uint32) bool {
	switch m.Kind {
	case NACK, PLI:
		return m.Media == ssrc
	case TransportCC, ReferenceTime:
		return true
	case Reports:
		return lists(m.body, reportLen, ssrc)
	case FIR:
		return lists(m.body, firLen, ssrc)
	case REMB:
		return lists(m.body[rembLen:rembLen+ssrcLen*int(m.body[rembName])], ssrcLen, ssrc)
	}
	return false
}

// lists says whether one of the entries of this size begins with the SSRC.
func lists(entries []byte, size int, ssrc uint32) bool {
	for ; len(entries) >= size; entries = entries[size:] {
		if binary.BigEndian.Uint32(entries) == ssrc {
			return true
		}
	}
	return false
}

// Refresh is the command number of a FIR's entry for this stream; a number seen
// before is a repetition of the same request (RFC 5104 section 4.3.1.1).
func (m *Message) Refresh(ssrc uint32) (number uint8, ok bool) {
	if m.Kind != FIR {
		return 0, false
	}
	for b := m.body; len(b) >= firLen; b = b[firLen:] {
		if binary.BigEndian.Uint32(b) == ssrc {
			return b[ssrcLen], true
		}
	}
	return 0, false
}

// Bitrate is a REMB's estimate for the streams it lists together, in bits per
// second: an 18-bit mantissa shifted by a 6-bit exponent, the largest uint64
// where that does not fit. It is 0 for other kinds.
func (m *Message) Bitrate() uint64 {
	if m.Kind != REMB {
		return 0
	}
	word := binary.BigEndian.Uint32(m.body[rembName:])
	exponent, mantissa := word>>18&0x3f, uint64(word&0x3ffff)
	if rate := mantissa << exponent; rate>>exponent == mantissa {
		return rate
	}
	return 1<<64 - 1
}
