// Package media holds the types that pictures and sound have on their way from
// a core to a viewer, and the contract of the codecs. It depends on the
// standard library only; the codecs live in packages of their own below it.
package media

import (
	"errors"
	"time"
)

// PixelFormat is the layout of one pixel as a libretro core produces it
// (libretro.h, enum retro_pixel_format; the values are the same).
type PixelFormat int

// The pixel formats of libretro, native byte order.
const (
	Format0RGB1555 PixelFormat = 0 // 2 bytes a pixel, deprecated but the default of libretro
	FormatXRGB8888 PixelFormat = 1 // 4 bytes a pixel
	FormatRGB565   PixelFormat = 2 // 2 bytes a pixel
)

// BytesPerPixel is the size of a pixel, 0 for an unknown format.
func (f PixelFormat) BytesPerPixel() int {
	switch f {
	case Format0RGB1555, FormatRGB565:
		return 2
	case FormatXRGB8888:
		return 4
	}
	return 0
}

// Limits of a picture. They bound every allocation that a core's numbers lead to.
const (
	MaxWidth  = 2048 // pixels
	MaxHeight = 2048 // pixels
)

// ErrPicture says that a picture's sizes, stride, format and data do not fit together.
var ErrPicture = errors.New("media: impossible picture")

// Picture is one raw picture of a core. Data belongs to whoever made the
// picture and is valid only until the next one is asked for.
type Picture struct {
	Format PixelFormat
	Width  int // pixels, 1..MaxWidth
	Height int // pixels, 1..MaxHeight
	Stride int // bytes from one row to the next, at least Width * BytesPerPixel
	Data   []byte
}

// Check returns ErrPicture unless the picture's numbers fit its data.
// The last row need not be padded to the full stride.
func (p *Picture) Check() error {
	bpp := p.Format.BytesPerPixel()
	if bpp == 0 || p.Width < 1 || p.Height < 1 || p.Width > MaxWidth || p.Height > MaxHeight {
		return ErrPicture
	}
	row := p.Width * bpp
	if p.Stride < row || p.Stride > 16*MaxWidth*bpp || len(p.Data) < p.Stride*(p.Height-1)+row {
		return ErrPicture
	}
	return nil
}

// Rotation is how far a viewer must turn the picture counter-clockwise, in
// quarter turns 0..3 (libretro.h, RETRO_ENVIRONMENT_SET_ROTATION).
type Rotation int

// I420 is a planar 4:2:0 picture, BT.601 limited range. Width and Height are
// even. The planes belong to whoever made it.
type I420 struct {
	Width, Height             int // pixels of the luma plane
	Y, U, V                   []byte
	StrideY, StrideU, StrideV int // bytes
}

// Frame is one encoded picture.
type Frame struct {
	Data   []byte        // one access unit; H.264: Annex B with start codes, SPS and PPS before each key frame
	Key    bool          // decodable without any earlier frame
	PTS    time.Duration // ideal time of the picture on CLOCK_MONOTONIC
	Width  int           // pixels as encoded
	Height int           // pixels as encoded
}

// Packet is one encoded piece of sound.
type Packet struct {
	Data     []byte
	PTS      time.Duration // ideal time of its first sample on CLOCK_MONOTONIC
	Duration time.Duration
}

// Sound that leaves this package's resampler: what Opus in WebRTC wants (RFC 7587).
const (
	SampleRate = 48000 // Hz
	Channels   = 2     // interleaved left, right
)

// VideoConfig is what every video encoder is opened with.
type VideoConfig struct {
	Width, Height int     // pixels, even, of the encoded picture
	FPS           float64 // exact rate of the core, for rate control only
	Profile       Profile
	CRF           float64 // constant quality, 0 = the codec's default
	MaxBitrate    int     // bit/s of the VBV, 0 = the codec's default
	Library       string  // codec library to use, "" or "auto" = the best that is present
}

// Profile is the H.264 profile that all viewers of the stream can decode.
type Profile int

// Profiles in the order of what they demand of a decoder.
const (
	ProfileBaseline Profile = iota // constrained baseline, 42e01f
	ProfileMain                    // 4d001f
	ProfileHigh                    // 64001f
)

// VideoEncoder is the contract of the video codecs. It is used by one
// goroutine at a time; Close frees it and may be called twice.
type VideoEncoder interface {
	// Encode appends the access unit of pic to dst, as a key frame when asked.
	// Exactly one access unit comes back for one picture (no delay).
	Encode(dst []byte, pic *I420, key bool) (data []byte, isKey bool, err error)
	// SetMaxBitrate changes the ceiling in bit/s without a key frame.
	SetMaxBitrate(bps int) error
	Close() error
}

// AudioEncoder is the contract of the audio codecs.
type AudioEncoder interface {
	// Encode appends one packet made of pcm (interleaved, exactly one packet's
	// duration at SampleRate) to dst.
	Encode(dst []byte, pcm []int16) ([]byte, error)
	Close() error
}
