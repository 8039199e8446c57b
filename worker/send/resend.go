package send

import (
	"encoding/binary"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/feedback"
)

// What a viewer may have sent again: packets that are lost at random are a few
// percent of a stream; more is an attack, or a path that resends would only choke.
const (
	budgetRate  = 512 << 10 // bytes a second
	budgetBytes = 128 << 10 // at once
	resentSlots = 256
	// The same packet is not sent again sooner, nor within half a round trip: a
	// browser repeats its NACK after a whole one, measured by itself, and when it
	// does the resend before was lost.
	leastRepeat = 10 * time.Millisecond
	mostRepeat  = 200 * time.Millisecond
)

// resent remembers when a packet was sent again.
type resent struct {
	index uint64
	at    time.Duration
}

// resendLost sends the packets that a NACK names again. One that is gone cannot
// come, so a key frame has to.
func (v *Viewer) resendLost(o *output, s *stream, m *feedback.Message) {
	gone := false
	for lost := m.Lost(); ; {
		sequence, ok := lost.Next()
		if !ok {
			break
		}
		if !v.names.spend(1) {
			v.bump(feedbackDropped, 1)
			break
		}
		packet, index, ok := s.ring.Get(sequence)
		switch {
		case !ok && int16(uint16(s.index)-1-sequence) < 0:
			v.bump(refusedUnknown, 1)
		case !ok:
			v.bump(refusedGone, 1)
			gone = true
		default:
			v.answer(o, s, packet, index)
		}
	}
	if gone && s == v.video {
		v.askKey(o)
	}
}

// answer sends a packet that is asked for again, unless that was done just now.
// One that is asked for once more was lost twice and the picture is late already,
// so it goes out twice: for a few bytes, a third loss becomes rare.
func (v *Viewer) answer(o *output, s *stream, packet []byte, index uint64) {
	r, copies := &s.resent[index%resentSlots], 1
	if r.index == index {
		wait := min(max(time.Duration(v.round.Load())/2, leastRepeat), mostRepeat)
		if o.now-r.at < wait {
			v.bump(refusedSoon, 1)
			return
		}
		copies = 2
	}
	for range copies {
		if !v.budget.take(len(packet), o.now) {
			v.bump(refusedBudget, 1)
			return
		}
		*r = resent{index, o.now}
		v.resend(o, s, packet, index)
	}
}

// resend sends a packet of the ring again: on the retransmission stream where
// there is one, else exactly the bytes that were sent.
func (v *Viewer) resend(o *output, s *stream, packet []byte, index uint64) {
	counted := resentPlain
	if s.rtx != nil {
		counted = resentRTX
		var ok bool
		if packet, ok = v.wrap(o, s, packet, index); !ok {
			v.bump(sealErrors, 1)
			return
		}
	}
	v.bump(counted, 1)
	v.bump(packets, 1)
	v.bump(octets, len(packet))
	switch {
	case s.sealer == nil:
		v.plain(s, packet)
		return
	case s.rtx == nil: // the ring may give these bytes away before they are sent
		b := o.room(len(packet))
		copy(b, packet)
		packet = b
	}
	o.add(v, packet, len(packet))
}

// wrap makes the packet one of the retransmission stream (RFC 4588, section 4):
// header as it was but for SSRC, payload type, sequence number and extensions; the
// original sequence number before the payload.
func (v *Viewer) wrap(o *output, s *stream, packet []byte, index uint64) ([]byte, bool) {
	x, front := s.rtx, s.head.size+osnLen
	b := o.room(len(packet) + osnLen)
	n := len(packet) - s.head.size - s.overhead
	if s.sealer == nil {
		copy(b[front:], packet[s.head.size:])
	} else if _, err := s.sealer.Open(b[front:], packet, s.head.size, index); err != nil {
		return nil, false
	}
	x.head.stamp(o.now)
	x.head.write(b, uint16(x.index), binary.BigEndian.Uint32(packet[4:]), packet[1]&0x80 != 0, v.number)
	binary.BigEndian.PutUint16(b[s.head.size:], uint16(index))
	if x.sealer != nil {
		if _, err := x.sealer.Seal(b, s.head.size, b[s.head.size:front+n], x.index); err != nil {
			return nil, false
		}
	}
	x.index++
	v.numbered(o, s, len(b))
	return b, true
}
