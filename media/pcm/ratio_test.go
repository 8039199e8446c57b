package pcm

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/cloudretro/cloudretro/media"
)

func TestRatio(t *testing.T) {
	tests := []struct {
		rate     float64
		num, den uint32
	}{
		{8_000, 1, 6},
		{32_000, 2, 3},
		{32_040, 267, 400},
		{32_768, 256, 375},
		{44_100, 147, 160},
		{48_000, 1, 1},
		{48_000.0001, 1, 1},
		{65_536, 512, 375},
		{384_000, 8, 1},
	}
	for _, tt := range tests {
		if num, den := ratio(tt.rate, false); num != tt.num || den != tt.den {
			t.Errorf("%v Hz is %d/%d, want %d/%d", tt.rate, num, den, tt.num, tt.den)
		}
	}
}

// No fraction of a permitted denominator is better.
func TestRatioIsTheBest(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	for i := range 60 {
		rate := MinRate + random.Float64()*(MaxRate-MinRate)
		if i%2 == 0 {
			rate = MinRate + random.Float64()*(media.SampleRate-MinRate)
		}
		num, den := ratio(rate, false)
		best := math.Inf(1)
		for d := 1.0; d <= maxDenominator; d++ {
			best = min(best, math.Abs(math.Round(rate/media.SampleRate*d)/d-rate/media.SampleRate))
		}
		miss := math.Abs(float64(num)/float64(den) - rate/media.SampleRate)
		if miss > best+1e-10 {
			t.Errorf("%v Hz is %d/%d, off by %g, want %g", rate, num, den, miss, best)
		}
	}
}

// checkFraction checks what the library needs, and how good the ratio of a rate is.
func checkFraction(t *testing.T, rate float64, fine bool, bound float64) {
	t.Helper()
	num, den := ratio(rate, fine)
	if num == 0 || den == 0 || den > maxDenominator || (fine && den < fineDenominator) {
		t.Fatalf("%v Hz, fine %v: %d/%d", rate, fine, num, den)
	}
	for a, b := num, den; b != 0; a, b = b, a%b {
		if a%b == 0 && b > 1 {
			t.Errorf("%v Hz, fine %v: %d/%d is not reduced", rate, fine, num, den)
		}
	}
	if off := float64(num)/float64(den)*media.SampleRate/rate - 1; math.Abs(off) > bound {
		t.Errorf("%v Hz, fine %v: %d/%d is off by %.1f ppm", rate, fine, num, den, off*1e6)
	}
}

// Next to simple fractions there are few others.
func TestRatioNearSimpleOnes(t *testing.T) {
	for den := 1.0; den <= 12; den++ {
		for num := math.Ceil(den / 6); num <= 8*den; num++ {
			for _, ppm := range []float64{-100, -20, -10, -5, -1, -0.001, 0, 0.001, 1, 5, 10, 20, 100} {
				rate := num / den * media.SampleRate * (1 + ppm/1e6)
				if checkRate(rate) == nil {
					checkFraction(t, rate, true, 16e-6)
					checkFraction(t, rate, false, 8e-6)
				}
			}
		}
	}
}

func TestQuality(t *testing.T) {
	for rate, want := range map[float64]int{
		MinRate: 3, 15_999: 3, 16_000: 2, 32_040.5: 2, 48_000: 2, 65_536: 2, 96_000: 1, 131_072: 1, 192_000: 0, MaxRate: 0,
	} {
		if got := quality(rate); got != want {
			t.Errorf("%v Hz: quality %d, want %d", rate, got, want)
		}
	}
}

func FuzzRatio(f *testing.F) {
	for _, rate := range []float64{MinRate, 32040.5, 44100, 48000, math.Nextafter(48000, 0), MaxRate, math.NaN(), -1} {
		f.Add(rate)
	}
	f.Fuzz(func(t *testing.T, rate float64) {
		if checkRate(rate) != nil {
			return
		}
		checkFraction(t, rate, true, 16e-6)
		checkFraction(t, rate, false, 8e-6)
	})
}

func BenchmarkRatio(b *testing.B) {
	rate := 32040.5
	for b.Loop() {
		rate += 0.01
		if num, _ := ratio(rate, true); num == 0 {
			b.Fatal("nothing")
		}
		if rate > 32200 {
			rate = 31900
		}
	}
}
