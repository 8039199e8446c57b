package packetize

import "fmt"

// vp8Descriptor is the size of the payload descriptor that is used here: the
// mandatory octet, one with the extension flags, two with the picture id (RFC
// 7741, section 4.2).
const vp8Descriptor = 4

// Bits of the VP8 payload descriptor.
const (
	vp8Extended  = 0x80 // X: an octet of extension flags follows
	vp8Start     = 0x10 // S: first packet of a partition
	vp8PictureID = 0x80 // I, in the extension octet: a picture id is present
	longID       = 0x80 // M, in the picture id: it has 15 bits (VP8 and VP9)
)

// splitVP8 cuts a frame. Partitions are not aligned with packets: the whole frame
// goes as partition 0 (RFC 7741, section 4.4, allows it, libwebrtc does it),
// because a viewer who lost a packet has it sent again rather than decode a part.
func (f *Frame) splitVP8(data []byte, limit int, picture uint16) error {
	if err := checkVP8(data); err != nil {
		return err
	}
	size := cut(len(data), limit-vp8Descriptor)
	flags := byte(vp8Extended | vp8Start)
	for len(data) > 0 {
		n := min(size, len(data))
		start := len(f.bytes)
		f.bytes = append(f.bytes, flags, vp8PictureID, longID|byte(picture>>8), byte(picture))
		f.bytes = append(f.bytes, data[:n]...)
		f.end(start)
		data = data[n:]
		flags = vp8Extended
	}
	return nil
}

// checkVP8 reads the uncompressed chunk at the start of a frame (RFC 6386,
// section 9.1).
func checkVP8(data []byte) error {
	if len(data) < 3 {
		return fmt.Errorf("%w: frame tag cut short", ErrMalformed)
	}
	tag := int(data[0]) | int(data[1])<<8 | int(data[2])<<16
	header := 3
	if tag&1 == 0 { // key frame
		header = 10
		if len(data) < header || data[3] != 0x9d || data[4] != 0x01 || data[5] != 0x2a {
			return fmt.Errorf("%w: key frame without start code", ErrMalformed)
		}
	}
	if first := tag >> 5; first > len(data)-header {
		return fmt.Errorf("%w: first partition longer than the frame", ErrMalformed)
	}
	return nil
}
