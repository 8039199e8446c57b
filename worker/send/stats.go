package send

import (
	"sync/atomic"
	"time"
)

// counter names one thing that is counted, for each viewer and for the worker.
type counter int

const (
	frames counter = iota
	framesSlow
	framesWaiting
	framesBad
	sounds
	soundsDropped
	packets
	octets
	bursts
	resentRTX
	resentPlain
	refusedGone
	refusedUnknown
	refusedSoon
	refusedBudget
	keyFramesAsked
	keyFramesRefused
	feedbackDropped
	feedbackBad
	tooLarge
	unsent
	sealErrors
	writeErrors
	reports
	numCounters
)

type tally [numCounters]atomic.Uint64

// Counts are what happened so far, to one viewer or to all of a worker.
type Counts struct {
	Frames  uint64 // pictures whose last packet was sent
	Sounds  uint64 // packets of sound sent
	Packets uint64 // RTP packets, resends included
	Bytes   uint64 // of these packets, sealed
	Bursts  uint64 // runs of packets of equal size, each handed to the socket at once

	FramesDroppedSlow    uint64 // the viewer's queue was full
	FramesDroppedWaiting uint64 // not key frames, while the viewer waited for one
	FramesRefused        uint64 // pictures and sound that cannot be cut into payloads
	SoundsDropped        uint64 // the viewer's queue was full

	ResentRTX      uint64 // lost packets sent again on the retransmission stream
	ResentPlain    uint64 // lost packets sent again as they were
	RefusedGone    uint64 // resends refused: overwritten in the ring
	RefusedUnknown uint64 // resends refused: never sent
	RefusedSoon    uint64 // resends refused: sent again less than a round trip ago
	RefusedBudget  uint64 // resends refused: more than a viewer may ask for

	KeyFramesAsked   uint64 // PLI and FIR of browsers
	KeyFramesRefused uint64 // of these, and of those for resends that are gone, not passed on: more than a viewer may ask for
	FeedbackDropped  uint64 // RTCP dropped: the inbox was full, or it asks for more than a viewer may
	FeedbackBad      uint64 // RTCP that is malformed
	TooLarge         uint64 // datagrams that went as IP fragments
	Unsent           uint64 // datagrams that the socket dropped
	SealErrors       uint64 // packets that could not be sealed: always 0, or we reused an index
	WriteErrors      uint64 // packets and reports that pion's writer refused
	Reports          uint64 // sender reports sent
}

func (t *tally) counts() Counts {
	n := func(c counter) uint64 { return t[c].Load() }
	return Counts{
		Frames: n(frames), Sounds: n(sounds), Packets: n(packets), Bytes: n(octets), Bursts: n(bursts),
		FramesDroppedSlow: n(framesSlow), FramesDroppedWaiting: n(framesWaiting),
		FramesRefused: n(framesBad), SoundsDropped: n(soundsDropped),
		ResentRTX: n(resentRTX), ResentPlain: n(resentPlain),
		RefusedGone: n(refusedGone), RefusedUnknown: n(refusedUnknown),
		RefusedSoon: n(refusedSoon), RefusedBudget: n(refusedBudget),
		KeyFramesAsked: n(keyFramesAsked), KeyFramesRefused: n(keyFramesRefused), FeedbackDropped: n(feedbackDropped), FeedbackBad: n(feedbackBad),
		TooLarge: n(tooLarge), Unsent: n(unsent), SealErrors: n(sealErrors), WriteErrors: n(writeErrors),
		Reports: n(reports),
	}
}

// Stats counts what all Senders that share it do. The zero value is ready; any
// goroutine.
type Stats struct {
	tally    tally
	fast     atomic.Int64
	fallback atomic.Int64
	latency  [LatencyBuckets]atomic.Uint64
	sum      atomic.Int64
}

// LatencyBuckets is how many buckets Totals.Latency has.
const LatencyBuckets = 10

// LatencyBound is the upper bound of a bucket of Totals.Latency: 250 us, doubled
// from one to the next; the last bucket has none, and 0 is returned.
func LatencyBound(bucket int) time.Duration {
	if bucket < 0 || bucket >= LatencyBuckets-1 {
		return 0
	}
	return 250 * time.Microsecond << bucket
}

// Totals is a snapshot of Stats.
type Totals struct {
	Counts
	ViewersFast     int // viewers that we send to ourselves
	ViewersFallback int // viewers that pion's writer sends to

	// Latency counts pictures, once for each viewer, by the time from Video until
	// their last packet was handed to the kernel; see LatencyBound.
	Latency    [LatencyBuckets]uint64
	LatencySum time.Duration // of all of them together
}

// Snapshot returns what was counted so far. The numbers are read one after the
// other, so they may differ by what happens meanwhile.
func (s *Stats) Snapshot() Totals {
	t := Totals{
		Counts:      s.tally.counts(),
		ViewersFast: int(s.fast.Load()), ViewersFallback: int(s.fallback.Load()),
		LatencySum: time.Duration(s.sum.Load()),
	}
	for i := range s.latency {
		t.Latency[i] = s.latency[i].Load()
	}
	return t
}

func (s *Stats) took(d time.Duration) {
	i := 0
	for i < LatencyBuckets-1 && d > LatencyBound(i) {
		i++
	}
	s.latency[i].Add(1)
	s.sum.Add(int64(d))
}

// ViewerStats is what happened to one viewer.
type ViewerStats struct {
	Counts
	Open      bool
	Fast      bool          // we send ourselves; else pion's writer does
	RoundTrip time.Duration // 0 = not known yet
	Loss      float64       // of video, 0..1, as last reported
	Rate      int64         // bit/s that the path is thought to carry; 0 = no limit is known
}
