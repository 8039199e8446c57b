// Command bench-play plays in headless Chromium against the real binary and
// counts: pictures per second against the rate that the core reports, sound
// packets per second against 100, and how long the picture stands still when a
// core process is killed or hangs. It prints one JSON object per line; ratio is
// ours to what is due (rates) or to the limit that the project sets itself
// (gaps). Run it on a machine that does nothing else.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/cloudretro/cloudretro/cmd/benchline"
	"github.com/cloudretro/cloudretro/cmd/e2e"
)

// line is one result.
type line struct {
	benchline.Result
	Freezes float64 `json:"freezes"`
	Lost    float64 `json:"lost"`
}

func main() {
	window := flag.Duration("window", 20*time.Second, "time to count over")
	games := flag.String("games", "", "folder of games; the first game of each system is played")
	benchline.Main("bench-play", func(ctx context.Context) error { return run(ctx, *window, *games) })
}

func run(ctx context.Context, window time.Duration, games string) error {
	b, err := e2e.NewBench(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	stage, err := e2e.Start(ctx, e2e.Options{Bin: b.Bin, Dir: b.Dir, Games: games})
	if err != nil {
		return err
	}
	defer func() { _ = stage.Stop() }()
	list, err := stage.Games(ctx)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, game := range list {
		if seen[game.System] {
			continue
		}
		seen[game.System] = true
		if err := rates(b.Browser, stage, game, window); err != nil {
			return fmt.Errorf("%s: %w", game.ID, err)
		}
	}
	return gaps(ctx, b)
}

// rates prints how many pictures and packets arrive.
func rates(browser *e2e.Browser, stage *e2e.Stage, game e2e.Game, window time.Duration) error {
	page, err := browser.Open(stage.URL + "/play/" + game.ID)
	if err != nil {
		return err
	}
	defer page.Close()
	if err := page.AwaitFlow(); err != nil {
		return err
	}
	fps, err := page.FPS()
	if err != nil {
		return err
	}
	flow, err := page.Watch(window)
	if err != nil {
		return err
	}
	pictures := benchline.New("play", game.System+", decoded pictures", flow.Pictures/flow.Seconds, fps, "rate of the core", "1/s")
	sounds := benchline.New("play", game.System+", sound packets of 10 ms", flow.Packets/flow.Seconds, 100, "exactly", "1/s")
	waits := benchline.New("play", game.System+", sound in Chromium's jitter buffer", flow.SoundDelay, 10, "one packet", "ms")
	for _, r := range []benchline.Result{pictures, sounds, waits} {
		if err := benchline.Print(os.Stdout, line{r, flow.Freezes, flow.Lost}); err != nil {
			return err
		}
	}
	return nil
}

// gaps prints how long the picture stands still when its core process dies or hangs.
func gaps(ctx context.Context, b *e2e.Bench) error {
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		limit  float64 // ms
	}{{"core process killed", syscall.SIGKILL, 1000}, {"core process hangs", syscall.SIGSTOP, 3000}} {
		stage, err := e2e.Start(ctx, e2e.Options{Bin: b.Bin, Dir: b.Dir})
		if err != nil {
			return err
		}
		gap, err := gap(b.Browser, stage, c.signal)
		_ = stage.Stop()
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		r := benchline.New("play", c.name+", picture stands still", gap, c.limit, "limit", "ms")
		if err := benchline.Print(os.Stdout, line{Result: r}); err != nil {
			return err
		}
	}
	return nil
}

func gap(browser *e2e.Browser, stage *e2e.Stage, sig syscall.Signal) (float64, error) {
	page, err := browser.Open(stage.URL + "/play/test-card")
	if err != nil {
		return 0, err
	}
	defer page.Close()
	if err := page.AwaitFlow(); err != nil {
		return 0, err
	}
	cores := stage.Cores()
	if len(cores) != 1 {
		return 0, fmt.Errorf("core processes %v, want one", cores)
	}
	return page.Hurt(cores[0], sig)
}
