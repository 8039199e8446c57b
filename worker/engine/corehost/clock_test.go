package corehost

import (
	"math"
	"math/big"
	"testing"
	"time"
)

// virtual is a clock on which nothing takes time but sleep and what a test adds.
type virtual struct{ t time.Duration }

func (v *virtual) now() time.Duration { return v.t }

func (v *virtual) sleepUntil(t time.Duration) { v.t = max(v.t, t) }

// Frames of every rate that cores announce are due at anchor + n/rate to the
// nanosecond after a day.
func TestScheduleDoesNotDrift(t *testing.T) {
	for _, fps := range []float64{59.7275, 60.0988, 50.007, 60, 59.94, 75.47, 59.72750056960583, 60.0998138974405, 50.00697796826829} {
		s := schedule{fps: fps, anchor: 12345 * time.Hour}
		day := int64(fps * 24 * 3600)
		for _, n := range []int64{1, 1000, day / 24, day} {
			s.n = n
			exact := new(big.Rat).SetInt64(n * int64(time.Second))
			exact.Quo(exact, new(big.Rat).SetFloat64(fps))
			want, _ := exact.Float64()
			if got := float64(s.at(0) - s.anchor); math.Abs(got-want) > 1 {
				t.Errorf("%g fps: frame %d is due at %.0f ns, want %.0f", fps, n, got, want)
			}
		}
	}
}

func TestScheduleGoesOnWithANewRate(t *testing.T) {
	s := schedule{fps: 60, n: 600}
	due := s.at(0)
	s.setRate(50)
	if s.at(0) != due || s.at(50) != due+time.Second {
		t.Errorf("frames at %v and %v after %v", s.at(0), s.at(50), due)
	}
	before := s
	if s.setRate(50); s != before {
		t.Error("the same rate changes something")
	}
}

func TestScheduleBehind(t *testing.T) {
	s := schedule{fps: 100}
	for late, want := range map[time.Duration]bool{
		0: false, 10 * time.Millisecond: false, 120 * time.Millisecond: false, 121 * time.Millisecond: true, time.Hour: true,
	} {
		if got := s.behind(late); got != want {
			t.Errorf("%v late: behind is %v", late, got)
		}
	}
	if s.restart(time.Hour); s.at(0) != time.Hour || s.behind(time.Hour) {
		t.Error("restart does not set the clock anew")
	}
}

func TestMonotonicClock(t *testing.T) {
	var c monotonic
	start := c.now()
	c.sleepUntil(start + 20*time.Millisecond)
	if took := c.now() - start; took < 20*time.Millisecond {
		t.Errorf("slept %v, want 20ms", took)
	}
	c.sleepUntil(start) // the past
}
