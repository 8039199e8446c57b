package packetizetest

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// ErrPayload says that a payload breaks the rules of its format.
var ErrPayload = errors.New("broken payload")

// Join puts the payloads of one picture together again. What comes back equals
// Canonical of what was cut. It is strict: flags that only loosely written
// receivers would let pass are errors.
func Join(codec packetize.Codec, payloads [][]byte) ([]byte, error) {
	var data []byte
	var err error
	switch codec {
	case packetize.H264:
		data, err = joinH264(payloads)
	case packetize.VP8:
		data, err = joinVP8(payloads)
	case packetize.VP9:
		data, err = joinVP9(payloads)
	case packetize.AV1:
		data, err = joinAV1(payloads)
	case packetize.Opus:
		if len(payloads) != 1 {
			return nil, fmt.Errorf("join Opus: %w: %d payloads", ErrPayload, len(payloads))
		}
		data = append(data, payloads[0]...)
	default:
		err = packetize.ErrCodec
	}
	if err != nil {
		return nil, fmt.Errorf("join %v: %w", codec, err)
	}
	return data, nil
}

// Canonical returns a picture as Join gives it back: H.264 with 4-byte start
// codes and without delimiters and filler, AV1 with shortest sizes and without
// delimiters, tile lists and padding, all else as it is.
func Canonical(codec packetize.Codec, data []byte) ([]byte, error) {
	switch codec {
	case packetize.H264:
		var out []byte
		for _, unit := range Units(data) {
			if kind := unit[0] & 0x1f; kind != nalDelimiter && kind != nalFiller {
				out = appendUnit(out, unit)
			}
		}
		return out, nil
	case packetize.AV1:
		return canonicalAV1(data)
	default:
		return data, nil
	}
}

func appendUnit(b, unit []byte) []byte {
	b = append(b, 0, 0, 0, 1)
	return append(b, unit...)
}

// joinH264 follows RFC 6184, packetization mode 1.
func joinH264(payloads [][]byte) ([]byte, error) {
	var out, fragments []byte
	for i, p := range payloads {
		if len(p) < 2 && (len(p) == 0 || p[0]&0x1f >= 24) {
			return nil, fmt.Errorf("%w: %d is too short", ErrPayload, i)
		}
		kind := p[0] & 0x1f
		if fragments != nil && kind != 28 {
			return nil, fmt.Errorf("%w: %d interrupts a fragmented unit", ErrPayload, i)
		}
		var err error
		switch {
		case kind == 24:
			out, err = joinSTAPA(out, p)
		case kind == 28:
			out, fragments, err = joinFUA(out, fragments, p)
		case kind > 0 && kind < 24:
			out = appendUnit(out, p)
		default:
			err = fmt.Errorf("%w: type %d", ErrPayload, kind)
		}
		if err != nil {
			return nil, fmt.Errorf("payload %d: %w", i, err)
		}
	}
	if fragments != nil {
		return nil, fmt.Errorf("%w: last fragment missing", ErrPayload)
	}
	return out, nil
}

// joinSTAPA follows section 5.7.1: the header's NRI is the largest of all.
func joinSTAPA(out, p []byte) ([]byte, error) {
	var nri byte
	units := 0
	for rest := p[1:]; len(rest) > 0; units++ {
		if len(rest) < 3 || int(binary.BigEndian.Uint16(rest)) > len(rest)-2 || rest[1] == 0 && rest[0] == 0 {
			return nil, fmt.Errorf("%w: size of an aggregated unit", ErrPayload)
		}
		unit := rest[2 : 2+binary.BigEndian.Uint16(rest)]
		out = appendUnit(out, unit)
		nri = max(nri, unit[0]&0x60)
		rest = rest[2+len(unit):]
	}
	if units == 0 || p[0]&0xe0 != nri {
		return nil, fmt.Errorf("%w: STAP-A header", ErrPayload)
	}
	return out, nil
}

// joinFUA follows section 5.8: S on the first and E on the last only, never both,
// never reserved bits, the same type throughout.
func joinFUA(out, fragments, p []byte) (joined, pending []byte, err error) {
	header := p[0]&0xe0 | p[1]&0x1f
	first, last := p[1]&0x80 != 0, p[1]&0x40 != 0
	switch {
	case len(p) < 3 || first && last || p[1]&0x20 != 0 || first != (fragments == nil):
		return nil, nil, fmt.Errorf("%w: FU header %#02x", ErrPayload, p[1])
	case first:
		fragments = []byte{header}
	case fragments[0] != header:
		return nil, nil, fmt.Errorf("%w: FU of another unit", ErrPayload)
	}
	fragments = append(fragments, p[2:]...)
	if last {
		return appendUnit(out, fragments), nil, nil
	}
	return out, fragments, nil
}
