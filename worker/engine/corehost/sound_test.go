package corehost

import (
	"math"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/media/pcm"
)

// simulation runs a soundtrack against a machine's ticks.
type simulation struct {
	fps     float64
	says    float64            // rate the machine announces
	samples func(tick int) int // it makes in a frame
	length  time.Duration
}

// result is what came out of a simulation.
type result struct {
	*soundtrack
	packets    int
	ticks      int
	lateGlitch time.Duration // when silence was last inserted or sound dropped
	worst      float64       // largest deviation after the first 30 s, samples at 48 kHz
}

func (sim simulation) run(t *testing.T) result {
	t.Helper()
	s := newSoundtrack(&linear{rate: sim.says}, 10*time.Millisecond)
	clock := schedule{fps: sim.fps, anchor: time.Hour}
	s.begin(clock.at(0))
	r := result{soundtrack: s}
	source := make([]int16, 1<<16)
	last := clock.at(0) - 10*time.Millisecond
	for clock.at(0)-time.Hour < sim.length {
		began, end := clock.at(0), clock.at(1)
		glitches := s.silence + s.dropped
		if err := s.push(source[:sim.samples(r.ticks)*media.Channels], sim.says, end-began); err != nil {
			t.Fatal(err)
		}
		for {
			pcm, pts, ok := s.next(end)
			if !ok {
				break
			}
			if d := pts - last - 10*time.Millisecond; len(pcm) != 960 || d < -1 || d > 1 {
				t.Fatalf("packet %d: %d values at %v after %v", r.packets, len(pcm), pts, last)
			}
			last = pts
			r.packets++
		}
		s.settle(end, end-began)
		if s.silence+s.dropped != glitches {
			r.lateGlitch = end - time.Hour
		}
		if began-time.Hour > 30*time.Second {
			r.worst = max(r.worst, math.Abs(s.deviation-s.margin))
		}
		clock.n++
		r.ticks++
	}
	return r
}

// steady makes perFrame samples a frame on average, as even as can be.
func steady(perFrame float64) func(int) int {
	return func(n int) int { return int(perFrame*float64(n+1)) - int(perFrame*float64(n)) }
}

// inBursts makes the samples of every frames frames at once.
func inBursts(perFrame float64, frames int) func(int) int {
	even := steady(perFrame * float64(frames))
	return func(n int) int {
		if n%frames != frames-1 {
			return 0
		}
		return even(n / frames)
	}
}

// Machines that are at most half a percent off their word: not one sample is
// inserted or dropped once they run, whatever the rates.
func TestSoundOfMachinesThatAreAboutRight(t *testing.T) {
	const settled = 20 * time.Second // bursts show only one after the other how large they are
	tests := map[string]simulation{
		"exact":            {fps: 60, says: 48000, samples: steady(800)},
		"nestopia":         {fps: 60.0988, says: 48000, samples: steady(800)},
		"gambatte":         {fps: 59.7275, says: 32768, samples: steady(32768 / 59.7275)},
		"mgba":             {fps: 59.7275, says: 65536, samples: steady(65536 / 59.7275)},
		"snes":             {fps: 60.0988, says: 32040.5, samples: steady(32040.5 / 60.0988)},
		"pal":              {fps: 50.007, says: 44100, samples: steady(882)},
		"0.4 % too slow":   {fps: 60, says: 44100, samples: steady(735 * 0.996)},
		"0.4 % too fast":   {fps: 60, says: 44100, samples: steady(735 * 1.004)},
		"in bursts of two": {fps: 60, says: 48000, samples: inBursts(800, 2)},
		"in bursts of 512": {fps: 59.7275, says: 32768, samples: chunks(32768/59.7275, 512)},
		"slow pictures":    {fps: 15, says: 22050, samples: steady(1470)},
	}
	for name, sim := range tests {
		t.Run(name, func(t *testing.T) {
			sim.length = 3 * time.Minute
			r := sim.run(t)
			if r.lateGlitch > settled {
				t.Errorf("glitch at %v: %d silent, %d dropped samples", r.lateGlitch, r.silence, r.dropped)
			}
			if r.worst > maxMargin {
				t.Errorf("deviation of %.0f samples", r.worst)
			}
			r.checkCount(t)
		})
	}
}

// chunks hands samples out in whole chunks only.
func chunks(perFrame float64, size int) func(int) int {
	return func(n int) int {
		return int(perFrame*float64(n+1))/size*size - int(perFrame*float64(n))/size*size
	}
}

