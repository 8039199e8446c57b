// Package packetizetest helps tests and benchmarks that need real pictures: it
// reads recorded streams (IVF, Annex B), has ffmpeg make short ones, and puts RTP
// payloads together again, strictly by the specifications and independent of the
// code that it checks.
package packetizetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// Clip is a recorded stream. Pictures are in decoding order, each what
// packetize.Frame.Split takes.
type Clip struct {
	Codec         packetize.Codec
	Width, Height int // pixels; 0 if the container does not say
	Rate          int // pictures per second; 0 if the container does not say
	Pictures      [][]byte
}

// ErrClip says that a recorded stream cannot be read.
var ErrClip = errors.New("not a clip")

// Sizes of the IVF container (all numbers are little-endian).
const (
	ivfHeader  = 32
	ivfPicture = 12 // size, 64-bit time stamp
)

// fourCC returns the IVF code of a codec, "" if it has none.
func fourCC(codec packetize.Codec) string {
	switch codec {
	case packetize.VP8:
		return "VP80"
	case packetize.VP9:
		return "VP90"
	case packetize.AV1:
		return "AV01"
	default:
		return ""
	}
}

// ReadIVF reads a whole IVF file of VP8, VP9 or AV1. No picture may be larger
// than packetize.MaxData.
func ReadIVF(r io.Reader) (Clip, error) {
	var head [ivfHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Clip{}, fmt.Errorf("read IVF header: %w", err)
	}
	le := binary.LittleEndian
	length := int(le.Uint16(head[6:]))
	if string(head[:4]) != "DKIF" || length < ivfHeader {
		return Clip{}, fmt.Errorf("read IVF header: %w", ErrClip)
	}
	clip := Clip{Width: int(le.Uint16(head[12:])), Height: int(le.Uint16(head[14:]))}
	for _, codec := range []packetize.Codec{packetize.VP8, packetize.VP9, packetize.AV1} {
		if string(head[8:12]) == fourCC(codec) {
			clip.Codec = codec
		}
	}
	if clip.Codec == 0 {
		return Clip{}, fmt.Errorf("read IVF of %q: %w", head[8:12], ErrClip)
	}
	if rate, scale := le.Uint32(head[16:]), le.Uint32(head[20:]); scale > 0 {
		clip.Rate = int(rate / scale)
	}
	if _, err := io.CopyN(io.Discard, r, int64(length-ivfHeader)); err != nil {
		return Clip{}, fmt.Errorf("read IVF header: %w", err)
	}
	for {
		picture, err := readIVFPicture(r)
		if errors.Is(err, io.EOF) {
			return clip, nil
		}
		if err != nil {
			return Clip{}, fmt.Errorf("read IVF picture %d: %w", len(clip.Pictures), err)
		}
		clip.Pictures = append(clip.Pictures, picture)
	}
}

// readIVFPicture returns io.EOF only at the end of a picture.
func readIVFPicture(r io.Reader) ([]byte, error) {
	var head [ivfPicture]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size > packetize.MaxData {
		return nil, fmt.Errorf("%w: %d bytes", ErrClip, size)
	}
	// Read by what is there, not by what the header promises.
	picture, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err != nil {
		return nil, err
	}
	if len(picture) < int(size) {
		return nil, io.ErrUnexpectedEOF
	}
	return picture, nil
}

// Bytes returns the clip as a file that ffmpeg reads: IVF with one time stamp per
// picture, or the Annex B byte stream.
func (c Clip) Bytes() []byte {
	code := fourCC(c.Codec)
	if code == "" {
		return bytes.Join(c.Pictures, nil)
	}
	le := binary.LittleEndian
	b := append([]byte("DKIF"), 0, 0, ivfHeader, 0)
	b = append(b, code...)
	b = le.AppendUint16(b, uint16(c.Width))
	b = le.AppendUint16(b, uint16(c.Height))
	b = le.AppendUint32(b, uint32(max(c.Rate, 1)))
	b = le.AppendUint32(b, 1)
	b = le.AppendUint32(b, uint32(len(c.Pictures)))
	b = append(b, 0, 0, 0, 0)
	for i, p := range c.Pictures {
		b = le.AppendUint32(b, uint32(len(p)))
		b = le.AppendUint64(b, uint64(i))
		b = append(b, p...)
	}
	return b
}
