package pcm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cloudretro/cloudretro/media"
)

// Limits of a core's rate in Hz.
const (
	MinRate = 8_000
	MaxRate = 384_000
)

var (
	// ErrRate says that a rate is no number or is out of MinRate..MaxRate.
	ErrRate = errors.New("pcm: impossible sample rate")
	// ErrClosed says that the resampler was closed.
	ErrClosed = errors.New("pcm: resampler is closed")
)

const (
	// chunk is how many samples of input are worked on at a time.
	chunk = 1024
	// maxBend is how far the rate may be from the one that the filter was made for.
	maxBend = 0.05
)

// Resampler turns sound of any rate into sound of media.SampleRate. It is used
// by one goroutine at a time.
//
// It is our own because no library bends well: soxr's quick mode cannot change
// its rate and its variable one costs 5 to 7 ms of delay; speexdsp knows a
// changing ratio to 15 parts per million only, and takes three times the time.
type Resampler struct {
	rate     float64 // Hz of input
	made     float64 // Hz that the kernel was made for
	kernel   kernel
	position uint64 // of the next output sample's first tap in left and right, 32.32
	step     uint64 // input samples an output sample, 32.32
	left     []float32
	right    []float32
	have     int // samples in left and right
	closed   bool
}

// NewResampler makes a resampler for sound of inRate Hz. The error wraps ErrRate.
func NewResampler(inRate float64) (*Resampler, error) {
	r := &Resampler{}
	if err := r.SetInRate(inRate); err != nil {
		return nil, err
	}
	return r, nil
}

// SetInRate changes the rate of what comes in, from the next sample on. The
// sound goes on without a click, however often the rate is bent, as long as it
// stays within 5 % of where it was; further away the filter is made anew, which
// takes a millisecond or so and may be heard. A bad rate (ErrRate) changes nothing.
func (r *Resampler) SetInRate(inRate float64) error {
	if r.closed {
		return ErrClosed
	}
	if math.IsNaN(inRate) || inRate < MinRate || inRate > MaxRate {
		return fmt.Errorf("%w: %v Hz, want %d to %d", ErrRate, inRate, MinRate, MaxRate)
	}
	r.rate = inRate
	r.step = uint64(math.Round(inRate / media.SampleRate * (1 << 32)))
	if math.Abs(inRate-r.made) > maxBend*r.made {
		r.remake()
	}
	return nil
}

// remake makes the filter for the present rate. What waits in the old one is
// lost, and silence takes its place: the first output sample's last tap is the
// next sample of input.
func (r *Resampler) remake() {
	r.made = r.rate
	r.kernel = newKernel(r.rate / media.SampleRate)
	size := r.kernel.taps + chunk
	r.left, r.right = make([]float32, size), make([]float32, size)
	r.have = r.kernel.taps - 1
	r.position = 0
}

// Process appends what src becomes to dst. All of src is taken; len(src) *
// media.SampleRate / rate values come out over time, to the sample. An odd last
// value of src is ignored. A closed resampler appends nothing.
func (r *Resampler) Process(dst, src []int16) []int16 {
	if r.closed {
		return dst
	}
	for len(src) >= media.Channels {
		n := min(len(src)/media.Channels, r.take(), chunk)
		for i := range n {
			r.left[r.have+i] = float32(src[2*i])
			r.right[r.have+i] = float32(src[2*i+1])
		}
		src = src[n*media.Channels:]
		r.have += n
		dst = r.emit(dst)
	}
	return dst
}

// take makes room and returns how many samples there is room for.
func (r *Resampler) take() int {
	done := min(int(r.position>>32), r.have)
	copy(r.left, r.left[done:r.have])
	copy(r.right, r.right[done:r.have])
	r.have -= done
	r.position -= uint64(done) << 32
	return len(r.left) - r.have
}

// emit appends all the output that the samples in left and right are enough for.
func (r *Resampler) emit(dst []int16) []int16 {
	// The last output sample begins at have - taps.
	end := uint64(r.have-r.kernel.taps+1) << 32
	if r.have < r.kernel.taps || r.position >= end {
		return dst
	}
	n := int((end - r.position + r.step - 1) / r.step)
	dst = slices.Grow(dst, n*media.Channels)
	out := dst[len(dst) : len(dst)+n*media.Channels]
	convolve(&r.kernel, r.left[:r.have], r.right[:r.have], out, r.position, r.step)
	r.position += uint64(n) * r.step
	return dst[:len(dst)+len(out)]
}

// Delay is how much later than it went in sound comes out.
func (r *Resampler) Delay() time.Duration {
	return time.Duration(float64(r.kernel.taps/2) / r.rate * float64(time.Second))
}

// Close ends the resampler's use. It may be called twice.
func (r *Resampler) Close() error {
	r.closed = true
	return nil
}

// convolvePlain is what convolve does, in Go: it fills out with the samples at
// position, position + step and so on. The last one's taps end within left and right.
func convolvePlain(k *kernel, left, right []float32, out []int16, position, step uint64) {
	for i := 0; i < len(out); i += media.Channels {
		at := int(position >> 32)
		phase := int(position >> (32 - phaseBits) & (phases - 1))
		part := float32(position&(1<<(32-phaseBits)-1)) / (1 << (32 - phaseBits))
		row := k.rows[phase*k.taps:][:2*k.taps]
		l, r := left[at:][:k.taps], right[at:][:k.taps]
		var sumLeft, sumRight float32
		for j := range l {
			c := row[j] + part*(row[j+k.taps]-row[j])
			sumLeft += c * l[j]
			sumRight += c * r[j]
		}
		out[i], out[i+1] = toInt16(sumLeft), toInt16(sumRight)
		position += step
	}
}

func toInt16(v float32) int16 {
	return int16(math.Round(float64(min(max(v, math.MinInt16), math.MaxInt16))))
}