// checkCount checks that there are exactly 100 packets a second of the ticks.
func (r *result) checkCount(t *testing.T) {
	t.Helper()
	end := r.pts(0) - time.Hour
	if want := int(end / (10 * time.Millisecond)); r.packets < want-1 || r.packets > want+1 {
		t.Errorf("%d packets until %v", r.packets, end)
	}
}

func TestSoundOfSilentMachine(t *testing.T) {
	r := simulation{fps: 60, says: 48000, length: time.Minute, samples: func(int) int { return 0 }}.run(t)
	r.checkCount(t)
	if r.silence < 47*60*1000 || r.dropped != 0 || r.margin != firstMargin {
		t.Errorf("%d silent, %d dropped, margin %.0f", r.silence, r.dropped, r.margin)
	}
}

func TestSoundThatComesAndGoes(t *testing.T) {
	r := simulation{fps: 60, says: 48000, length: time.Minute, samples: func(n int) int {
		if n/300%2 == 0 { // five seconds each
			return 0
		}
		return 800
	}}.run(t)
	r.checkCount(t)
	// Half the time is silent; each of the six beginnings fills the reserve, each end drains it.
	if half := uint64(48000 * 30); r.silence < half-6*maxMargin || r.silence > half+6*2*maxMargin || r.dropped > 6*maxMargin {
		t.Errorf("%d silent, %d dropped", r.silence, r.dropped)
	}
	if r.margin > firstMargin {
		t.Errorf("pauses made the margin %.0f", r.margin)
	}
}

// Machines that are far off are cut to the timeline, and counted.
func TestSoundOfLiars(t *testing.T) {
	fast := simulation{fps: 60, says: 48000, length: time.Minute, samples: steady(800 * 1.05)}.run(t)
	fast.checkCount(t)
	// 5 % too many, of which the bend takes half a percent.
	if want := 0.045 * 48000 * 60; float64(fast.dropped) < want*0.8 || float64(fast.dropped) > want*1.2 {
		t.Errorf("%d dropped, want about %.0f", fast.dropped, want)
	}
	if fast.buffered() > maxMargin+maxSurplus+2000 {
		t.Errorf("%d samples wait", fast.buffered())
	}
	slow := simulation{fps: 60, says: 48000, length: time.Minute, samples: steady(800 * 0.95)}.run(t)
	slow.checkCount(t)
	if want := 0.045 * 48000 * 60; float64(slow.silence) < want*0.8 || float64(slow.silence) > want*1.2 {
		t.Errorf("%d silent, want about %.0f", slow.silence, want)
	}
	flood := simulation{fps: 60, says: 48000, length: 10 * time.Second, samples: steady(30000)}.run(t)
	flood.checkCount(t)
	if flood.buffered() > maxMargin+maxSurplus+30000 {
		t.Errorf("%d samples wait", flood.buffered())
	}
}

func TestSoundTimelineJumps(t *testing.T) {
	s := newSoundtrack(&linear{rate: 48000}, 10*time.Millisecond)
	s.begin(time.Hour)
	if _, pts, ok := s.next(time.Hour + 10*time.Millisecond); !ok || pts != time.Hour {
		t.Errorf("%v, %v", pts, ok)
	}
	if _, _, ok := s.next(time.Hour + 19*time.Millisecond); ok {
		t.Error("a packet before its time")
	}
	s.begin(2 * time.Hour)
	if _, pts, ok := s.next(2*time.Hour + 10*time.Millisecond); !ok || pts != 2*time.Hour {
		t.Errorf("after the jump: %v, %v", pts, ok)
	}
}

func TestPacketTimesDoNotDrift(t *testing.T) {
	s := newSoundtrack(&linear{}, 5*time.Millisecond)
	s.begin(0)
	s.sent = 200 * 3600 * 24 * 365
	if got := s.pts(0); got != 365*24*time.Hour {
		t.Errorf("a year of packets ends at %v", got)
	}
}

func TestImpossibleRatesAreMadePlayable(t *testing.T) {
	for in, want := range map[float64]float64{0: 8080, 4000: 8080, 44100: 44100, 384000: 384000, 1e9: pcm.MaxRate / 1.01} {
		if got := playable(in); math.Abs(got-want) > 1e-6 {
			t.Errorf("%g Hz becomes %g, want %g", in, got, want)
		}
	}
}
