package pcm

import (
	"fmt"
	"math"

	"github.com/cloudretro/cloudretro/media"
)

const (
	// maxDenominator is the largest one at which the library's arithmetic of 32
	// bits cannot overflow: at a change of the ratio it multiplies the position
	// between two samples of input, which counts in parts of the old denominator,
	// by the new one. Beyond, it returns an error with half of its state changed
	// (https://github.com/xiph/speexdsp/pull/55).
	maxDenominator = math.MaxUint16
	// fineDenominator is the least one of a ratio that a sound is bent to. The
	// position is rounded to a part of it, which moves the loudest tone of 1 kHz
	// by a quarter of a bit.
	fineDenominator = 1 << 14
)

// checkRate returns an error that wraps ErrRate if nothing has such a rate.
func checkRate(rate float64) error {
	if math.IsNaN(rate) || rate < MinRate || rate > MaxRate {
		return fmt.Errorf("%w: %v Hz, want %d to %d", ErrRate, rate, MinRate, MaxRate)
	}
	return nil
}

// quality is the library's for a rate. The filter is 48, 32, 16 or 8 samples of
// input long in quality 3, 2, 1 or 0, times the ratio if that is downwards: so
// it is given as much as an equal share of CPU allows. Far below 48 kHz there are
// fewer samples to delay by than a sharp filter needs, but what a lesser one
// leaves of the mirror image would be in the midst of what one hears.
func quality(rate float64) int {
	switch {
	case rate < media.SampleRate/3:
		return 3
	case rate < media.SampleRate*3/2:
		return 2
	case rate < media.SampleRate*4:
		return 1
	default:
		return 0
	}
}

// ratio is the reduced fraction that is next to rate over media.SampleRate, good
// to 8 parts in a million at worst and mostly to a thousandth of one. If fine it
// is the next one whose denominator is no less than fineDenominator, good to 16.
//
// It goes down the tree of Stern and Brocot in strides: lo and hi are always
// neighbours, as fractions of such denominators go, and lo <= rate < hi.
func ratio(rate float64, fine bool) (num, den uint32) {
	const parts = 1_000_000 // of a Hz
	type fraction struct {
		num, den int64
		miss     int64 // distance from the rate, times den
	}
	lo := fraction{0, 1, int64(math.Round(rate * parts))}
	hi := fraction{1, 0, media.SampleRate * parts}
	for lo.den+hi.den <= maxDenominator {
		n := lo.miss / hi.miss
		if hi.den > 0 {
			n = min(n, (maxDenominator-lo.den)/hi.den)
		}
		lo = fraction{lo.num + n*hi.num, lo.den + n*hi.den, lo.miss - n*hi.miss}
		n = (maxDenominator - hi.den) / lo.den
		if lo.miss > 0 {
			n = min(n, (hi.miss-1)/lo.miss)
		}
		hi = fraction{hi.num + n*lo.num, hi.den + n*lo.den, hi.miss - n*lo.miss}
	}
	best, other := lo, hi
	if hi.miss*lo.den < lo.miss*hi.den {
		best, other = hi, lo
	}
	if fine && best.den < fineDenominator {
		best = other // two neighbours have more than maxDenominator together
	}
	return uint32(best.num), uint32(best.den)
}
