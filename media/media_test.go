package media

import (
	"errors"
	"math"
	"testing"
)

func TestBytesPerPixel(t *testing.T) {
	for format, want := range map[PixelFormat]int{Format0RGB1555: 2, FormatXRGB8888: 4, FormatRGB565: 2, 3: 0, -1: 0, math.MaxInt: 0} {
		if got := format.BytesPerPixel(); got != want {
			t.Errorf("format %d: %d, want %d", format, got, want)
		}
	}
}

func TestPictureCheck(t *testing.T) {
	good := func() *Picture {
		return &Picture{Format: FormatRGB565, Width: 10, Height: 4, Stride: 32, Data: make([]byte, 3*32+20)}
	}
	tests := []struct {
		name   string
		change func(*Picture)
		ok     bool
	}{
		{"last row not padded", func(*Picture) {}, true},
		{"last row padded", func(p *Picture) { p.Data = make([]byte, 4*32) }, true},
		{"no padding", func(p *Picture) { p.Stride = 20 }, true},
		{"largest", func(p *Picture) {
			*p = Picture{FormatXRGB8888, MaxWidth, MaxHeight, 4 * MaxWidth, make([]byte, 4*MaxWidth*MaxHeight)}
		}, true},
		{"one byte short", func(p *Picture) { p.Data = p.Data[1:] }, false},
		{"no data", func(p *Picture) { p.Data = nil }, false},
		{"no format", func(p *Picture) { p.Format = 3 }, false},
		{"more bytes a pixel", func(p *Picture) { p.Format = FormatXRGB8888 }, false},
		{"no width", func(p *Picture) { p.Width = 0 }, false},
		{"negative width", func(p *Picture) { p.Width = -10 }, false},
		{"no height", func(p *Picture) { p.Height = 0 }, false},
		{"negative height", func(p *Picture) { p.Height = math.MinInt }, false},
		{"too wide", func(p *Picture) { p.Width, p.Stride = MaxWidth+1, 2*MaxWidth+2 }, false},
		{"too high", func(p *Picture) { p.Height = MaxHeight + 1 }, false},
		{"narrow stride", func(p *Picture) { p.Stride = 19 }, false},
		{"negative stride", func(p *Picture) { p.Stride = -32 }, false},
		{"stride that overflows", func(p *Picture) { p.Stride = math.MaxInt/3 + 1 }, false},
		{"wide stride", func(p *Picture) { p.Height, p.Stride = 1, 16*MaxWidth*2+1 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := good()
			tt.change(p)
			err := p.Check()
			if tt.ok && err != nil || !tt.ok && !errors.Is(err, ErrPicture) {
				t.Errorf("Check of %dx%d, stride %d, %d bytes = %v, want ok %v", p.Width, p.Height, p.Stride, len(p.Data), err, tt.ok)
			}
		})
	}
}

// Each pixel of a picture that passes lies within its data.
func FuzzPictureCheck(f *testing.F) {
	f.Add(2, 10, 4, 32, 116)
	f.Add(1, math.MaxInt, 4, 32, 116)
	f.Add(0, 1, math.MaxInt, math.MaxInt, 0)
	f.Fuzz(func(t *testing.T, format, width, height, stride, size int) {
		if size < 0 || size > 1<<20 {
			return
		}
		p := &Picture{PixelFormat(format), width, height, stride, make([]byte, size)}
		if p.Check() != nil {
			return
		}
		bpp := p.Format.BytesPerPixel()
		for y := range p.Height {
			_ = p.Data[y*p.Stride:][:p.Width*bpp]
		}
	})
}
