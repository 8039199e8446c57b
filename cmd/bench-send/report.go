package main

import (
	"math"
	"time"

	"github.com/cloudretro/cloudretro/cmd/benchline"
)

// Names of what ours is compared with.
const (
	baselineName = "pion WriteSample, default interceptors, TWCC"
	floorName    = "floor: UDP_SEGMENT and AES-GCM alone, paced as ours"
	atOnceName   = "floor without pacing"
	batchedName  = "ours with sendmmsg only"
)

// unit of ours and peer: more is better, and so is a ratio above 1.
const unit = "packets per CPU-second"

// line is one result. Figures of ours and of the peer, medians of all runs.
type line struct {
	benchline.Result
	Runs    int              `json:"runs"`
	Spread  [2]float64       `json:"ratio_spread"` // least and greatest of neighbouring runs
	Details details          `json:"details"`
	Viewers map[string]*seen `json:"viewers,omitempty"` // of ours and of the baseline
}

// details are those of both sides.
type details struct {
	Ours detail `json:"ours"`
	Peer detail `json:"peer"`
}

// detail is what a packet costs.
type detail struct {
	NsPerPacket      float64 `json:"ns_per_packet"` // CPU of the sending process, user and system
	User             float64 `json:"user_ns_per_packet"`
	Allocs           float64 `json:"allocs_per_packet"`
	Syscalls         float64 `json:"syscalls_per_packet"` // that send
	Segments         float64 `json:"segments_per_send"`
	PacketsPerFrame  float64 `json:"packets_per_frame"` // of all viewers
	PacketsPerRun    float64 `json:"packets_per_run"`
	Dropped          uint64  `json:"frames_dropped,omitempty"`
	Resent           uint64  `json:"resent,omitempty"`
	Refused          uint64  `json:"resends_refused,omitempty"`
	KeyFramesAsked   uint64  `json:"key_frames_asked,omitempty"`
	PercentOfOneCore float64 `json:"percent_of_a_core"`
}

// seen is what the receivers found.
type seen struct {
	Frames   int    `json:"frames"` // that each viewer was to see
	Good     int    `json:"good"`
	Bad      int    `json:"bad"`
	Missing  int    `json:"missing"`
	Lost     uint64 `json:"packets_lost"`
	Repaired uint64 `json:"packets_by_rtx"`
}

func (s *side) detail() detail {
	d := detail{
		NsPerPacket:      s.median(figures.cpu),
		User:             s.median(func(f figures) float64 { return float64(f.User) / float64(f.Packets) }),
		Allocs:           s.median(func(f figures) float64 { return f.per(f.Allocs) }),
		Syscalls:         s.median(func(f figures) float64 { return f.per(f.Syscalls) }),
		Segments:         s.median(func(f figures) float64 { return float64(f.Packets) / float64(f.Messages) }),
		PacketsPerFrame:  s.median(func(f figures) float64 { return float64(f.Packets) / float64(f.Last-f.First+1) }),
		PacketsPerRun:    s.median(func(f figures) float64 { return float64(f.Packets) }),
		PercentOfOneCore: s.median(func(f figures) float64 { return 100 * float64(f.User+f.System) / float64(f.Wall) }),
	}
	for _, v := range []*float64{
		&d.NsPerPacket, &d.User, &d.Allocs, &d.Syscalls, &d.Segments, &d.PacketsPerFrame, &d.PacketsPerRun, &d.PercentOfOneCore,
	} {
		*v = benchline.Round(*v)
	}
	for _, f := range s.runs {
		d.Dropped += f.Dropped
		d.Resent += f.Resent
		d.Refused += f.Refused
		d.KeyFramesAsked += f.KeyFrames
	}
	return d
}

// report prints ours against each other side of a case.
func (b *bench) report(name string, sides map[string]*side) error {
	for _, peer := range []struct{ side, name string }{
		{"baseline", baselineName}, {"floor", floorName}, {"at once", atOnceName}, {"sendmmsg", batchedName},
	} {
		if sides[peer.side] == nil {
			continue
		}
		if err := b.print(name, sides["ours"], sides[peer.side], peer.name, nil); err != nil {
			return err
		}
	}
	return nil
}

// print writes one line. The ratio is the median of those of neighbouring runs,
// which a change of the machine's speed between them does not touch.
func (b *bench) print(name string, ours, peer *side, peerName string, viewers map[string]*seen) error {
	perSecond := func(s *side) float64 { return float64(time.Second) / s.median(figures.cpu) }
	l := line{
		Result:  benchline.New("send", name, math.Round(perSecond(ours)), math.Round(perSecond(peer)), peerName, unit),
		Runs:    len(ours.runs),
		Spread:  [2]float64{math.Inf(1), 0},
		Details: details{ours.detail(), peer.detail()},
		Viewers: viewers,
	}
	l.Ratio = benchline.Round(ours.times(peer))
	for i := range ours.runs {
		r := benchline.Round(peer.runs[i].cpu() / ours.runs[i].cpu())
		l.Spread = [2]float64{min(l.Spread[0], r), max(l.Spread[1], r)}
	}
	b.say("  %.0f ns a packet, %.0f ns for %s: %.2f times as many packets a CPU-second",
		l.Details.Ours.NsPerPacket, l.Details.Peer.NsPerPacket, peerName, l.Ratio)
	return benchline.Print(b.out, l)
}
