// Command bench-latency measures what a player feels, in headless Chromium
// against the real binary: the time from a keydown in the page to the first
// changed frame (requestVideoFrameCallback), and the time from opening
// /play/<id> to the first frame. It prints one JSON object per line; times are
// in milliseconds. The peer's figures are those published in the design notes
// (CloudRetro cbbca28a on the same kind of machine, November 2026), not
// measured in this run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/cloudretro/cloudretro/cmd/benchline"
	"github.com/cloudretro/cloudretro/cmd/e2e"
)

// line is one result: below 1 is better.
type line struct {
	benchline.Result
	Samples int `json:"samples"`
}

const peerName = "CloudRetro cbbca28a, NES, published"

func main() {
	presses := flag.Int("presses", 60, "key presses to measure")
	loads := flag.Int("loads", 9, "page loads to measure")
	benchline.Main("bench-latency", func(ctx context.Context) error { return run(ctx, *presses, *loads) })
}

func run(ctx context.Context, presses, loads int) error {
	b, err := e2e.NewBench(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	stage, err := e2e.Start(ctx, e2e.Options{Bin: b.Bin, Dir: b.Dir})
	if err != nil {
		return err
	}
	defer func() { _ = stage.Stop() }()
	if err := measurePresses(b.Browser, stage, presses); err != nil {
		return err
	}
	for _, system := range []string{"test", "nes"} {
		if err := measureLoads(ctx, b.Browser, stage, system, loads); err != nil {
			return err
		}
	}
	return nil
}

// measurePresses holds A on the test card at random phases: its picture turns white.
func measurePresses(browser *e2e.Browser, stage *e2e.Stage, n int) error {
	page, err := browser.Open(stage.URL + "/play/test-card")
	if err != nil {
		return err
	}
	defer page.Close()
	if err := page.Until("probe.frames.length > 300", 20*time.Second); err != nil {
		return err
	}
	var ms []float64
	for i := range n {
		time.Sleep(time.Duration(150+rand.IntN(150))*time.Millisecond + time.Duration(rand.IntN(1000))*time.Microsecond)
		v, err := e2e.Eval[float64](page, "probe.press('KeyZ', () => probe.mean() > 200)")
		if err != nil {
			return err
		}
		ms = append(ms, v)
		fmt.Fprintf(os.Stderr, "\rpress %d of %d", i+1, n)
	}
	fmt.Fprintln(os.Stderr)
	return errors.Join(
		emit("input to changed frame, p50", ms, 0.5, 34.5),
		emit("input to changed frame, p90", ms, 0.9, 49))
}

// measureLoads opens the game's page again and again, each in a new tab.
func measureLoads(ctx context.Context, browser *e2e.Browser, stage *e2e.Stage, system string, n int) error {
	game, err := stage.GameOf(ctx, system)
	if err != nil {
		return err
	}
	var ms []float64
	for range n {
		page, err := browser.Open(stage.URL + "/play/" + game.ID)
		if err != nil {
			return err
		}
		if err := page.AwaitPicture(); err != nil {
			return err
		}
		v, err := e2e.Eval[float64](page, "probe.frames[0].now")
		page.Close()
		if err != nil {
			return err
		}
		ms = append(ms, v)
	}
	return errors.Join(
		emit("page load to first frame, "+system+", p50", ms, 0.5, 2100),
		emit("page load to first frame, "+system+", max", ms, 1, 2300))
}

// emit prints the quantile q of ms as a result line.
func emit(name string, ms []float64, q, peer float64) error {
	slices.Sort(ms)
	v := ms[min(int(q*float64(len(ms))), len(ms)-1)]
	return benchline.Print(os.Stdout, line{benchline.New("latency", name, v, peer, peerName, "ms"), len(ms)})
}
