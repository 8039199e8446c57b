package send

import "time"

const (
	soundClock  = 48_000                 // Hz, of Opus at any bandwidth (RFC 7587, section 4.1)
	maxSound    = 120 * time.Millisecond // of one packet (RFC 6716, section 2.1.4)
	maxSoundGap = 100 * time.Millisecond // what is missing is jumped over
	maxHold     = 17 * time.Millisecond  // one tick at 60 Hz: engines deliver what a tick made at once
	lagDecay    = 64                     // a smaller lag is approached by a 64th with each packet
)

// timing gives packets of sound their RTP time and the moment to leave at.
type timing struct {
	begun   bool
	samples uint32        // RTP time of the next packet
	pts     time.Duration // its ideal time
	lag     time.Duration // from a packet's ideal time until it leaves
}

// place is where a packet of sound belongs.
type place struct {
	time uint32
	due  time.Duration
	jump bool // the first one after a gap: RTP marker (RFC 3551, section 4.1)
}

// next places the packet that is there now; false if it has no sane duration. RTP
// time counts samples strictly; only when packets are missing (the engine was
// restarted) it jumps ahead by what is missing. It never goes back.
func (t *timing) next(s Sound, now time.Duration) (place, bool) {
	if s.Duration <= 0 || s.Duration > maxSound {
		return place{}, false
	}
	step := uint32(s.Duration * soundClock / time.Second)
	var p place
	gap := s.PTS - t.pts
	switch {
	case !t.begun:
		t.begun, p.jump, t.pts, t.lag = true, true, s.PTS, now-s.PTS
	case gap >= maxSoundGap:
		whole := gap / s.Duration
		t.samples += uint32(whole) * step
		t.pts += whole * s.Duration
		p.jump, t.lag = true, now-s.PTS
	case gap <= -maxSoundGap: // another clock; go on counting
		t.pts, t.lag = s.PTS, now-s.PTS
	}
	p.time = t.samples
	t.samples += step
	t.pts += s.Duration
	p.due = t.leave(s.PTS, now)
	return p, true
}

// leave is when the packet leaves: as long after its ideal time as the latest
// ones, so that the two packets that one tick delivers do not leave together and
// the viewer's jitter buffer can stay short. It is never held for more than a tick.
func (t *timing) leave(pts, now time.Duration) time.Duration {
	lag := now - pts
	if lag >= t.lag {
		t.lag = lag
		return now
	}
	t.lag -= (t.lag - lag) / lagDecay
	if t.lag > lag+maxHold {
		t.lag = lag + maxHold
	}
	return pts + t.lag
}
