package testcard

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Watermark is what a program can read in a picture of the test card.
//
// It lies in the topmost 16 rows as two rows of 32 blocks of 8x8 pixels, white
// for 1 and black for 0, most significant bit first. The upper row is Frame.
// The lower row is Buttons (16 blocks) and a checksum (16 blocks):
// CRC-16/CCITT-FALSE (polynomial 0x1021, start 0xffff, not reflected) over the
// six bytes of Frame and Buttons, big endian.
//
// To read it from a decoded picture of any size (scale = width / 256), take for
// each block the mean luma of its middle quarter (from 2 to 6 pixels of the 8
// on both axes, times scale) and compare it with 128. In JavaScript:
//
//	// rgba: getImageData of the picture drawn at 256x240
//	const bit = i => { let s = 0; const x0 = i % 32 * 8 + 2, y0 = (i >> 5) * 8 + 2;
//	  for (let y = y0; y < y0 + 4; y++) for (let x = x0; x < x0 + 4; x++) s += rgba[(y * 256 + x) * 4 + 1];
//	  return s / 16 > 128 ? 1 : 0; };
//	let frame = 0; for (let i = 0; i < 32; i++) frame = frame * 2 + bit(i);
//	let buttons = 0; for (let i = 32; i < 48; i++) buttons = buttons * 2 + bit(i);
//	let sum = 0; for (let i = 48; i < 64; i++) sum = sum * 2 + bit(i);
//	let crc = 0xffff;
//	for (const b of [frame >>> 24, frame >>> 16, frame >>> 8, frame, buttons >>> 8, buttons]) {
//	  crc ^= (b & 255) << 8;
//	  for (let k = 0; k < 8; k++) crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xffff; }
//	if (crc !== sum) throw new Error("no watermark");
type Watermark struct {
	Frame   uint32 // number of the frame, from 0
	Buttons uint16 // what the machine saw held at port 0 in this frame
}

const (
	blockSize     = 8  // pixels of the unscaled picture
	blocksARow    = 32 //
	watermarkBits = 64
)

// ErrWatermark says that a picture carries no readable watermark.
var ErrWatermark = errors.New("no watermark in the picture")

// ReadWatermark reads the watermark in the luma plane of a picture of the test
// card that is width pixels wide, a multiple of 256; stride is in bytes.
func ReadWatermark(luma []byte, stride, width int) (Watermark, error) {
	scale := width / Width
	if scale < 1 || stride < width || len(luma) < stride*(2*blockSize*scale-1)+width {
		return Watermark{}, fmt.Errorf("%w: width %d, stride %d, %d bytes", ErrWatermark, width, stride, len(luma))
	}
	var bits uint64
	for i := range watermarkBits {
		x := (i%blocksARow*blockSize + 2) * scale
		y := (i/blocksARow*blockSize + 2) * scale
		side, sum := 4*scale, 0
		for row := y; row < y+side; row++ {
			for _, v := range luma[row*stride+x : row*stride+x+side] {
				sum += int(v)
			}
		}
		bits <<= 1
		if sum > 128*side*side {
			bits |= 1
		}
	}
	w := Watermark{Frame: uint32(bits >> 32), Buttons: uint16(bits >> 16)}
	if w.bits() != bits {
		return Watermark{}, fmt.Errorf("%w: checksum does not match", ErrWatermark)
	}
	return w, nil
}

// bits returns the watermark as it is drawn, the first block in the highest bit.
func (w Watermark) bits() uint64 {
	var b [6]byte
	binary.BigEndian.PutUint32(b[:], w.Frame)
	binary.BigEndian.PutUint16(b[4:], w.Buttons)
	return uint64(w.Frame)<<32 | uint64(w.Buttons)<<16 | uint64(crc16(b[:]))
}

func crc16(data []byte) uint16 {
	crc := uint16(0xffff)
	for _, b := range data {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

func drawWatermark(dst []byte, w Watermark) {
	bits := w.bits()
	for i := range watermarkBits {
		colour := uint32(black)
		if bits>>(watermarkBits-1-i)&1 != 0 {
			colour = white
		}
		fill(dst, i%blocksARow*blockSize, i/blocksARow*blockSize, blockSize, blockSize, colour)
	}
}
