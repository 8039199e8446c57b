package packetize

import "fmt"

// Bits of the first octet of the VP9 payload descriptor (RFC 9628, section 4.2).
const (
	vp9PictureID    = 0x80 // I: picture id present
	vp9Predicted    = 0x40 // P: inter-picture predicted
	vp9Begin        = 0x08 // B: start of a frame
	vp9End          = 0x04 // E: end of a frame
	vp9Structure    = 0x02 // V: scalability structure present
	vp9NotReference = 0x01 // Z: not a reference for upper spatial layers
)

// Sizes of the parts of the descriptor that are used here.
const (
	vp9Descriptor    = 3 // first octet and 15-bit picture id
	vp9StructureSize = 5 // one octet, width and height of the one layer
)

// vp9Resolution is the scalability structure's first octet: one spatial layer
// (N_S = 0), its resolution follows (Y), no picture group (G).
const vp9Resolution = 0x10

// vp9SyncCode follows the profile and flags of a key frame (VP9 bitstream
// specification, section 7.2).
const vp9SyncCode = 0x498342

// splitVP9 cuts a frame or a superframe (hidden frames and the one that is shown;
// receivers hand it to the decoder as one piece) in non-flexible mode without
// layer indices. That is all that one spatial and one temporal layer need, and
// receivers then order by picture id alone; flexible mode would name for each
// frame the pictures it refers to, which is known to the encoder only. Key frames
// carry a scalability structure with their size in the first packet.
func (f *Frame) splitVP9(data []byte, limit int, picture uint16) error {
	head, err := parseVP9(data)
	if err != nil {
		return err
	}
	flags := byte(vp9PictureID | vp9Begin | vp9NotReference)
	structure := 0
	if head.key {
		flags |= vp9Structure
		structure = vp9StructureSize
	} else {
		flags |= vp9Predicted
	}
	size := cut(structure+len(data), limit-vp9Descriptor)
	for len(data) > 0 {
		n := min(size-structure, len(data))
		if n == len(data) {
			flags |= vp9End
		}
		start := len(f.bytes)
		f.bytes = append(f.bytes, flags, longID|byte(picture>>8), byte(picture))
		if structure > 0 {
			f.bytes = append(f.bytes, vp9Resolution, byte(head.width>>8), byte(head.width),
				byte(head.height>>8), byte(head.height))
		}
		f.bytes = append(f.bytes, data[:n]...)
		f.end(start)
		data = data[n:]
		flags &^= vp9Begin | vp9Structure
		structure = 0
	}
	return nil
}

// vp9Header is what the descriptor needs of a frame's uncompressed header. Width
// and height, in pixels, are set for key frames only.
type vp9Header struct {
	key           bool
	width, height uint32
}

// parseVP9 reads the start of the uncompressed header (VP9 bitstream
// specification, section 6.2) of a frame, or of the first frame of a superframe.
//
// Intra-only frames and repetitions (show_existing_frame) count as predicted:
// receivers take a picture that is not for one to begin with, and the frames
// behind these may refer to what came before.
func parseVP9(data []byte) (vp9Header, error) {
	r := bitReader{data: data}
	marker := r.read(2)
	profile := r.read(1) | r.read(1)<<1
	if marker != 2 || profile == 3 && r.flag() {
		return vp9Header{}, fmt.Errorf("%w: VP9 frame marker or profile", ErrMalformed)
	}
	if r.flag() { // show_existing_frame
		return vp9Header{}, nil
	}
	key := !r.flag()
	r.read(2) // show_frame, error_resilient_mode
	if r.short {
		return vp9Header{}, fmt.Errorf("%w: VP9 header cut short", ErrMalformed)
	}
	if !key {
		return vp9Header{}, nil
	}
	if r.read(24) != vp9SyncCode || !skipColour(&r, profile) {
		return vp9Header{}, fmt.Errorf("%w: VP9 key frame header", ErrMalformed)
	}
	head := vp9Header{key: true, width: r.read(16) + 1, height: r.read(16) + 1}
	if r.short || head.width > 0xffff || head.height > 0xffff {
		return vp9Header{}, fmt.Errorf("%w: VP9 frame size", ErrMalformed)
	}
	return head, nil
}

// skipColour reads color_config (section 6.2.2) and says whether the profile
// allows it.
func skipColour(r *bitReader, profile uint32) bool {
	const rgb = 7
	if profile >= 2 {
		r.read(1) // 10 or 12 bit
	}
	subsampled := profile == 0 || profile == 2 // always 4:2:0
	if r.read(3) == rgb {
		r.read(1) // reserved
		return !subsampled
	}
	r.read(1) // color_range
	if !subsampled {
		r.read(3) // subsampling_x, subsampling_y, reserved
	}
	return true
}
