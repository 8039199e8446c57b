package feedback

import "encoding/binary"

// parse fills the message from the body of an RTCP packet. known is false for
// packets that are passed over; sequences is how many sequence numbers it names.
func (m *Message) parse(kind, count byte, body []byte) (known bool, sequences int, err error) {
	switch {
	case kind == typeSenderReport:
		return true, 0, m.parseReports(int(count), infoLen, body)
	case kind == typeReceiverReport:
		return true, 0, m.parseReports(int(count), 0, body)
	case kind != typeTransport && kind != typePayload:
		return false, 0, nil
	}
	if len(body) < 2*ssrcLen {
		return false, 0, ErrMalformed
	}
	m.Sender, m.Media = binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[ssrcLen:])
	m.body = body[2*ssrcLen:]
	if kind == typeTransport {
		return m.parseTransport(count)
	}
	known, err = m.parsePayload(count)
	return known, 0, err
}

func (m *Message) parseReports(count, skip int, body []byte) error {
	from := ssrcLen + skip
	if len(body) < from+count*reportLen {
		return ErrMalformed
	}
	m.Kind, m.Sender = Reports, binary.BigEndian.Uint32(body)
	m.body = body[from : from+count*reportLen]
	return nil
}

func (m *Message) parseTransport(format byte) (known bool, sequences int, err error) {
	switch format {
	case formatNACK:
		m.Kind = NACK
		if len(m.body) == 0 || len(m.body)%pairLen != 0 {
			return true, 0, ErrMalformed
		}
		return true, len(m.body) / pairLen * pairMax, nil
	case formatTransportCC:
		m.Kind = TransportCC
		sequences, err = m.parseTransportCC()
		return true, sequences, err
	}
	return false, 0, nil
}

func (m *Message) parsePayload(format byte) (known bool, err error) {
	switch format {
	case formatPLI:
		m.Kind = PLI
		return true, nil
	case formatFIR:
		m.Kind, m.Media = FIR, 0
		if len(m.body) == 0 || len(m.body)%firLen != 0 {
			return true, ErrMalformed
		}
		return true, nil
	case formatApplication:
		if len(m.body) < ssrcLen || string(m.body[:4]) != "REMB" {
			return false, nil
		}
		m.Kind, m.Media = REMB, 0
		if len(m.body) < rembLen || len(m.body) < rembLen+ssrcLen*int(m.body[4]) {
			return true, ErrMalformed
		}
		return true, nil
	}
	return false, nil
}

// Concerns says whether the message is about this stream: a report block of it,
// its SSRC in a NACK, PLI, FIR or REMB. Transport feedback concerns the whole
// transport, hence every stream.
func (m *Message) Concerns(ssrc uint32) bool {
	switch m.Kind {
	case NACK, PLI:
		return m.Media == ssrc
	case TransportCC:
		return true
	case Reports:
		return lists(m.body, reportLen, ssrc)
	case FIR:
		return lists(m.body, firLen, ssrc)
	case REMB:
		return lists(m.body[rembLen:rembLen+ssrcLen*int(m.body[4])], ssrcLen, ssrc)
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
	word := binary.BigEndian.Uint32(m.body[4:])
	exponent, mantissa := word>>18&0x3f, uint64(word&0x3ffff)
	if rate := mantissa << exponent; rate>>exponent == mantissa {
		return rate
	}
	return 1<<64 - 1
}
