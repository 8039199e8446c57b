package corehost

import (
	"math"
	"time"
)

// clock is CLOCK_MONOTONIC, or a test's own.
type clock interface {
	now() time.Duration
	sleepUntil(t time.Duration)
}

// maxBehind is how many frames the machine may be late before it no longer
// tries to catch up: it was suspended, or the host is too slow for it. 200 ms at
// 60 Hz is what a busy host may take from a process now and then; no frame and
// no sound is lost by it.
const maxBehind = 12

// schedule says when frames are due. Frame n of a rate is due at anchor + n
// periods, computed anew each time, so that nothing adds up over hours.
type schedule struct {
	fps    float64
	anchor time.Duration // when frame 0 was due
	n      int64         // the next frame
}

// at is when frame s.n+ahead is due.
func (s *schedule) at(ahead int64) time.Duration {
	return s.anchor + time.Duration(math.Round(float64(s.n+ahead)*(float64(time.Second)/s.fps)))
}

func (s *schedule) period() time.Duration {
	return time.Duration(math.Round(float64(time.Second) / s.fps))
}

// setRate changes the rate from the next frame on, which stays where it is due.
func (s *schedule) setRate(fps float64) {
	if fps != s.fps {
		*s = schedule{fps: fps, anchor: s.at(0)}
	}
}

// restart makes the next frame due at t.
func (s *schedule) restart(t time.Duration) { s.anchor, s.n = t, 0 }

// behind says whether at the time now the next frame is so late that the clock
// has to be set anew.
func (s *schedule) behind(now time.Duration) bool { return now-s.at(maxBehind) > 0 }
