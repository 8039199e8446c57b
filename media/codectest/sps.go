package codectest

import (
	"bytes"
	"errors"
)

// NAL unit types (H.264 table 7-1).
const (
	NALSlice = 1
	NALIDR   = 5
	NALSEI   = 6
	NALSPS   = 7
	NALPPS   = 8
)

// SplitAnnexB cuts an access unit into its NAL units, without start codes.
// Bytes before the first start code are left out. The units share data's memory.
func SplitAnnexB(data []byte) [][]byte {
	code := []byte{0, 0, 1}
	var units [][]byte
	for {
		start := bytes.Index(data, code)
		if start < 0 {
			return units
		}
		data = data[start+len(code):]
		end := bytes.Index(data, code)
		if end < 0 {
			end = len(data)
		}
		unit := data[:end]
		for len(unit) > 0 && unit[len(unit)-1] == 0 { // a longer start code's, or padding
			unit = unit[:len(unit)-1]
		}
		if len(unit) > 0 {
			units = append(units, unit)
		}
	}
}

// SPS is what the suite looks at in a sequence parameter set (H.264 7.3.2.1.1 and E.1.1).
type SPS struct {
	Profile, Constraints, Level byte // the three bytes of profile-level-id
	Width, Height               int  // pixels, after cropping
	RefFrames                   int
	Interlaced                  bool

	VUI                         bool
	FullRange                   bool
	Primaries, Transfer, Matrix int // 2 = unspecified
	Restriction                 bool
	ReorderFrames, DPBFrames    int // valid if Restriction
}

// ErrSPS says that a sequence parameter set is cut short or is of a kind that
// the suite does not expect from a WebRTC encoder (scaling lists, 4:4:4, HRD).
var ErrSPS = errors.New("codectest: unexpected sequence parameter set")

// ParseSPS reads a NAL unit of type NALSPS.
func ParseSPS(unit []byte) (SPS, error) {
	if len(unit) < 5 || unit[0]&31 != NALSPS {
		return SPS{}, ErrSPS
	}
	s := SPS{Profile: unit[1], Constraints: unit[2], Level: unit[3], Primaries: 2, Transfer: 2, Matrix: 2}
	r := bitReader{data: bytes.ReplaceAll(unit[4:], []byte{0, 0, 3}, []byte{0, 0})}
	r.ue() // seq_parameter_set_id
	if s.Profile >= 100 {
		s.readHigh(&r)
	}
	r.ue()          // log2_max_frame_num_minus4
	switch r.ue() { // pic_order_cnt_type
	case 0:
		r.ue() // log2_max_pic_order_cnt_lsb_minus4
	case 1:
		return SPS{}, ErrSPS // nobody uses it
	}
	s.RefFrames = r.ue()
	r.bit() // gaps_in_frame_num_value_allowed_flag
	s.readSize(&r)
	if s.VUI = r.bit(); s.VUI {
		s.readVUI(&r)
	}
	if r.failed {
		return SPS{}, ErrSPS
	}
	return s, nil
}

// readHigh reads the fields that High and above have.
func (s *SPS) readHigh(r *bitReader) {
	chroma := r.ue()
	depth := r.ue() + r.ue()
	r.bit() // qpprime_y_zero_transform_bypass_flag
	if scaling := r.bit(); chroma != 1 || depth != 0 || scaling {
		r.failed = true
	}
}

func (s *SPS) readSize(r *bitReader) {
	s.Width = 16 * (r.ue() + 1)
	s.Height = 16 * (r.ue() + 1)
	if s.Interlaced = !r.bit(); s.Interlaced {
		s.Height *= 2
		r.bit() // mb_adaptive_frame_field_flag
	}
	r.bit() // direct_8x8_inference_flag
	if r.bit() {
		s.Width -= 2 * (r.ue() + r.ue())
		s.Height -= 2 * (r.ue() + r.ue())
	}
}

func (s *SPS) readVUI(r *bitReader) {
	if r.bit() && r.bits(8) == 255 { // aspect_ratio_idc Extended_SAR
		r.bits(32)
	}
	if r.bit() { // overscan_info_present_flag
		r.bit()
	}
	if r.bit() { // video_signal_type_present_flag
		r.bits(3)
		s.FullRange = r.bit()
		if r.bit() {
			s.Primaries, s.Transfer, s.Matrix = r.bits(8), r.bits(8), r.bits(8)
		}
	}
	if r.bit() { // chroma_loc_info_present_flag
		r.ue()
		r.ue()
	}
	if r.bit() { // timing_info_present_flag
		r.bits(32)
		r.bits(32)
		r.bit()
	}
	nal, vcl := r.bit(), r.bit()
	if nal || vcl {
		r.failed = true // HRD parameters
		return
	}
	r.bit() // pic_struct_present_flag
	if s.Restriction = r.bit(); s.Restriction {
		r.bit()
		for range 4 { // max_bytes_per_pic_denom to log2_max_mv_length_vertical
			r.ue()
		}
		s.ReorderFrames, s.DPBFrames = r.ue(), r.ue()
	}
}

// bitReader reads bits, most significant first. Beyond the end it gives zeros
// and sets failed.
type bitReader struct {
	data   []byte
	pos    int // bits
	failed bool
}

func (r *bitReader) bits(n int) int {
	v := 0
	for range n {
		v <<= 1
		if r.bit() {
			v |= 1
		}
	}
	return v
}

func (r *bitReader) bit() bool {
	if r.pos/8 >= len(r.data) {
		r.failed = true
		return false
	}
	b := r.data[r.pos/8] >> (7 - r.pos%8) & 1
	r.pos++
	return b == 1
}

// ue reads an Exp-Golomb number (H.264 9.1), of at most 24 bits.
func (r *bitReader) ue() int {
	zeros := 0
	for !r.bit() {
		zeros++
		if zeros > 24 || r.failed {
			r.failed = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.bits(zeros)
}
