package coordinator

import (
	"sync/atomic"
	"time"
)

// causes are why something of a stranger was refused: the codes that pages hear
// and what happens before a message is read. There are few and they never come
// from outside, so that each can be a series of a metric.
func causes() []string {
	return []string{
		"bad-request", "too-large", "version", "not-found", "no-worker", "full", "denied", "failed",
		"draining", "overloaded", "expired", "revoked", "used", "invite", "removed", "sign-in", "not-host", "elsewhere",
		"address", "sockets", "strangers", "sessions", "queue", "origin", "cross-site", "handshake",
		"rate", "starts", "requests", "slow", "token", "password", "state", "path", "method", "stopping", causeOther,
	}
}

const causeOther = "other" // each cause that is not in the list

// Bounds of what is measured, in buckets that each are less than or equal to
// their bound; what is over the last one is counted in one more bucket.
func latencyBounds() []time.Duration {
	return []time.Duration{
		time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
		50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
		time.Minute, 5 * time.Minute, 30 * time.Minute,
	}
}

// Histogram is a distribution of durations.
type Histogram struct {
	Bounds []time.Duration // ascending, inclusive
	Counts []uint64        // one for each bound, and one for what is longer
	Sum    time.Duration
}

// stats counts what the coordinator does. Its methods may be called
// concurrently and take no lock.
type stats struct {
	refused           map[string]*atomic.Uint64 // by cause; the map is never changed
	grants, latencies histogram
}

func newStats() *stats {
	s := &stats{refused: map[string]*atomic.Uint64{}, grants: newHistogram(), latencies: newHistogram()}
	for _, cause := range causes() {
		s.refused[cause] = new(atomic.Uint64)
	}
	return s
}

// refuse counts something that was refused, by one of causes.
func (s *stats) refuse(cause string) {
	n := s.refused[cause]
	if n == nil {
		n = s.refused[causeOther]
	}
	n.Add(1)
}

// granted measures a game: from the request to the place, waiting included.
func (s *stats) granted(d time.Duration) { s.grants.add(d) }

// answered measures how long a worker took to answer.
func (s *stats) answered(d time.Duration) { s.latencies.add(d) }

// refusals are all counts by cause.
func (s *stats) refusals() map[string]uint64 {
	all := make(map[string]uint64, len(s.refused))
	for cause, n := range s.refused {
		all[cause] = n.Load()
	}
	return all
}

// histogram is a Histogram that is being filled.
type histogram struct {
	bounds []time.Duration
	counts []atomic.Uint64
	sum    *atomic.Int64
}

func newHistogram() histogram {
	bounds := latencyBounds()
	return histogram{bounds, make([]atomic.Uint64, len(bounds)+1), new(atomic.Int64)}
}

func (h histogram) add(d time.Duration) {
	i := 0
	for i < len(h.bounds) && d > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(max(d, 0)))
}

func (h histogram) read() Histogram {
	out := Histogram{Bounds: h.bounds, Counts: make([]uint64, len(h.counts)), Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		out.Counts[i] = h.counts[i].Load()
	}
	return out
}

// Stats are a coordinator in numbers, and what all workers have announced to it.
type Stats struct {
	Pages, Roles int // sockets of pages, and of workers and gates
	Sessions     int // of pages, with and without a socket
	Waiting      int // players that wait for a place here
	Gates        int
	Relays       int // URLs that Config.Relays knows

	Workers         map[string]int // by state; see signal.Load, and "silent"
	Rooms           int
	Players         int
	Viewers         int
	Browsers        int // at the workers, whoever connects them
	Places, Free    int
	LateAnswers     uint64 // of workers, that nobody waited for any more
	Libraries       int    // different ones
	LibrariesWanted int    // announced and not yet known

	Refused   map[string]uint64 // what was refused, by cause
	Grant     Histogram         // from the wish for a game to its place
	Signaling Histogram         // until a worker answered
}

// Stats may be called at any time.
func (c *Coordinator) Stats() Stats {
	t := c.registry.totals()
	return Stats{
		Pages: int(c.pages.open.Load()), Roles: int(c.roles.open.Load()), Sessions: c.sessions.count(), Waiting: c.queue.length(), Gates: t.Gates,
		Workers: t.Workers, Rooms: t.Rooms, Players: t.Players, Viewers: t.Viewers, Browsers: t.Sessions,
		Places: t.Places, Free: t.Free, LateAnswers: t.LateAnswers, Libraries: t.Libraries, LibrariesWanted: t.LibrariesWanted,
		Relays: len(c.relayURLs()), Refused: c.stats.refusals(), Grant: c.stats.grants.read(), Signaling: c.stats.latencies.read(),
	}
}

// count is how many sessions there are.
func (t *sessions) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}
