package corehost

import (
	"math"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/media/pcm"
)

// resampler brings sound to media.SampleRate.
type resampler interface {
	// Process appends what src becomes to dst, both interleaved stereo.
	Process(dst, src []int16) []int16
	// SetInRate changes the rate of the next src, Hz.
	SetInRate(rate float64) error
	Close() error
}

// Bounds of the soundtrack's control, in samples per channel at media.SampleRate.
const (
	firstMargin = 5 * media.SampleRate / 1000  // kept in reserve at the beginning
	maxMargin   = 40 * media.SampleRate / 1000 // and at most, for a core that makes its sound in bursts
	maxSurplus  = 60 * media.SampleRate / 1000 // above the margin, beyond which sound is dropped
	maxBend     = 0.005                        // of the rate: 9 cents, inaudible
	bendStep    = 1e-5                         // of the rate: finer changes are not worth a call
	fullBendAt  = 20 * media.SampleRate / 1000 // deviation that the proportional part answers with maxBend
	smoothing   = 500 * time.Millisecond       // time constant of the measured deviation
	silentAfter = 250 * time.Millisecond       // without a sample the machine counts as silent
)

// The controller is a second order loop, critically damped: the proportional
// part alone closes a deviation with the angular frequency bendGain*SampleRate.
const (
	bendGain  = maxBend / fullBendAt                         // per sample
	driftGain = bendGain * bendGain * media.SampleRate / 4.0 // per sample and second
)

// soundtrack turns the sound of a machine, which comes in pieces of any size
// and at a rate that is only about what the machine says, into packets of one
// duration that lie gapless on the timeline of the ticks: exactly as many
// samples come out as time goes by. To this end the resampling ratio is bent by
// at most half a percent, and where that does not do, silence is inserted or
// sound dropped.
type soundtrack struct {
	resampler resampler
	packet    int // samples per channel of a packet

	rate   float64 // that the machine says
	inRate float64 // that the resampler was told last

	start time.Duration // PTS of packet 0
	sent  int64         // packets since start
	fifo  []int16       // resampled, interleaved; fifo[:head] is gone already
	head  int

	margin       float64       // deviation aimed at
	marginBefore float64       // the last sound ended
	deviation    float64       // smoothed: how much more was made than time went by
	drift        float64       // integral part of the bend
	quiet        time.Duration // since the machine made its last sample

	silence uint64 // samples per channel inserted
	dropped uint64 // samples per channel dropped
}

func newSoundtrack(r resampler, packet time.Duration) *soundtrack {
	return &soundtrack{
		resampler: r,
		packet:    int(packet * media.SampleRate / time.Second),
		margin:    firstMargin, marginBefore: firstMargin, deviation: firstMargin,
		quiet: silentAfter + 1,
	}
}

// playable returns the rate that the resampler is told for the rate of a machine.
func playable(rate float64) float64 {
	const spare = 1 + 2*maxBend
	return min(max(rate, pcm.MinRate*spare), pcm.MaxRate/spare)
}

// begin puts the timeline to t: the next packet begins there.
func (s *soundtrack) begin(t time.Duration) { s.start, s.sent = t, 0 }

// pts is when packet s.sent+ahead begins, computed anew each time.
func (s *soundtrack) pts(ahead int64) time.Duration {
	samples := (s.sent + ahead) * int64(s.packet)
	seconds, rest := time.Duration(samples/media.SampleRate), time.Duration(samples%media.SampleRate)
	return s.start + seconds*time.Second + rest*time.Second/media.SampleRate
}

// push takes what the machine made at the given rate until the time end of the
// timeline, elapsed after the last push.
func (s *soundtrack) push(samples []int16, rate float64, elapsed time.Duration) error {
	s.rate = playable(rate)
	if err := s.bend(); err != nil {
		return err
	}
	if len(samples) == 0 {
		if s.quiet == 0 {
			s.marginBefore = s.margin
		}
		if s.quiet += elapsed; s.silent() {
			s.margin = s.marginBefore // it was the end of the sound, no burst
		}
		return nil
	}
	if s.silent() { // begin anew with the reserve full
		s.silence += uint64(s.fill(int(s.margin) - s.buffered()))
		s.deviation = s.margin
	}
	s.quiet = 0
	s.fifo = s.resampler.Process(s.fifo, samples)
	return nil
}

// silent says that the machine makes no sound at all.
func (s *soundtrack) silent() bool { return s.quiet > silentAfter }

func (s *soundtrack) buffered() int { return (len(s.fifo) - s.head) / media.Channels }

// settle measures, after the packets until end have been taken, how far the
// machine deviates, and drops what is too much.
func (s *soundtrack) settle(end, elapsed time.Duration) {
	if s.silent() {
		return
	}
	owed := float64(end-s.pts(0)) * media.SampleRate / float64(time.Second) // taken later, made already
	now := float64(s.buffered()) - owed
	if surplus := now - s.margin; surplus > maxSurplus {
		s.head += int(surplus) * media.Channels
		s.dropped += uint64(surplus)
		now, s.deviation = s.margin, s.margin
	}
	share := 1 - math.Exp(-elapsed.Seconds()/smoothing.Seconds())
	s.deviation += (now - s.deviation) * share
	s.drift += (s.deviation - s.margin) * driftGain * elapsed.Seconds()
	s.drift = min(max(s.drift, -maxBend), maxBend)
}

// bend tells the resampler the rate that brings the deviation to the margin.
func (s *soundtrack) bend() error {
	bend := (s.deviation-s.margin)*bendGain + s.drift
	rate := s.rate * (1 + min(max(bend, -maxBend), maxBend))
	if math.Abs(rate-s.inRate) < s.rate*bendStep {
		return nil
	}
	s.inRate = rate
	return s.resampler.SetInRate(rate)
}

// next returns the next packet's samples and PTS if it ends by end. The samples
// are valid until the next call of a method.
func (s *soundtrack) next(end time.Duration) (pcm []int16, pts time.Duration, ok bool) {
	if s.pts(1) > end {
		s.compact()
		return nil, 0, false
	}
	need := s.packet * media.Channels
	if missing := s.packet - s.buffered(); missing > 0 {
		s.insert(missing)
	}
	pcm, pts = s.fifo[s.head:s.head+need], s.pts(0)
	s.head += need
	s.sent++
	return pcm, pts, true
}

// insert appends silence. A machine that makes its sound in bursts gets a
// larger reserve, so that the next burst does not come too late.
func (s *soundtrack) insert(missing int) {
	s.silence += uint64(s.fill(missing))
	if !s.silent() {
		s.margin = min(s.margin+float64(missing), maxMargin)
	}
}

// fill appends n samples per channel of silence, none if n is negative, and returns n.
func (s *soundtrack) fill(n int) int {
	n = max(n, 0)
	for range n * media.Channels {
		s.fifo = append(s.fifo, 0)
	}
	return n
}

func (s *soundtrack) compact() {
	s.fifo = s.fifo[:copy(s.fifo, s.fifo[s.head:])]
	s.head = 0
}
