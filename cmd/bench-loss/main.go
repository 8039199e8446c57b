// Command bench-loss plays recordings in headless Chromium over packages peer and
// send, through a path that delays and loses datagrams at random both ways, and
// counts what the viewer sees: a picture that comes more than 100 ms after it is
// due is a freeze. Every pixel of every picture is checked. It prints one JSON
// object per line; the peer is the same stream at the same time without loss or
// delay, so that what the machine does to all can be told from what the path does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/cloudretro/cloudretro/cmd/benchline"
	"github.com/cloudretro/cloudretro/cmd/e2e"
	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// line is one result.
type line struct {
	benchline.Result
	Minutes   float64    `json:"minutes"`
	Corrupted float64    `json:"corrupted"` // pictures; there must be none
	Stalled   int        `json:"stalled"`   // freezes in which the browser's own thread stood still for 30 ms and more
	Longest   float64    `json:"longest_gap_ms"`
	Seen      e2e.Seen   `json:"page"`
	Sent      peer.Stats `json:"viewer"`
	Path      e2e.Loss   `json:"path"`
}

// stalled is how long a thread of the browser must have stood still, in ms, for a
// freeze to be laid at the machine's door.
const stalled = 30

// recorded is how many pictures are played again and again.
const recorded = 240

type options struct {
	time   time.Duration
	path   e2e.Path
	codecs string
	log    *slog.Logger
}

func main() {
	o := options{}
	flag.DurationVar(&o.time, "time", time.Minute, "how long to watch each codec")
	flag.DurationVar(&o.path.Delay, "delay", 10*time.Millisecond, "one way")
	flag.Float64Var(&o.path.Loss, "loss", 0.02, "share of datagrams that get lost, each way")
	flag.Uint64Var(&o.path.Seed, "seed", 1, "of the random losses")
	flag.StringVar(&o.codecs, "codecs", "H264,VP8,VP9,AV1", "what to play, one after the other")
	verbose := flag.Bool("v", false, "log what the packages do")
	benchline.Main("bench-loss", func(ctx context.Context) error {
		out := io.Discard
		if *verbose {
			out = os.Stderr
		}
		o.log = slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		return o.run(ctx)
	})
}

func (o options) run(ctx context.Context) error {
	browser, err := e2e.StartBrowser(ctx)
	if err != nil {
		return err
	}
	defer browser.Close()
	for name := range strings.SplitSeq(o.codecs, ",") {
		if err := o.play(ctx, browser, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// play shows one codec three ways at once: undisturbed, with RTX, without.
func (o options) play(ctx context.Context, browser *e2e.Browser, name string) error {
	codec, ok := map[string]packetize.Codec{"H264": packetize.H264, "VP8": packetize.VP8, "VP9": packetize.VP9, "AV1": packetize.AV1}[name]
	if !ok {
		return errors.New("no such codec")
	}
	recording, err := e2e.Record(ctx, codec, recorded)
	if err != nil {
		return err
	}
	other := o.path
	other.Seed += 100
	ways := []struct {
		name string
		e2e.LoopOptions
	}{
		{"no loss", e2e.LoopOptions{}},
		{"RTX", e2e.LoopOptions{Path: &o.path}},
		{"no RTX", e2e.LoopOptions{Path: &other, NoRTX: true}},
	}
	var shows []*e2e.Show
	defer func() {
		for _, s := range shows {
			_ = s.Close()
		}
	}()
	for _, way := range ways {
		way.Recording, way.Logger = recording, o.log
		s, err := e2e.StartShow(ctx, browser, way.LoopOptions)
		if err != nil {
			return err
		}
		shows = append(shows, s)
	}
	undisturbed := 0.0
	for i, s := range shows {
		seen, err := s.Watch(o.time)
		if err != nil {
			return err
		}
		freezes := float64(len(seen.Late)) / seen.Minutes()
		if i == 0 {
			undisturbed = freezes
		}
		l := newLine(s, seen)
		l.Result = benchline.New("loss", name+", "+ways[i].name+", freezes", freezes, undisturbed, "the same without loss, same run", "1/min")
		if err := benchline.Print(os.Stdout, l); err != nil {
			return err
		}
	}
	return nil
}

func newLine(s *e2e.Show, seen e2e.Seen) line {
	l := line{
		Minutes: benchline.Round(seen.Minutes()), Corrupted: seen.Corrupted, Longest: benchline.Round(seen.Longest),
		Seen: seen, Sent: s.Stats(), Path: s.Loss(),
	}
	for _, late := range seen.Late {
		if late[2] >= stalled {
			l.Stalled++
		}
	}
	return l
}
