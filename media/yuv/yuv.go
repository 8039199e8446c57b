// Package yuv turns the pictures of a core into the planes that a video encoder
// takes: BT.601, limited range, 4:2:0, scaled by a whole number with sharp
// pixels (nearest neighbour). The arithmetic is libyuv's.
//
// At 4:2:0 four pixels share one colour, which costs small coloured details
// dearly. At scale 2 and 4 each pixel of the core has a colour sample of its own
// again; at 3 every third sample is the mean of two pixels.
package yuv

import (
	"errors"
	"fmt"

	"github.com/cloudretro/cloudretro/media"
)

// Limits of the encoded picture.
const (
	MaxScale  = 4
	MaxPixels = 1280 * 1024 // beyond it the scale is lowered
	MinSize   = 16          // pixels, width and height; smaller pictures get a border
)

var (
	// ErrConfig says that a converter cannot be made for these numbers.
	ErrConfig = errors.New("yuv: bad configuration")
	// ErrUnavailable says that the build has no cgo.
	ErrUnavailable = errors.New("yuv: this build cannot convert pictures; build it with CGO_ENABLED=1 and libyuv (on Debian: libyuv-dev)")
)

// Config is the pictures to expect and what to make of them.
type Config struct {
	Format media.PixelFormat
	Width  int // pixels of the core's picture
	Height int
	Scale  int // 1..MaxScale, wanted; FitScale tells what comes of it
}

// FitScale returns the scale at which a picture of width x height pixels is
// encoded if scale is wanted. It is lowered to 2 or 1 (3 would blur colours)
// where the encoded picture would have more than MaxPixels.
func FitScale(width, height, scale int) int {
	scale = min(max(scale, 1), MaxScale)
	for scale > 1 && !fits(width, height, scale) {
		if scale > 2 {
			scale = 2
		} else {
			scale = 1
		}
	}
	return scale
}

func fits(width, height, scale int) bool {
	w, h := width*scale, height*scale
	return w <= media.MaxWidth && h <= media.MaxHeight && w*h <= MaxPixels
}

// EncodedSize returns the size in pixels of what Convert makes of a picture of
// width x height when scale is wanted: scaled by FitScale and padded to even
// numbers and to MinSize by repeating the last column and row. It returns 0, 0
// for a picture that media.Picture does not allow.
func EncodedSize(width, height, scale int) (encodedWidth, encodedHeight int) {
	if width < 1 || height < 1 || width > media.MaxWidth || height > media.MaxHeight {
		return 0, 0
	}
	scale = FitScale(width, height, scale)
	return pad(width * scale), pad(height * scale)
}

func pad(n int) int { return max(MinSize, (n+1)&^1) }

// Converter converts pictures into planes of its own. It is used by one
// goroutine at a time and needs no closing.
type Converter struct {
	cfg   Config
	scale int // FitScale of cfg
	out   media.I420
	band  []byte // bandSize bytes
}

// bandRows is how many rows of a picture are converted at a time, so that what
// lies between the steps stays in the first-level cache. It is even, as rows
// share chroma in pairs.
const bandRows = 16

// bandSize is what the C side needs for width pixels: a band as ARGB and as
// I444, and three scaled rows.
func bandSize(width int) int { return bandRows*width*(4+3) + 3*MaxScale*width }

// New makes a converter and its planes. The error wraps ErrConfig, or is ErrUnavailable.
func New(cfg Config) (*Converter, error) {
	if err := available(); err != nil {
		return nil, err
	}
	if cfg.Scale < 1 || cfg.Scale > MaxScale {
		return nil, fmt.Errorf("%w: scale %d, want 1 to %d", ErrConfig, cfg.Scale, MaxScale)
	}
	width, _ := EncodedSize(cfg.Width, cfg.Height, cfg.Scale)
	if width == 0 || cfg.Format.BytesPerPixel() == 0 {
		return nil, fmt.Errorf("%w: %dx%d pixels of format %d", ErrConfig, cfg.Width, cfg.Height, cfg.Format)
	}
	c := &Converter{}
	c.configure(cfg)
	return c, nil
}

// configure makes the planes for a checked cfg.
func (c *Converter) configure(cfg Config) {
	const align = 64 // a cache line
	w, h := EncodedSize(cfg.Width, cfg.Height, cfg.Scale)
	luma := (w + align - 1) &^ (align - 1)
	chroma := (w/2 + align - 1) &^ (align - 1)
	planes := make([]byte, luma*h+2*chroma*(h/2))
	u, v := luma*h, luma*h+chroma*(h/2)
	c.cfg = cfg
	c.scale = FitScale(cfg.Width, cfg.Height, cfg.Scale)
	c.out = media.I420{
		Width: w, Height: h,
		Y: planes[:u:u], U: planes[u:v:v], V: planes[v:],
		StrideY: luma, StrideU: chroma, StrideV: chroma,
	}
	c.band = make([]byte, bandSize(cfg.Width))
}

// Convert converts src and returns the converter's own planes, which stay valid
// until the next call. If src is of another size or format than the last one,
// the converter makes itself new planes; the result's size then differs, too.
// The error is media.ErrPicture.
func (c *Converter) Convert(src *media.Picture) (*media.I420, error) {
	if err := src.Check(); err != nil {
		return nil, err
	}
	cfg := Config{Format: src.Format, Width: src.Width, Height: src.Height, Scale: c.cfg.Scale}
	if cfg != c.cfg {
		c.configure(cfg)
	}
	c.convert(src)
	return &c.out, nil
}
