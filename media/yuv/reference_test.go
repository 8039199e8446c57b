package yuv

import (
	"encoding/binary"
	"math"

	"github.com/cloudretro/cloudretro/media"
)

// reference is Convert, slow and plain: each encoded sample asks the source
// pixels that it covers.
func reference(src *media.Picture, scale int) *media.I420 {
	w, h := EncodedSize(src.Width, src.Height, scale)
	scale = FitScale(src.Width, src.Height, scale)
	out := &media.I420{
		Width: w, Height: h, StrideY: w, StrideU: w / 2, StrideV: w / 2,
		Y: make([]byte, w*h), U: make([]byte, w*h/4), V: make([]byte, w*h/4),
	}
	at := func(x, y int) rgb { // of the scaled picture, its edge repeated
		return pixel(src, min(x/scale, src.Width-1), min(y/scale, src.Height-1))
	}
	for y := range h {
		for x := range w {
			out.Y[y*w+x] = round(at(x, y).y())
		}
	}
	for y := range h / 2 {
		for x := range w / 2 {
			var u, v float64
			for _, d := range [4][2]int{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
				// Beyond the edge of the picture the last chroma sample is repeated.
				left := min(2*x, (src.Width*scale+1)/2*2-2)
				top := min(2*y, (src.Height*scale+1)/2*2-2)
				p := at(left+d[0], top+d[1])
				u, v = u+p.u()/4, v+p.v()/4
			}
			out.U[y*w/2+x], out.V[y*w/2+x] = round(u), round(v)
		}
	}
	return out
}

func round(f float64) byte { return byte(math.Round(f)) }

type rgb struct{ r, g, b float64 }

// ITU-R BT.601, limited range.
func (p rgb) y() float64 { return 16 + (65.738*p.r+129.057*p.g+25.064*p.b)/256 }
func (p rgb) u() float64 { return 128 + (-37.945*p.r-74.494*p.g+112.439*p.b)/256 }
func (p rgb) v() float64 { return 128 + (112.439*p.r-94.154*p.g-18.285*p.b)/256 }

func pixel(src *media.Picture, x, y int) rgb {
	data := src.Data[y*src.Stride+x*src.Format.BytesPerPixel():]
	if src.Format == media.FormatXRGB8888 {
		return rgb{float64(data[2]), float64(data[1]), float64(data[0])}
	}
	v := binary.LittleEndian.Uint16(data)
	if src.Format == media.FormatRGB565 {
		return rgb{widen(v>>11, 5), widen(v>>5&63, 6), widen(v&31, 5)}
	}
	return rgb{widen(v>>10&31, 5), widen(v>>5&31, 5), widen(v&31, 5)}
}

// widen makes eight bits of the given number of bits, as all renderers do: the top bits again below.
func widen(v uint16, bits int) float64 { return float64(v<<(8-bits) | v>>(2*bits-8)) }
