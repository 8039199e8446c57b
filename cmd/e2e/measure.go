package e2e

import (
	"fmt"
	"math"
	"syscall"
	"time"
)

// Counters are the inbound statistics of a page (W3C webrtc-stats,
// RTCInboundRtpStreamStats), as probe.js collects them.
type Counters struct {
	At                 float64 // ms, when they were taken
	Decoded, Dropped   float64 // pictures
	Freezes            float64
	Lost               float64 // video packets
	Audio              float64 // packets
	Concealed, Samples float64 // of sound
	AudioJitterDelay   float64 // s that its samples waited in the jitter buffer, added up
	AudioJitterCount   float64 // samples that left it
	Width, Height      float64 // pixels
}

// Counters reads the statistics now.
func (p *Page) Counters() (Counters, error) { return Eval[Counters](p, "probe.counters()") }

// Flow is what arrived at a page in a while.
type Flow struct {
	Seconds, Pictures, Packets float64
	Freezes, Lost              float64
	SoundDelay                 float64 // ms in the jitter buffer, mean
}

// Watch counts for a while what arrives.
func (p *Page) Watch(window time.Duration) (Flow, error) {
	before, err := p.Counters()
	if err != nil {
		return Flow{}, err
	}
	after, err := Eval[Counters](p, fmt.Sprintf("new Promise((r) => setTimeout(r, %d)).then(probe.counters)", window.Milliseconds()))
	if err != nil {
		return Flow{}, err
	}
	return Flow{
		Seconds: (after.At - before.At) / 1000, Pictures: after.Decoded - before.Decoded, Packets: after.Audio - before.Audio,
		Freezes: after.Freezes - before.Freezes, Lost: after.Lost - before.Lost,
		SoundDelay: 1000 * (after.AudioJitterDelay - before.AudioJitterDelay) / max(after.AudioJitterCount-before.AudioJitterCount, 1),
	}, nil
}

// AwaitFlow returns when picture and sound have been flowing for some seconds.
func (p *Page) AwaitFlow() error {
	return p.Until("probe.counters().then((c) => c.audio > 200 && c.decoded > 120)", time.Minute)
}

// FPS is the rate that the page was told of its core.
func (p *Page) FPS() (float64, error) { return Eval[float64](p, "window.cloudretro.geometry.fps") }

// shown is a frame that requestVideoFrameCallback reported.
type shown struct {
	Now float64 // ms of the page's clock
	RTP uint32  // timestamp, 90 kHz
}

// onBeat is by how many ticks of 90 kHz an interval may miss a multiple of the
// period: timestamps are rounded to whole ticks.
const onBeat = 1.5

// Offbeat counts the intervals between shown frames whose RTP time is no
// multiple of a rate's period. Frames that were not shown, on a busy machine,
// do not count; a clock that was set anew counts once.
func (p *Page) Offbeat(fps float64) (off, intervals int, err error) {
	list, err := Eval[[]shown](p, "probe.frames")
	if err != nil {
		return 0, 0, err
	}
	period := 90000 / fps
	for i := 1; i < len(list); i++ {
		since := float64(list[i].RTP - list[i-1].RTP) // modulo 2^32, as RTP counts
		if math.Abs(since-math.Round(since/period)*period) > onBeat {
			off++
		}
	}
	return off, max(len(list)-1, 0), nil
}

// LongestGap is the longest time without a new frame since the page's time
// from, both in ms.
func (p *Page) LongestGap(from float64) (float64, error) {
	list, err := Eval[[]shown](p, fmt.Sprintf("probe.frames.filter((f) => f.now >= %f)", from))
	gap := 0.0
	for _, f := range list {
		gap, from = max(gap, f.Now-from), f.Now
	}
	return gap, err
}

// Hurt sends a signal to a core process and returns, when the page's picture
// moves again, for how many ms it stood still.
func (p *Page) Hurt(core int, signal syscall.Signal) (float64, error) {
	from, err := Eval[float64](p, "performance.now()")
	if err != nil {
		return 0, err
	}
	if err := syscall.Kill(core, signal); err != nil {
		return 0, fmt.Errorf("signal the core process: %w", err)
	}
	// The process is gone when its successor has sent pictures for a while.
	if err := await(func() bool { return syscall.Kill(core, 0) != nil }, 30*time.Second); err != nil {
		return 0, fmt.Errorf("core process %d still runs: %w", core, err)
	}
	if err := p.Until(fmt.Sprintf("probe.frames.filter((f) => f.now > %f && performance.now() - f.now < 700).length > 20", from), 30*time.Second); err != nil {
		return 0, err
	}
	return p.LongestGap(from)
}

func await(ok func() bool, timeout time.Duration) error {
	for deadline := time.Now().Add(timeout); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v", timeout)
		}
	}
	return nil
}
