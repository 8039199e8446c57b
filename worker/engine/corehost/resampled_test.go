package corehost

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/media/pcm"
)

// A minute of a tone from machines that are off their word, with the control in
// charge of the real resampler: once it has settled not one sample is inserted
// or dropped, and no bend is heard.
func TestSoundWithTheRealResampler(t *testing.T) {
	tests := map[string]simulation{
		"nestopia":       {fps: 60.0988, says: 48000, samples: steady(800)},
		"gambatte":       {fps: 59.7275, says: 32768, samples: steady(32768 / 59.7275)},
		"mgba":           {fps: 59.7275, says: 65536, samples: steady(65536 / 59.7275)},
		"snes":           {fps: 60.0988, says: 32040.5, samples: steady(32040.5 / 60.0988)},
		"0.4 % too slow": {fps: 60, says: 44100, samples: steady(735 * 0.996)},
		"0.4 % too fast": {fps: 60, says: 44100, samples: steady(735 * 1.004)},
		"oversampled":    {fps: 59.7275, says: 192000, samples: steady(192000 / 59.7275)},
	}
	for name, sim := range tests {
		t.Run(name, func(t *testing.T) {
			sim.length = time.Minute
			sim.playTone(t)
		})
	}
}

// playTone runs sim with a tone, and checks what comes out after 20 s.
func (sim simulation) playTone(t *testing.T) {
	t.Helper()
	r, err := pcm.NewResampler(playable(sim.says))
	if errors.Is(err, pcm.ErrUnavailable) {
		t.Skip("SKIPPED:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := newSoundtrack(r, 10*time.Millisecond)
	clock := schedule{fps: sim.fps}
	var played tone
	var source []int16
	var glitches uint64
	for tick := 0; clock.at(0) < sim.length; tick++ {
		began, end := clock.at(0), clock.at(1)
		source = played.source(source[:0], sim.samples(tick), sim.says)
		if err := s.push(source, sim.says, end-began); err != nil {
			t.Fatal(err)
		}
		for packet, _, ok := s.next(end); ok; packet, _, ok = s.next(end) {
			played.hear(packet)
		}
		s.settle(end, end-began)
		if end < 20*time.Second {
			glitches, played.worst = s.silence+s.dropped, 0
		}
		clock.n++
	}
	t.Logf("largest click %.1f of %d", played.worst, loudness)
	if n := s.silence + s.dropped - glitches; n > 0 || played.worst > loudness/400 {
		t.Errorf("%d samples inserted or dropped, largest click %.1f", n, played.worst)
	}
}

const (
	pitch    = 500 // Hz
	loudness = 16000
)

// tone makes a sine of the pitch and the loudness, and listens for clicks in
// what became of it.
type tone struct {
	phase        float64 // in turns
	before, last float64 // heard
	worst        float64
}

// source appends n samples at the given rate.
func (o *tone) source(dst []int16, n int, rate float64) []int16 {
	for range n {
		v := int16(math.Round(loudness * math.Sin(2*math.Pi*o.phase)))
		dst = append(dst, v, -v)
		o.phase += pitch / rate
	}
	return dst
}

// hear measures how far the left channel is from going on as the sine that it
// has been: that keeps x[n+1] = 2cos(w)x[n] - x[n-1], and a click breaks it.
func (o *tone) hear(packet []int16) {
	k := 2 * math.Cos(2*math.Pi*pitch/media.SampleRate)
	for i := 0; i < len(packet); i += media.Channels {
		now := float64(packet[i])
		o.worst = max(o.worst, math.Abs(k*o.last-o.before-now))
		o.before, o.last = o.last, now
	}
}
