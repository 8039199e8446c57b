package packetize

import (
	"fmt"
	"math/bits"
)

// Types of an open bitstream unit (AV1 specification, section 6.2.2).
const (
	obuSequenceHeader    = 1
	obuTemporalDelimiter = 2
	obuFrameHeader       = 3
	obuFrame             = 6
	obuTileList          = 8
	obuPadding           = 15
)

// Bits of the OBU header (section 5.3.2).
const (
	obuForbidden = 0x80
	obuExtension = 0x04
	obuHasSize   = 0x02
)

// maxLEB128 is the length of the longest leb128 number (section 4.10.5).
const maxLEB128 = 8

// obu is a unit without its size field: that is what travels as an OBU element.
type obu struct {
	header  [2]byte // the second octet is the extension
	octets  int     // of the header: 1 or 2
	payload []byte
}

func (o *obu) kind() byte { return o.header[0] >> 3 & 15 }

func (o *obu) size() int { return o.octets + len(o.payload) }

// dropped says that the unit is not sent: delimiters and tile lists (AOMedia RTP
// specification, section 5), and padding, which only fills.
func (o *obu) dropped() bool {
	switch o.kind() {
	case obuTemporalDelimiter, obuTileList, obuPadding:
		return true
	default:
		return false
	}
}

// appendTo appends n octets of the element from octet at on.
func (o *obu) appendTo(b []byte, at, n int) []byte {
	if at < o.octets {
		head := o.header[at:min(o.octets, at+n)]
		b = append(b, head...)
		at, n = at+len(head), n-len(head)
	}
	at -= o.octets
	if n > 0 {
		b = append(b, o.payload[at:at+n]...)
	}
	return b
}

// nextOBU cuts off the unit at the start of data. One without a size field lasts
// to the end.
func nextOBU(data []byte) (o obu, rest []byte, err error) {
	head := data[0]
	if head&obuForbidden != 0 {
		return obu{}, nil, fmt.Errorf("%w: OBU header %#02x", ErrMalformed, head)
	}
	o.header[0], o.octets = head&^obuHasSize, 1
	data = data[1:]
	if head&obuExtension != 0 {
		if len(data) == 0 {
			return obu{}, nil, fmt.Errorf("%w: OBU extension cut short", ErrMalformed)
		}
		o.header[1], o.octets = data[0], 2
		data = data[1:]
	}
	if head&obuHasSize == 0 {
		o.payload = data
		return o, nil, nil
	}
	size, n := leb128(data)
	if n == 0 || size > uint64(len(data)-n) {
		return obu{}, nil, fmt.Errorf("%w: OBU longer than the data", ErrMalformed)
	}
	end := n + int(size)
	o.payload = data[n:end]
	return o, data[end:], nil
}

// leb128 reads a number and returns its length, 0 if there is none.
func leb128(b []byte) (v uint64, n int) {
	for n < len(b) && n < maxLEB128 {
		v |= uint64(b[n]&0x7f) << (7 * n)
		n++
		if b[n-1]&0x80 == 0 {
			return v, n
		}
	}
	return 0, 0
}

// appendLEB128 appends v in its shortest form.
func appendLEB128(b []byte, v int) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// lenLEB128 returns the length of v's shortest form.
func lenLEB128(v int) int { return (bits.Len(uint(v)|1) + 6) / 7 }

// temporalUnit is what has to be known of all units before the first payload can
// be cut.
type temporalUnit struct {
	units int  // that are sent
	bytes int  // of their elements, with the sizes that stand before them
	start bool // a coded video sequence begins here
}

// surveyAV1 walks over the headers of a temporal unit's OBUs.
func surveyAV1(data []byte) (temporalUnit, error) {
	var t temporalUnit
	var sequence, frame, still bool
	var prefix int
	for len(data) > 0 {
		o, rest, err := nextOBU(data)
		if err != nil {
			return t, err
		}
		data = rest
		if o.dropped() {
			continue
		}
		t.units++
		t.bytes += prefix + o.size()
		prefix = lenLEB128(o.size())
		switch o.kind() {
		case obuSequenceHeader:
			r := bitReader{data: o.payload}
			r.read(3)                                 // seq_profile
			sequence, still = true, r.read(2) == 0b11 // still_picture, reduced_still_picture_header
		case obuFrame, obuFrameHeader:
			if !frame {
				t.start = sequence && (still || shownKeyFrame(o.payload))
			}
			frame = true
		}
	}
	if t.units > av1MaxCount {
		t.bytes += prefix // of the last one, which has none in smaller payloads
	}
	return t, nil
}

// shownKeyFrame reads the start of a frame header (AV1 specification, section
// 5.9.2): not show_existing_frame, KEY_FRAME, show_frame. With a sequence header
// before it such a frame begins a coded video sequence (section 7.5).
func shownKeyFrame(payload []byte) bool {
	r := bitReader{data: payload}
	return !r.flag() && r.read(2) == 0 && r.flag()
}
