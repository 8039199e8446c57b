package codectest

import (
	"math"
	"math/rand/v2"

	"github.com/cloudretro/cloudretro/media"
)

// NewI420 makes a picture of one colour. Its planes have some bytes between
// the rows, as real ones have.
func NewI420(width, height int, y, u, v byte) *media.I420 {
	const gap = 32
	p := &media.I420{
		Width: width, Height: height,
		StrideY: width + gap, StrideU: width/2 + gap, StrideV: width/2 + gap,
	}
	p.Y = fill(p.StrideY*height, y)
	p.U = fill(p.StrideU*height/2, u)
	p.V = fill(p.StrideV*height/2, v)
	return p
}

func fill(n int, value byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = value
	}
	return b
}

// colour is Y, U, V.
type colour [3]byte

// Scene paints picture number n of a made-up game into p: a background of
// tiles that scrolls, and two sprites that move against it.
func Scene(p *media.I420, n int) {
	planes := [3]struct {
		data         []byte
		stride, size int // size: pixels in a sample
	}{{p.Y, p.StrideY, 1}, {p.U, p.StrideU, 2}, {p.V, p.StrideV, 2}}
	sprites := [2]colour{{40, 90, 200}, {180, 180, 90}}
	for plane, to := range planes {
		w, h := p.Width/to.size, p.Height/to.size
		for y := range h {
			row := to.data[y*to.stride:][:w]
			for x := range row {
				row[x] = tileAt(x*to.size+n, y*to.size, plane)
			}
		}
		for i, sprite := range sprites {
			left := (20 + 3*n*(i+1)) % 200
			top := p.Height/2 + int(20*math.Sin(float64(n)/9+float64(i)))
			for y := max(top, 0) / to.size; y < min(top+16, p.Height)/to.size; y++ {
				for x := left / to.size; x < min(left+16, p.Width)/to.size; x++ {
					to.data[y*to.stride+x] = sprite[plane]
				}
			}
		}
	}
}

// tileAt is the background at pixel x, y in one plane.
func tileAt(x, y, plane int) byte {
	tile := [4]colour{{60, 150, 110}, {120, 100, 140}, {90, 128, 128}, {200, 110, 150}}[(x/16*7+y/16*13)%4]
	if plane == 0 && (x%16 == 0 || y%16 == 0 || (x/4+y/4)%5 == 0) {
		return tile[0] + 30
	}
	return tile[plane]
}

// Noise paints luma noise of the given amplitude, which no encoder can
// predict, into p. Equal seeds give equal pictures.
func Noise(p *media.I420, amplitude int, seed uint64) {
	random := rand.NewPCG(seed, 1)
	for y := range p.Height {
		row := p.Y[y*p.StrideY:][:p.Width]
		for x := range row {
			row[x] = byte(128 - amplitude/2 + int(random.Uint64()>>33)%amplitude)
		}
	}
}

// PSNR is the peak signal-to-noise ratio of the luma planes in dB; +Inf for
// equal ones. Both pictures must be of one size.
func PSNR(a, b *media.I420) float64 {
	var sum float64
	for y := range a.Height {
		for x := range a.Width {
			d := float64(a.Y[y*a.StrideY+x]) - float64(b.Y[y*b.StrideY+x])
			sum += d * d
		}
	}
	return 10 * math.Log10(255*255*float64(a.Width*a.Height)/sum)
}
