// Package estimate guesses what the path to one viewer carries, from what the
// viewer reports: transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-
// extensions-01), or the loss in receiver reports where that was not negotiated.
//
// It exists for the pacer, not for the encoder: there is no limit until there is
// evidence of one (a standing queue, or heavy loss), because a guess that is too
// low costs pictures and one that is too high costs a little delay. It is pure:
// time is an argument.
package estimate

import (
	"time"

	"github.com/cloudretro/cloudretro/worker/send/feedback"
)

const (
	slots    = 2048 // packets whose sending is remembered; 0.4 s at 50 Mbit/s, feedback comes every 50-250 ms
	window   = 200 * time.Millisecond
	baseAge  = 10 * time.Second // the shortest delay is that of the last 10..20 s: clocks drift, routes change
	standing = 40 * time.Millisecond
	jump     = time.Second // a delay shorter than any by this: the receiver's clock was set

	heavyLoss = 0.1 // of a window; random loss of radio links stays below
	fewest    = 10  // packets that a window must tell of
	backOff   = 0.85
	growth    = 1.02 // of each good window, 10 % a second
	slowest   = 300_000
	fastest   = 100_000_000 // bit/s; a limit that has grown beyond is none
)

// Estimate is what is known of one path. The zero value knows nothing. One
// goroutine.
type Estimate struct {
	sent [slots]record

	base, next time.Duration // shortest delays of the last full baseAge, and since
	turned     time.Duration // when next began
	based      bool

	begun       time.Duration // of the window
	bytes       int
	first, last time.Duration // arrivals, the receiver's clock
	shortest    time.Duration // delay
	arrived     int
	lost        int

	rate int64
}

// record is a packet that was sent.
type record struct {
	at     time.Duration
	size   uint16
	number uint16
	used   bool
}

// Rate is what the path carries, in bits per second; 0 = no limit is known.
func (e *Estimate) Rate() int64 { return e.rate }

// Sent notes that the packet with this transport-wide number, of this many bytes,
// left now.
func (e *Estimate) Sent(number uint16, size int, now time.Duration) {
	e.sent[number%slots] = record{now, uint16(size), number, true}
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
	if now-e.begun >= window && e.arrived+e.lost >= fewest {
		e.judge()
		e.begun, e.bytes, e.arrived, e.lost = now, 0, 0, 0
	}
}

func (e *Estimate) take(a feedback.Arrival, now time.Duration) {
	r := &e.sent[a.Sequence%slots]
	if !r.used || r.number != a.Sequence {
		return
	}
	if !a.Received {
		e.lost++ // once for each message that names it: it may still come
		return
	}
	r.used = false
	if !a.Timed {
		return
	}
	delay := a.At - r.at
	if e.arrived == 0 {
		e.first, e.last, e.shortest = a.At, a.At, delay
	}
	e.first, e.last, e.shortest = min(e.first, a.At), max(e.last, a.At), min(e.shortest, delay)
	e.arrived++
	e.bytes += int(r.size)
	e.learn(delay, now)
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

// judge draws the conclusions of a window.
func (e *Estimate) judge() {
	loss := float64(e.lost) / float64(e.arrived+e.lost)
	queued := e.arrived > 0 && e.shortest-e.base > standing
	received := int64(0)
	if span := e.last - e.first; e.arrived > 1 && span > 0 {
		received = int64(e.bytes) * 8 * int64(time.Second) / int64(max(span, window/2))
	}
	switch {
	case received > 0 && queued:
		e.limit(float64(received) * backOff)
	case received > 0 && loss > heavyLoss:
		e.limit(float64(received))
	default:
		e.grow()
	}
}

// Loss takes the loss of a receiver report (0..1), from a path without transport
// feedback, and the rate that was sent meanwhile, in bits per second.
func (e *Estimate) Loss(loss float64, sent int64) {
	if loss > heavyLoss && sent > 0 {
		e.limit(float64(sent) * (1 - loss))
		return
	}
	e.grow()
}

func (e *Estimate) limit(rate float64) {
	limit := max(int64(rate), slowest)
	if e.rate == 0 || limit < e.rate {
		e.rate = limit
	}
}

func (e *Estimate) grow() {
	e.rate = int64(float64(e.rate) * growth)
	if e.rate > fastest {
		e.rate = 0
	}
}
