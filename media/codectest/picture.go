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

// Scene paints picture number n of a made-up game into p: a background of
// tiles that scrolls, and two sprites that move against it.
func Scene(p *media.I420, n int) {
	for y := range p.Height {
		for x := range p.Width {
			p.Y[y*p.StrideY+x] = sceneAt(x, y, n, p.Height, 0)
		}
	}
	for y := range p.Height / 2 {
		for x := range p.Width / 2 {
			p.U[y*p.StrideU+x] = sceneAt(2*x, 2*y, n, p.Height, 1)
			p.V[y*p.StrideV+x] = sceneAt(2*x, 2*y, n, p.Height, 2)
		}
	}
}

// sceneAt is one sample of the made-up game: the plane's value at pixel x, y of picture n.
func sceneAt(x, y, n, height, plane int) byte {
	palette := [4][3]byte{{60, 150, 110}, {120, 100, 140}, {90, 128, 128}, {200, 110, 150}}
	sprites := [2][3]byte{{40, 90, 200}, {180, 180, 90}}
	for i, s := range sprites {
		left, top := 20+3*n*(i+1)%200, height/2+int(20*math.Sin(float64(n)/9+float64(i)))
		if x >= left && x < left+16 && y >= top && y < top+16 {
			return s[plane]
		}
	}
	x += n
	tile := palette[(x/16*7+y/16*13)%4]
	if plane == 0 && (x%16 == 0 || y%16 == 0 || (x/4+y/4)%5 == 0) {
		return tile[0] + 30
	}
	return tile[plane]
}

// Noise paints luma noise of the given amplitude, which no encoder can
// predict, into p. Equal seeds give equal pictures.
func Noise(p *media.I420, amplitude int, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	for y := range p.Height {
		row := p.Y[y*p.StrideY:][:p.Width]
		for x := range row {
			row[x] = byte(128 - amplitude/2 + random.IntN(amplitude))
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
