// Package packetize cuts encoded pictures and sound into RTP payloads: H.264
// (RFC 6184, packetization mode 1), VP8 (RFC 7741), VP9 (RFC 9628), AV1 (AOMedia
// "RTP Payload Format For AV1" v1.0) and Opus (RFC 7587).
//
// It is pure: no state from one picture to the next, no I/O, no goroutine. A
// picture is cut once for all viewers of its codec. What differs from viewer to
// viewer (RTP header, extensions, protection) is not done here.
//
// The pieces of a picture have one size, and only the last one is shorter, so
// that the burst of a picture leaves as one segmented datagram (UDP_SEGMENT wants
// exactly that). Where a format forces a shorter payload in between (H.264
// parameter sets before a fragmented slice), a new run begins there.
package packetize

import (
	"errors"
	"fmt"
)

// Limits of Split.
const (
	// MaxData is the size of the largest picture that is taken, in bytes. A 4K
	// key frame of good quality has a quarter of that.
	MaxData = 4 << 20
	// MinLimit is the smallest payload limit: the longest descriptor leaves most
	// of it to the picture, and MaxData bytes stay under 65536 packets, the range
	// of RTP sequence numbers.
	MinLimit = 128
	// MaxLimit is the largest payload limit, that of a UDP datagram.
	MaxLimit = 65507
)

// What Split refuses. Errors wrap one of these.
var (
	// ErrEmpty says that there is nothing to send: no data, or only units that
	// are dropped (delimiters, filler).
	ErrEmpty = errors.New("nothing to send")
	// ErrTooLarge says that the data exceed MaxData or, for Opus, which cannot be
	// cut, the payload limit.
	ErrTooLarge = errors.New("too large")
	// ErrMalformed says that the data are not of the codec.
	ErrMalformed = errors.New("malformed")
	// ErrLimit says that the payload limit is not within MinLimit and MaxLimit.
	ErrLimit = errors.New("payload limit out of range")
	// ErrCodec says that the codec is none of those listed here.
	ErrCodec = errors.New("unknown codec")
)

// Codec is the format of an encoded picture or sound. The zero value is none.
type Codec uint8

// The codecs that Split knows.
const (
	// H264 pictures are access units as an Annex B byte stream.
	H264 Codec = iota + 1
	// VP8 pictures are frames as RFC 6386 defines them.
	VP8
	// VP9 pictures are frames or superframes of one spatial layer.
	VP9
	// AV1 pictures are temporal units in the low-overhead format (AV1
	// specification, section 5), of one spatial layer.
	AV1
	// Opus sound is one packet as RFC 6716, section 3, defines it.
	Opus
)

// String returns the encoding name that SDP uses (a=rtpmap).
func (c Codec) String() string {
	switch c {
	case H264:
		return "H264"
	case VP8:
		return "VP8"
	case VP9:
		return "VP9"
	case AV1:
		return "AV1"
	case Opus:
		return "opus"
	default:
		return fmt.Sprintf("Codec(%d)", uint8(c))
	}
}

// Frame is one picture, or one packet of sound, as RTP payloads. Its memory is
// used again by the next Split. The zero value is an empty frame that is ready
// for use. Not safe for concurrent use; several goroutines may read one frame
// while nobody splits into it.
type Frame struct {
	bytes    []byte
	payloads []span
}

// span is a payload's place in Frame.bytes.
type span struct{ start, end int }

// Split cuts data into payloads of at most limit bytes, in place of what the
// frame held before. Data are read during the call only and copied once.
//
// A limit is what a datagram leaves after IP, UDP, RTP header, extensions and
// authentication tag. Picture numbers the frames of VP8 and VP9, modulo 32768 and
// without a gap (RFC 7741, section 4.2): receivers take frame n to depend on
// frame n-1. The other codecs ignore it.
//
// After an error the frame is empty. Nothing is allocated once the frame has held
// a picture of this size.
func (f *Frame) Split(codec Codec, data []byte, limit int, picture uint16) error {
	f.bytes, f.payloads = f.bytes[:0], f.payloads[:0]
	if limit < MinLimit || limit > MaxLimit {
		return fmt.Errorf("split %v at %d bytes: %w", codec, limit, ErrLimit)
	}
	if len(data) > MaxData {
		return fmt.Errorf("split %v of %d bytes: %w", codec, len(data), ErrTooLarge)
	}
	var err error
	switch {
	case len(data) == 0:
		err = ErrEmpty
	case codec == H264:
		err = f.splitH264(data, limit)
	case codec == VP8:
		err = f.splitVP8(data, limit, picture)
	case codec == VP9:
		err = f.splitVP9(data, limit, picture)
	case codec == AV1:
		err = f.splitAV1(data, limit)
	case codec == Opus:
		err = f.splitOpus(data, limit)
	default:
		err = ErrCodec
	}
	if err == nil && len(f.payloads) == 0 {
		err = ErrEmpty
	}
	if err != nil {
		f.bytes, f.payloads = f.bytes[:0], f.payloads[:0]
		return fmt.Errorf("split %v: %w", codec, err)
	}
	return nil
}

// Len returns the number of payloads. The last one is the one whose RTP header
// gets the marker bit (video; for Opus see RFC 7587, section 4.1).
func (f *Frame) Len() int { return len(f.payloads) }

// Payload returns payload i, 0 <= i < Len. It belongs to the frame and is valid
// until the next Split; callers only read it.
func (f *Frame) Payload(i int) []byte {
	p := f.payloads[i]
	return f.bytes[p.start:p.end:p.end]
}

// end makes what was written since start one payload.
func (f *Frame) end(start int) {
	f.payloads = append(f.payloads, span{start, len(f.bytes)})
}

// cut returns the smallest size to which total bytes can be cut without needing
// more pieces than pieces of max bytes. All are equal but the last, which may be
// shorter.
func cut(total, max int) int {
	pieces := (total + max - 1) / max
	return (total + pieces - 1) / pieces
}
