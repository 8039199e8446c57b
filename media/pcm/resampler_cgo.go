//go:build cgo

package pcm

/*
#include <speex/speex_resampler.h>

#cgo noescape speex_resampler_process_interleaved_int
#cgo nocallback speex_resampler_process_interleaved_int
#cgo nocallback speex_resampler_set_rate_frac
*/
import "C"

import (
	"fmt"
	"math"
	"slices"
	"time"
	"unsafe"

	"github.com/cloudretro/cloudretro/media"
)

const (
	// maxBend is how far the rate may go from where it was before the filter is
	// made anew.
	maxBend = 0.05
	// chunk is how many samples of input are given to the library at a time.
	chunk = 1 << 16
	// slack is how many more samples than the ratio says may come out of a chunk:
	// one for the fraction, the others when the filter has become shorter.
	slack = 8
)

// Resampler turns sound of any rate into sound of media.SampleRate. It is used
// by one goroutine at a time; Close frees it.
type Resampler struct {
	c        *C.SpeexResamplerState // nil once closed
	made     float64                // Hz that c was made for
	num, den uint32                 // samples of input over samples of output
	delay    time.Duration
}

// NewResampler makes a resampler for sound of inRate Hz. The error wraps
// ErrRate, or is the library's.
func NewResampler(inRate float64) (*Resampler, error) {
	if err := checkRate(inRate); err != nil {
		return nil, err
	}
	r := &Resampler{}
	if err := r.remake(inRate); err != nil {
		return nil, err
	}
	return r, nil
}

// SetInRate changes the rate of what comes in, from the next sample on. The
// sound goes on without a click, however often the rate is bent, as long as it
// stays within 5 % of where it was; further away the filter is made anew, which
// may be heard. A bend costs 5 µs. A bad rate (ErrRate) changes nothing.
func (r *Resampler) SetInRate(inRate float64) error {
	if r.c == nil {
		return ErrClosed
	}
	if err := checkRate(inRate); err != nil {
		return err
	}
	if math.Abs(inRate-r.made) > maxBend*r.made {
		return r.remake(inRate)
	}
	num, den := ratio(inRate, true)
	if num == r.num && den == r.den {
		return nil
	}
	rc := C.speex_resampler_set_rate_frac(r.c, C.spx_uint32_t(num), C.spx_uint32_t(den),
		C.spx_uint32_t(inRate), media.SampleRate)
	if rc != C.RESAMPLER_ERR_SUCCESS {
		return failure("bend resampler", rc)
	}
	r.num, r.den = num, den
	r.setDelay(inRate)
	return nil
}

// remake replaces the filter by one for another rate. What waits in the old one
// is lost, and silence takes its place: the first output sample's last tap is
// the next sample of input.
func (r *Resampler) remake(rate float64) error {
	num, den := ratio(rate, false)
	var rc C.int
	c := C.speex_resampler_init_frac(media.Channels, C.spx_uint32_t(num), C.spx_uint32_t(den),
		C.spx_uint32_t(rate), media.SampleRate, C.int(quality(rate)), &rc)
	if c == nil {
		return failure("make resampler", rc)
	}
	if r.c != nil {
		C.speex_resampler_destroy(r.c)
	}
	r.c, r.made, r.num, r.den = c, rate, num, den
	r.setDelay(rate)
	return nil
}

func (r *Resampler) setDelay(rate float64) {
	r.delay = time.Duration(float64(C.speex_resampler_get_input_latency(r.c)) / rate * float64(time.Second))
}

// failure is what the library says.
func failure(doing string, rc C.int) error {
	return fmt.Errorf("pcm: %s: %s", doing, C.GoString(C.speex_resampler_strerror(rc)))
}

// Process appends what src becomes to dst. All of src is taken; len(src) *
// media.SampleRate / rate values come out over time, within 16 in a million of
// them. An odd last value of src is ignored. A closed resampler appends nothing.
func (r *Resampler) Process(dst, src []int16) []int16 {
	for r.c != nil && len(src) >= media.Channels {
		in := C.spx_uint32_t(min(len(src)/media.Channels, chunk))
		out := C.spx_uint32_t(uint64(in)*uint64(r.den)/uint64(r.num) + slack)
		dst = slices.Grow(dst, int(out)*media.Channels)
		room := dst[len(dst):cap(dst)]
		C.speex_resampler_process_interleaved_int(r.c, (*C.spx_int16_t)(unsafe.SliceData(src)), &in,
			(*C.spx_int16_t)(unsafe.SliceData(room)), &out)
		if in == 0 && out == 0 {
			break // cannot be
		}
		src = src[int(in)*media.Channels:]
		dst = dst[:len(dst)+int(out)*media.Channels]
	}
	return dst
}

// Delay is how much later than it went in sound comes out.
func (r *Resampler) Delay() time.Duration { return r.delay }

// Close frees the resampler. It may be called twice.
func (r *Resampler) Close() error {
	if r.c != nil {
		C.speex_resampler_destroy(r.c)
		r.c = nil
	}
	return nil
}
