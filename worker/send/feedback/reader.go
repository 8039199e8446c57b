// Package feedback reads the RTCP that a browser sends about the streams it
// receives: what is lost, whether a key frame is needed, how the path does. It
// reads in place and allocates nothing. The bytes come from the network: every
// length is checked, and the work that one compound packet can ask for is
// bounded.
package feedback

import (
	"encoding/binary"
	"errors"
)

// What a Reader refuses. Callers compare with errors.Is.
var (
	// ErrMalformed means that lengths, counts or the version contradict one another.
	ErrMalformed = errors.New("malformed RTCP")
	// ErrTooMany means that the compound packet names more than MaxSequences sequence numbers.
	ErrTooMany = errors.New("RTCP names too many packets")
)

// MaxSequences bounds the sequence numbers that the NACKs and the transport
// feedback of one compound packet may name, each counted: 16 bytes of feedback
// can stand for 65535 packets, and a datagram holds sixty such messages. The
// bound is three seconds of 1200-byte packets at 50 Mbit/s.
const MaxSequences = 1 << 14

// Kind is what a Message says.
type Kind uint8

// The messages that a Reader gives; all others are passed over.
const (
	Reports     Kind = iota + 1 // sender or receiver report (RFC 3550 sections 6.4.1, 6.4.2)
	NACK                        // generic NACK (RFC 4585 section 6.2.1)
	PLI                         // picture loss indication (RFC 4585 section 6.3.1)
	FIR                         // full intra request (RFC 5104 section 4.3.1)
	REMB                        // receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03)
	TransportCC                 // transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01)

	// ReferenceTime asks for an answer that lets the receiver measure the round
	// trip: receiver reference time report (RFC 3611 section 4.4).
	ReferenceTime
)

// Packet types (RFC 3550 section 12.1, RFC 4585 section 6.1, RFC 3611 section 2) and the formats of
// feedback messages that belong to them.
const (
	typeSenderReport   = 200
	typeReceiverReport = 201
	typeTransport      = 205
	typePayload        = 206
	typeExtended       = 207

	formatNACK        = 1
	formatTransportCC = 15
	formatPLI         = 1
	formatFIR         = 4
	formatApplication = 15
)

// Lengths in bytes.
const (
	headerLen = 4
	ssrcLen   = 4
	infoLen   = 20 // sender info (RFC 3550 section 6.4.1)
	reportLen = 24 // report block (RFC 3550 section 6.4.1)
	pairLen   = 4  // PID and BLP
	firLen    = 8
	rembName  = 4 // "REMB"
	rembLen   = 8 // name, count, exponent and mantissa
	ccLen     = 8 // base, count, reference time, feedback count
)

// A Message is one RTCP packet of a compound packet. Its bytes were checked:
// what its methods return cannot fail. It refers to the Reader's bytes.
type Message struct {
	Kind   Kind
	Sender uint32 // SSRC of who sends the message
	Media  uint32 // SSRC it is about, for NACK, PLI and TransportCC; 0 in the others, which list SSRCs inside

	body   []byte // behind the SSRCs, without padding
	deltas int    // TransportCC: where in body the receive deltas begin
}

// A Reader walks over the messages of one compound packet, of full or of
// reduced size (RFC 5506), already decrypted. It is a value for one goroutine:
//
//	r := feedback.Read(b)
//	for r.Next() {
//		switch r.Message.Kind { ... }
//	}
//	if r.Err() != nil { ... }
//
// A message is given when it is found whole; what stands behind a malformed one
// is not looked at.
type Reader struct {
	Message Message // the current one, after Next returned true

	rest []byte
	left int // sequence numbers that may still be named
	err  error
}

// Read starts at the first message of the compound packet b, which the Reader
// only reads.
func Read(b []byte) Reader {
	r := Reader{rest: b, left: MaxSequences}
	if len(b) == 0 {
		r.err = ErrMalformed
	}
	return r
}

// Err is why Next returned false: nil at the end of the packet.
func (r *Reader) Err() error { return r.err }

// Next goes to the next message of a known kind.
func (r *Reader) Next() bool {
	for r.err == nil && len(r.rest) > 0 {
		if r.step() {
			return true
		}
	}
	return false
}

// step takes one RTCP packet off the rest. It returns false for one that is
// malformed or of no interest.
func (r *Reader) step() bool {
	if len(r.rest) < headerLen || r.rest[0]>>6 != 2 {
		r.err = ErrMalformed
		return false
	}
	size := headerLen + 4*int(binary.BigEndian.Uint16(r.rest[2:]))
	if size > len(r.rest) {
		r.err = ErrMalformed
		return false
	}
	packet := r.rest[:size]
	r.rest = r.rest[size:]
	body, ok := unpad(packet)
	if !ok {
		r.err = ErrMalformed
		return false
	}
	r.Message = Message{}
	sequences, err := r.Message.parse(packet[1], packet[0]&0x1f, body)
	r.left -= sequences
	if err == nil && r.left < 0 {
		err = ErrTooMany
	}
	r.err = err
	return err == nil && r.Message.Kind != 0
}

// unpad gives what stands between a packet's header and its padding, whose last
// byte is its length (RFC 3550 section 6.4.1). That it be a multiple of four is
// not asked for: libwebrtc pads transport feedback to the next word.
func unpad(packet []byte) ([]byte, bool) {
	body := packet[headerLen:]
	if packet[0]&0x20 == 0 {
		return body, true
	}
	if len(body) == 0 {
		return nil, false
	}
	n := int(body[len(body)-1])
	if n == 0 || n > len(body) {
		return nil, false
	}
	return body[:len(body)-n], true
}
