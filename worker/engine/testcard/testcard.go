// Package testcard is a machine that needs no core and no game: a moving
// picture, a tone, and everything a player does shown on it. It is the
// reference for latency and correctness of the whole chain, since every
// picture carries a watermark that a program can read (see Watermark).
//
// From top to bottom the picture shows the watermark, colour bars, an edge that
// moves two pixels a frame, the frame number, and for each port a row with the
// sixteen buttons in libretro's order and the four axes. While A of any port is
// held everything but the watermark is white.
//
// The tone is 440 Hz on the left and 660 Hz on the right.
package testcard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/shm"
)

// What the machine is. It makes exactly SampleRate/FPS samples a frame.
const (
	Name       = "Test card"
	Width      = 256   // pixels
	Height     = 240   // pixels
	FPS        = 60    // frames per second
	SampleRate = 48000 // Hz
)

const (
	bytesPerPixel  = 4
	stride         = Width * bytesPerPixel
	samplesAFrame  = SampleRate / FPS
	leftHz         = 440
	rightHz        = 660
	toneLevel      = 0.1           // of full scale, -20 dB
	tableSize      = 2400          // samples after which both tones begin again
	buttonA        = 1 << 8        // RETRO_DEVICE_ID_JOYPAD_A
	stateSize      = 8             // bytes: stateMagic, counter
	stateMagic     = 0x54435231    // "TCR1"
	edgeSpeed      = 2             // pixels a frame
	white          = 0xffffff      // 0xRRGGBB
	black          = 0x000000      //
	grey           = 0x303030      // what is not lit
	dimmedAxis     = 0x203050      // background of an axis
	lit            = 0xffd020      // a button held
	axisColour     = 0x40ff60      // deflection of an axis
	barsTop        = 2 * blockSize //
	edgeTop        = 104
	edgeHeight     = 16
	numberTop      = 124
	inputTop       = 144
	inputRowHeight = 12
)

// ErrState says that a state is not one of the test card.
var ErrState = errors.New("not a state of the test card")

// Card is the machine. It is used by one goroutine at a time.
type Card struct {
	counter    uint32
	pixels     []byte
	background []byte // colour bars
	blank      []byte // white
	tones      []int16
	sound      []int16
	picture    media.Picture
}

// New returns a test card before its first frame.
func New() *Card {
	c := &Card{
		pixels:     make([]byte, stride*Height),
		background: make([]byte, stride*Height),
		blank:      make([]byte, stride*Height),
		tones:      make([]int16, tableSize*media.Channels),
		sound:      make([]int16, samplesAFrame*media.Channels),
	}
	c.picture = media.Picture{Format: media.FormatXRGB8888, Width: Width, Height: Height, Stride: stride, Data: c.pixels}
	drawBackground(c.background)
	fill(c.blank, 0, 0, Width, Height, white)
	for i := range tableSize {
		t := 2 * math.Pi * float64(i) / SampleRate
		c.tones[2*i] = int16(toneLevel * math.MaxInt16 * math.Sin(leftHz*t))
		c.tones[2*i+1] = int16(toneLevel * math.MaxInt16 * math.Sin(rightHz*t))
	}
	return c
}

// Step runs one frame with the given controllers. The picture and the sound
// (interleaved, left first) are valid until the next call.
func (c *Card) Step(pads *[shm.Ports]shm.Pad) (*media.Picture, []int16) {
	var held uint16
	for i := range pads {
		held |= pads[i].Buttons
	}
	if held&buttonA != 0 {
		copy(c.pixels, c.blank)
	} else {
		copy(c.pixels, c.background)
		c.drawEdge()
		drawNumber(c.pixels, c.counter)
		for port := range pads {
			drawPad(c.pixels, inputTop+port*inputRowHeight, &pads[port])
		}
	}
	drawWatermark(c.pixels, Watermark{Frame: c.counter, Buttons: pads[0].Buttons})
	from := int(c.counter%(tableSize/samplesAFrame)) * samplesAFrame * media.Channels
	copy(c.sound, c.tones[from:])
	c.counter++
	return &c.picture, c.sound
}

// Counter is the number of the next frame.
func (c *Card) Counter() uint32 { return c.counter }

