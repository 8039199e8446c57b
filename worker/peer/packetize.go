package peer

import (
	"time"

	"github.com/pion/rtp/codecs"

	"github.com/cloudretro/cloudretro/media"
)

// MTU is the size of the largest RTP packet, header included, before SRTP adds
// its tag. With IPv6, UDP and TURN around it, it stays below the 1280 that
// every IPv6 path carries.
const MTU = 1200 // bytes

const (
	headerSize  = 20               // RTP header with one extension of 3 bytes
	maxPayload  = MTU - headerSize // bytes
	maxFrame    = 4 << 20          // bytes of an access unit, far above any picture within media's limits
	maxSoundGap = 100 * time.Millisecond
)

// Frame is one picture, cut into RTP payloads once for all viewers. Nobody
// writes to it after it was made.
type Frame struct {
	Payloads [][]byte // each at most MTU less the header
	Key      bool
	Time     uint32 // 90 kHz, counted from an arbitrary moment
}

// Sound is one packet of sound for all viewers. Nobody writes to it after it was made.
type Sound struct {
	Payload []byte
	Time    uint32 // 48 kHz, counted from an arbitrary moment
	Jump    bool   // the first one after a gap: RTP marker (RFC 7587, 4.1 of RFC 3551)
}

// Packetizer turns what an encoder made into packets. One per room; it is not
// safe for concurrent use, but Video and Audio may run beside one another.
type Packetizer struct {
	next    uint32        // RTP time of the next packet of sound
	nextPTS time.Duration // its ideal time
	sounded bool
}

// Video copies f into a Frame; nil if it holds nothing to send. The time of a
// frame is its ideal one, not when it was ready.
func (p *Packetizer) Video(f *media.Frame) *Frame {
	if len(f.Data) == 0 || len(f.Data) > maxFrame {
		return nil
	}
	// A payloader of its own for each frame: it would keep slices of f.Data.
	payloads := (&codecs.H264Payloader{}).Payload(maxPayload, f.Data)
	if len(payloads) == 0 {
		return nil
	}
	return &Frame{Payloads: payloads, Key: f.Key, Time: videoTime(f.PTS)}
}

// videoTime is pts in units of the video clock, modulo 2^32.
func videoTime(pts time.Duration) uint32 {
	return uint32(uint64(pts) * 9 / 100_000) // 90000 / 1e9
}

// Audio copies a into a Sound; nil if it holds nothing to send. RTP time counts
// samples strictly; only when packets are missing (the engine was restarted)
// it jumps ahead by what is missing. It never goes back.
func (p *Packetizer) Audio(a *media.Packet) *Sound {
	samples := uint32(a.Duration * audioClock / time.Second)
	if len(a.Data) == 0 || len(a.Data) > maxPayload || a.Duration <= 0 || a.Duration > time.Second {
		return nil
	}
	s := &Sound{Payload: append([]byte(nil), a.Data...)}
	gap := a.PTS - p.nextPTS
	switch {
	case !p.sounded:
		p.sounded, s.Jump, p.nextPTS = true, true, a.PTS
	case gap >= maxSoundGap:
		whole := gap / a.Duration
		p.next += uint32(whole) * samples
		p.nextPTS += whole * a.Duration
		s.Jump = true
	case gap <= -maxSoundGap:
		p.nextPTS = a.PTS // another clock; go on counting
	}
	s.Time = p.next
	p.next += samples
	p.nextPTS += a.Duration
	return s
}
