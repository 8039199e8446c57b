package pcm

import "math"

// The filter of the resampler is a sinc in a Kaiser window, tabulated at phases
// between two samples; between two phases it is interpolated.
const (
	phaseBits = 7
	phases    = 1 << phaseBits // linear interpolation between them is good for 80 dB
	baseTaps  = 32             // input samples in an output sample, upwards
	cutoff    = 0.91           // middle of the slope, as part of the lower Nyquist frequency
	kaiser    = 6.2            // 65 dB where it stops
)

// kernel is a tabulated filter: phases+1 rows of taps coefficients. Row p is for
// an output sample p/phases of the way from one input sample to the next.
type kernel struct {
	taps int // a multiple of 4
	rows []float32
}

// newKernel makes the filter for ratio input samples an output sample. Downwards
// it has to cut off earlier and grows in proportion.
func newKernel(ratio float64) kernel {
	stretch := max(ratio, 1)
	k := kernel{taps: int(math.Ceil(baseTaps*stretch/4)) * 4}
	k.rows = make([]float32, (phases+1)*k.taps)
	row := make([]float64, k.taps)
	for p := range phases + 1 {
		sum := 0.0
		for i := range row {
			d := float64(i-k.taps/2+1) - float64(p)/phases
			row[i] = sinc(d*cutoff/stretch) * window(d/(float64(k.taps)/2))
			sum += row[i]
		}
		for i, c := range row {
			k.rows[p*k.taps+i] = float32(c / sum) // a constant stays what it is
		}
	}
	return k
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// window is the Kaiser window from -1 to 1.
func window(x float64) float64 {
	if x*x >= 1 {
		return 0
	}
	return bessel0(kaiser * math.Sqrt(1-x*x))
}

// bessel0 is the modified Bessel function of order 0, but for x not far from 0.
func bessel0(x float64) float64 {
	sum, term := 1.0, 1.0
	for i := 1.0; term > sum*1e-12; i++ {
		term *= x / 2 / i * (x / 2 / i)
		sum += term
	}
	return sum
}
