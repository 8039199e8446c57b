package send

import (
	"fmt"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/feedback"
)

const (
	inboxSize = 16   // compound packets that wait for a turn; overflow: dropped
	maxLetter = 1500 // bytes of one

	// maxNamed is how many sequence numbers mail may name at once, nameRate how many
	// in a second: a few bytes can name thousands, and nobody else is sent to
	// meanwhile. It is half a second, and three times the packets, of 50 Mbit/s; what
	// is beyond is dropped.
	maxNamed = 4096
	nameRate = 4 * maxNamed

	// Turns that are taken because urgent mail came, in a second and at once: each
	// looks at all viewers of the room. Mail beyond that is read with the next turn,
	// that of a picture or of sound at the latest.
	wakeRate = 250
	maxWakes = 50

	// Key frames that one browser may ask for: all viewers of the room are sent them.
	askRate = 1
	maxAsks = 5
)

// inbox holds RTCP that was not read yet.
type inbox struct {
	letters *[inboxSize]letter // made with the first one
	n       int
}

// letter is one compound packet as it came, and the stream it came for.
type letter struct {
	ssrc  uint32
	size  int
	bytes [maxLetter]byte
}

// mail is the inbox that the turn reads meanwhile.
type mail struct{ inbox }

// swap takes what came and leaves an empty inbox; the caller holds the viewer's mu.
func (m *mail) swap(in *inbox) {
	if in.n > 0 && m.n == 0 {
		m.inbox, *in = *in, m.inbox
	}
}

// Feedback takes a compound RTCP packet of the browser, decrypted, as pion hands it
// out for the stream with this SSRC. Only what concerns that stream is acted on,
// because pion gives one packet to every stream that it names. Bytes are copied;
// it never blocks, and an overflow is dropped and counted. The error says that the
// packet is malformed, which no browser's is.
func (v *Viewer) Feedback(b []byte, ssrc uint32) error {
	useful, urgent, err := v.weigh(b, ssrc)
	if err != nil {
		v.bump(feedbackBad, 1)
		err = fmt.Errorf("read feedback: %w", err)
	}
	if !useful {
		return err
	}
	v.mu.Lock()
	in := &v.inbox
	if in.letters == nil {
		in.letters = new([inboxSize]letter)
	}
	if v.closed || in.n == inboxSize || len(b) > maxLetter {
		v.mu.Unlock()
		v.bump(feedbackDropped, 1)
		return err
	}
	l := &in.letters[in.n]
	l.ssrc, l.size = ssrc, copy(l.bytes[:], b)
	in.n++
	fall, s := v.fall, v.sender.Load()
	urgent = urgent && s != nil && v.wakes.take(1, s.cfg.Now())
	v.mu.Unlock()
	if urgent { // else the next turn reads it
		s.rouse()
		fall.rouse()
	}
	return err
}

// weigh says whether a packet concerns the stream, and whether it can wait.
func (v *Viewer) weigh(b []byte, ssrc uint32) (useful, urgent bool, err error) {
	r := feedback.Read(b)
	for r.Next() {
		if r.Message.Concerns(ssrc) {
			useful = true
			kind := r.Message.Kind
			urgent = urgent || kind != feedback.Reports && kind != feedback.TransportCC && kind != feedback.REMB
		}
	}
	return useful, urgent, r.Err()
}

// readMail acts on what came since the last turn.
func (v *Viewer) readMail(o *output) {
	if v.mail.n > 0 {
		v.names.refill(o.now)
	}
	for i := range v.mail.n {
		l := &v.mail.letters[i]
		s := v.stream(l.ssrc)
		if s == nil {
			continue
		}
		r := feedback.Read(l.bytes[:l.size])
		for r.Next() {
			if r.Message.Concerns(l.ssrc) {
				v.act(o, s, &r.Message)
			}
		}
	}
	v.mail.n = 0
}

// stream is the one of ours with this SSRC, nil if there is none.
func (v *Viewer) stream(ssrc uint32) *stream {
	for _, s := range [...]*stream{v.video, v.audio} {
		if s != nil && s.cfg.SSRC == ssrc {
			return s
		}
	}
	return nil
}

func (v *Viewer) act(o *output, s *stream, m *feedback.Message) {
	switch m.Kind {
	case feedback.NACK:
		v.resendLost(o, s, m)
	case feedback.PLI, feedback.FIR: // repeated FIRs too: whoever encodes limits the rate
		v.bump(keyFramesAsked, 1)
		v.askKey(o)
	case feedback.Reports:
		v.readReports(o, s, m)
	case feedback.ReferenceTime:
		v.answerTime(o, s, m)
	case feedback.TransportCC:
		if named := v.stream(m.Media); named != nil && named != s {
			return // it gets a copy of its own: what was lost counts once
		}
		if !v.names.spend(m.Count()) {
			v.bump(feedbackDropped, 1)
			return
		}
		v.estimate.Feedback(m, o.now)
		v.rate.Store(v.estimate.Rate())
	}
}

// askKey asks for a key frame because of what the browser says. A full queue asks
// by itself and is not bounded: it has no picture to go on with.
func (v *Viewer) askKey(o *output) {
	if !v.asks.take(1, o.now) {
		v.bump(keyFramesRefused, 1)
		return
	}
	v.cfg.KeyFrame()
}

// measured is what receiver reports are compared with.
type measured struct {
	at     time.Duration
	octets uint32
}

func (v *Viewer) readReports(o *output, s *stream, m *feedback.Message) {
	for blocks := m.Blocks(); ; {
		b, ok := blocks.Next()
		if !ok {
			return
		}
		if b.SSRC != s.cfg.SSRC {
			continue
		}
		if trip, ok := b.RoundTrip(middle(o.cfg.Wall())); ok {
			v.round.Store(int64(trip))
		}
		if s == v.video {
			v.loss.Store(uint32(b.Fraction))
			v.readLoss(o, s, float64(b.Fraction)/256)
		}
	}
}

// readLoss feeds the estimate of a viewer that sends no transport feedback.
func (v *Viewer) readLoss(o *output, s *stream, loss float64) {
	span, sent := o.now-v.measured.at, s.octets-v.measured.octets
	v.measured = measured{o.now, s.octets}
	if s.head.twcc == 0 && span > 0 && span < time.Minute {
		v.estimate.Loss(loss, int64(sent)*8*int64(time.Second)/int64(span))
		v.rate.Store(v.estimate.Rate())
	}
}
