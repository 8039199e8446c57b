package estimate

import "time"

// When a window is bad.
const (
	standing  = 40 * time.Millisecond // a queue that even the luckiest packet of a window waited in
	rise      = 5 * time.Millisecond  // by which it must have grown, and by an eighth
	someLoss  = 0.03                  // or that share it must lose, being full
	heavyLoss = 0.1                   // without a queue; random loss of radio links stays below
)

// What follows from it. A window is 200 ms, or a round trip if that is longer.
const (
	sustained    = 4   // bad windows that make a limit
	refuted      = 2   // bad windows that end an attempt at more than was measured
	patience     = 4   // windows among them that say nothing, in a row
	reportWeight = 2   // windows that a receiver report is worth
	leastHold    = 2   // clear windows before more is tried
	mostHold     = 64  // the same, after many attempts that failed
	calm         = 150 // clear windows without a limit, after which they are forgotten
	memory       = 50  // the best rate is that of the last 50..100 clear windows

	growth   = 1.25    // of each clear window: twice the rate within a second
	lifted   = 2       // times the measured rate: there is no limit any more
	drain    = 0.75    // of the limit, while a queue stands
	keepsUp  = 0.9     // of what is sent comes through: somebody else may fill the queue
	same     = 0.2     // by which the loss may differ once less was sent
	slowest  = 300_000 // bit/s
	fastest  = 100_000_000
	keepHigh = 0.75 // of the longest queue; a shorter one is on its way out
)

// limit turns windows into a rate. The zero value has no limit.
type limit struct {
	rate     int64   // bit/s; 0 = no limit
	measured int64   // what came through when the path was last too full; rate >= measured
	queued   bool    // a queue stands
	quiet    int     // clear windows since
	hold     int     // of them before rate grows
	blamed   float64 // loss that made the limit, until a window is clear

	// Evidence: bad windows with none that was clear between.
	hits, idle int
	full       int           // hits in which less came through than was sent
	longest    time.Duration // queue
	peak       int64         // received
	offered    int64         // sent, at most

	best, next int64 // most that was received in clear windows: of the last memory, and since
	clears     int
}

// now is what may be sent, 0 = anything.
func (l *limit) now() int64 {
	if l.queued {
		return int64(float64(l.rate) * drain)
	}
	return l.rate
}

// judge draws the conclusions of a window, or of what is worth several, and says
// whether the rate is another now.
func (l *limit) judge(s sample, weight int) (changed bool) {
	before := l.rate
	l.queued = s.queue > standing
	grown := s.queue > l.longest+max(rise, l.longest/8)
	switch {
	case s.loss > heavyLoss, l.queued && (grown || s.loss > someLoss):
		l.bad(s, weight)
	case s.queue < standing/2:
		l.forget()
		l.clear(s, weight)
	default:
		// Neither: it may be a queue that is full, or the rest of a stall.
		if l.idle++; l.idle > patience || float64(s.queue) < keepHigh*float64(l.longest) {
			l.forget()
		}
	}
	return l.rate != before
}

func (l *limit) forget() {
	l.hits, l.idle, l.full, l.longest, l.peak, l.offered = 0, 0, 0, 0, 0, 0
}

func (l *limit) bad(s sample, weight int) {
	l.hits += weight
	l.idle = 0
	if float64(s.received) < keepsUp*float64(s.sent) {
		l.full += weight
	}
	l.longest, l.peak, l.offered = max(l.longest, s.queue), max(l.peak, s.received), max(l.offered, s.sent)
	if l.hits >= refuted && l.rate > l.measured {
		l.rate, l.quiet, l.hold = l.measured, 0, min(2*l.hold, mostHold)
	}
	if l.hits >= sustained {
		if !l.idleSender() && !l.random(s) {
			l.set()
			l.blamed = s.loss
		}
		l.forget()
	}
}

// idleSender says that we send much less than the path has carried lately: what
// comes through is no measure of it, and the queue somebody else's.
func (l *limit) idleSender() bool { return 2*l.offered < max(l.best, l.next) }

// random says that a limit did not help against the loss, which hence has nothing
// to do with how much is sent.
func (l *limit) random(s sample) bool {
	return !l.queued && l.blamed > 0 && s.loss > l.blamed*(1-same) && s.loss < l.blamed*(1+same)
}

// set limits to what came through at most. Where all did that was sent, so may
// more: what was received in better times counts, too.
func (l *limit) set() {
	measured := max(l.peak, slowest)
	if 2*l.full < l.hits {
		measured = max(measured, l.best, l.next)
	}
	if l.rate == 0 {
		l.hold = min(max(2*l.hold, leastHold), mostHold)
	}
	l.rate, l.measured, l.quiet = measured, measured, 0
	l.best, l.next = measured, 0
	if l.rate > fastest {
		l.rate = 0
	}
}

// clear notes a window without a queue, and tries more after some.
func (l *limit) clear(s sample, weight int) {
	l.remember(s.received)
	l.blamed = 0
	l.quiet += weight
	if l.rate == 0 {
		if l.quiet >= calm {
			l.hold = 0
		}
		return
	}
	if l.quiet < l.hold {
		return
	}
	l.rate = int64(float64(l.rate) * growth)
	if l.rate >= lifted*l.measured || l.rate > fastest {
		l.rate, l.quiet = 0, 0
	}
}

func (l *limit) remember(received int64) {
	if l.clears++; l.clears >= memory {
		l.clears, l.best, l.next = 0, l.next, 0
	}
	l.next = max(l.next, received)
}