// Serialize writes the state of the machine to dst and returns its length.
func (c *Card) Serialize(dst []byte) (int, error) {
	if len(dst) < stateSize {
		return 0, fmt.Errorf("%w: it takes %d bytes, the buffer has %d", ErrState, stateSize, len(dst))
	}
	binary.LittleEndian.PutUint32(dst, stateMagic)
	binary.LittleEndian.PutUint32(dst[4:], c.counter)
	return stateSize, nil
}

// Unserialize brings the machine to a state that Serialize wrote.
func (c *Card) Unserialize(src []byte) error {
	if len(src) != stateSize || binary.LittleEndian.Uint32(src) != stateMagic {
		return ErrState
	}
	c.counter = binary.LittleEndian.Uint32(src[4:])
	return nil
}

func (c *Card) drawEdge() {
	edge := int(c.counter%(Width/edgeSpeed)) * edgeSpeed
	fill(c.pixels, 0, edgeTop, edge, edgeHeight, white)
	fill(c.pixels, edge, edgeTop, Width-edge, edgeHeight, black)
}

func drawBackground(dst []byte) {
	bars := [8]uint32{0xc0c0c0, 0xc0c000, 0x00c0c0, 0x00c000, 0xc000c0, 0xc00000, 0x0000c0, 0x101010}
	for i, colour := range bars {
		fill(dst, i*Width/len(bars), barsTop, Width/len(bars), edgeTop-barsTop, colour)
	}
	for port := range shm.Ports {
		drawPad(dst, inputTop+port*inputRowHeight, nil)
	}
}

// drawPad draws the row of a port; nil draws it with nothing held.
func drawPad(dst []byte, y int, p *shm.Pad) {
	const boxPitch, boxSize, axesLeft, axisPitch, axisWidth = 9, 8, 150, 26, 24
	if p == nil {
		p = &shm.Pad{}
		for b := range 16 {
			fill(dst, 2+b*boxPitch, y, boxSize, inputRowHeight-2, grey)
		}
		for a := range 4 {
			fill(dst, axesLeft+a*axisPitch, y, axisWidth, inputRowHeight-2, dimmedAxis)
		}
	}
	for b := range 16 {
		if p.Buttons&(1<<b) != 0 {
			fill(dst, 2+b*boxPitch, y, boxSize, inputRowHeight-2, lit)
		}
	}
	for a, v := range [4]int16{p.LX, p.LY, p.RX, p.RY} {
		middle := axesLeft + a*axisPitch + axisWidth/2
		length := int(v) * (axisWidth / 2) / math.MaxInt16
		length = max(length, -axisWidth/2)
		fill(dst, middle+min(length, 0), y, max(length, -length), inputRowHeight-2, axisColour)
		fill(dst, middle, y, 1, inputRowHeight-2, white)
	}
}

// fill paints a rectangle that lies within the picture.
func fill(dst []byte, x, y, w, h int, colour uint32) {
	if w <= 0 || h <= 0 {
		return
	}
	first := dst[y*stride+x*bytesPerPixel:][:w*bytesPerPixel]
	binary.NativeEndian.PutUint32(first, colour)
	for done := bytesPerPixel; done < len(first); done *= 2 {
		copy(first[done:], first[:done])
	}
	for row := y + 1; row < y+h; row++ {
		copy(dst[row*stride+x*bytesPerPixel:], first)
	}
}

// drawNumber writes n with leading zeros.
func drawNumber(dst []byte, n uint32) {
	const digits, pixel, advance = 10, 2, 12
	for i := digits - 1; i >= 0; i-- {
		drawDigit(dst, 8+i*advance, numberTop, pixel, int(n%10))
		n /= 10
	}
}

// drawDigit draws a digit of 5x7 square dots of the given size.
func drawDigit(dst []byte, x, y, size, digit int) {
	const dots = "" + // five columns by seven rows a digit
		"01110100011001110101110011000101110" + "00100011000010000100001000010001110" +
		"01110100010000100010001000100011111" + "11111000100010000010000011000101110" +
		"00010001100101010010111110001000010" + "11111100001111000001000011000101110" +
		"00110010001000011110100011000101110" + "11111000010001000100010000100001000" +
		"01110100011000101110100011000101110" + "01110100011000101111000010001001100"
	for i := range 35 {
		if dots[digit*35+i] == '1' {
			fill(dst, x+i%5*size, y+i/5*size, size, size, white)
		}
	}
}
