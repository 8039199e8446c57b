// Package estimate guesses what the path to one viewer carries, from what the
// viewer reports: transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-
// extensions-01), or the loss in receiver reports where that was not negotiated.
//
// It exists for the pacer, not for the encoder, and there is no limit until there
// is lasting evidence of one: a limit that is too low costs pictures, one that is
// too high a little delay. Evidence is a queue that grows, or heavy loss, window
// after window. A receiver that was not run for a while and then reads all at once
// is none: its queue is gone by the next window. The limit is what came through
// meanwhile, at most, never less; it goes away within seconds once nothing queues.
//
// It is pure: time is an argument.
package estimate

import (
	"time"

	"github.com/cloudretro/cloudretro/worker/send/feedback"
)

const (
	slots   = 2048 // packets whose sending is remembered; 0.4 s at 50 Mbit/s, feedback comes every 50-250 ms
	span    = 200 * time.Millisecond
	fewest  = 10               // packets that a window must tell of
	baseAge = 10 * time.Second // the shortest delay is that of the last 10..20 s: clocks drift, routes change
	jump    = time.Second      // a delay shorter than any by this: the receiver's clock was set
)

// Estimate is what is known of one path. The zero value knows nothing. One
// goroutine.
type Estimate struct {
	sent  [slots]record
	total uint32 // bytes sent so far, modulo 2^32

	base, next time.Duration // shortest delays of the last full baseAge, and since
	turned     time.Duration // when next began
	based      bool

	window window
	since  time.Duration // what was sent before says nothing about the rate that holds now
	limit  limit
}

// record is a packet that was sent.
type record struct {
	at     time.Duration
	total  uint32 // bytes sent with it and before, modulo 2^32
	number uint16
	size   uint16 // 0 = none, or it is known to have arrived
}

// Rate is what may be sent, in bits per second; 0 = no limit is known. It is less
// than what the path carries while a queue has to drain.
func (e *Estimate) Rate() int64 { return e.limit.now() }

// Sent notes that the packet with this transport-wide number, of this many bytes,
// left now.
func (e *Estimate) Sent(number uint16, size int, now time.Duration) {
	e.total += uint32(size)
	e.sent[number%slots] = record{now, e.total, number, uint16(size)}
}

// Feedback takes a TransportCC message; other kinds are ignored.
func (e *Estimate) Feedback(m *feedback.Message, now time.Duration) {
	arrivals := m.Arrivals()
	for {
		a, ok := arrivals.Next()
		if !ok {
			break
		}
		e.take(a, now)
	}
	if now-e.window.begun < span || e.window.packets < fewest || !e.window.timed {
		return
	}
	if e.limit.judge(e.window.sample(e.base), 1) {
		e.since = now
	}
	e.window = window{begun: now, from: e.window.to}
}

func (e *Estimate) take(a feedback.Arrival, now time.Duration) {
	r := &e.sent[a.Sequence%slots]
	if r.size == 0 || r.number != a.Sequence {
		return
	}
	size, current := int(r.size), r.at >= e.since
	if !a.Received {
		if current {
			e.window.lose(size) // for each message that names it: it may still come
		}
		return
	}
	r.size = 0
	if a.Timed {
		e.learn(a.At-r.at, now)
		e.window.arrive(edge{r.at, a.At, r.total, true}, current)
	}
	if current {
		e.window.count(size)
	}
}

// learn keeps the shortest delay of the last while.
func (e *Estimate) learn(delay, now time.Duration) {
	switch {
	case !e.based || delay < e.base-jump:
		e.based, e.base, e.next, e.turned = true, delay, delay, now
	case now-e.turned >= baseAge:
		e.base, e.next, e.turned = e.next, delay, now
	}
	e.base, e.next = min(e.base, delay), min(e.next, delay)
}

// Loss takes the loss of a receiver report (0..1), from a path without transport
// feedback, and the rate that was sent meanwhile, in bits per second. Reports come
// once a second, so that each is worth more than a window.
func (e *Estimate) Loss(loss float64, sent int64) {
	if sent > 0 {
		e.limit.judge(sample{loss: loss, sent: sent, received: int64(float64(sent) * (1 - loss))}, reportWeight)
	}
}
