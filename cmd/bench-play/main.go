// Command bench-play plays in headless Chromium against the real binary and
// counts: pictures per second against the rate that the core reports, sound
// packets per second against 100, and how long the picture stands still when a
// core process is killed or hangs. It prints one JSON object per line; ratio is
// ours to what is due (rates) or to the limit that the project sets itself
// (gaps). Run it on a machine that does nothing else.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cloudretro/cloudretro/cmd/e2e"
)

// line is one result.
type line struct {
	Bench    string  `json:"bench"`
	Case     string  `json:"case"`
	Ours     float64 `json:"ours"`
	Peer     float64 `json:"peer"`
	PeerName string  `json:"peer_name"`
	Ratio    float64 `json:"ratio"`
	Unit     string  `json:"unit"`
	Freezes  float64 `json:"freezes"`
	Lost     float64 `json:"lost"`
}

func main() {
	window := flag.Duration("window", 20*time.Second, "time to count over")
	games := flag.String("games", "", "folder of games; the first game of each system is played")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *window, *games); err != nil {
		fmt.Fprintln(os.Stderr, "bench-play:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, window time.Duration, games string) error {
	dir, err := os.MkdirTemp("", "bench-play")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin, err := e2e.Build(ctx, dir)
	if err != nil {
		return err
	}
	browser, err := e2e.StartBrowser(ctx, filepath.Join(dir, "profile"))
	if err != nil {
		return err
	}
	defer browser.Close()
	stage, err := e2e.Start(ctx, e2e.Options{Bin: bin, Dir: dir, Games: games})
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
		if err := rates(browser, stage, game, window); err != nil {
			return fmt.Errorf("%s: %w", game.ID, err)
		}
	}
	return gaps(ctx, browser, bin, dir)
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
	emit(line{
		Case: game.System + ", decoded pictures", Ours: flow.Pictures / flow.Seconds, Peer: fps, PeerName: "rate of the core",
		Unit: "1/s", Freezes: flow.Freezes, Lost: flow.Lost,
	})
	emit(line{
		Case: game.System + ", sound packets of 10 ms", Ours: flow.Packets / flow.Seconds, Peer: 100, PeerName: "exactly",
		Unit: "1/s", Freezes: flow.Freezes, Lost: flow.Lost,
	})
	return nil
}

// gaps prints how long the picture stands still when its core process dies or hangs.
func gaps(ctx context.Context, browser *e2e.Browser, bin, dir string) error {
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		limit  float64 // ms
	}{{"core process killed", syscall.SIGKILL, 1000}, {"core process hangs", syscall.SIGSTOP, 3000}} {
		stage, err := e2e.Start(ctx, e2e.Options{Bin: bin, Dir: dir})
		if err != nil {
			return err
		}
		gap, err := gap(browser, stage, c.signal)
		_ = stage.Stop()
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		emit(line{Case: c.name + ", picture stands still", Ours: gap, Peer: c.limit, PeerName: "limit", Unit: "ms"})
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

func emit(l line) {
	round := func(v float64) float64 { return float64(int(v*10000+0.5)) / 10000 }
	l.Bench, l.Ratio = "play", round(l.Ours/l.Peer)
	l.Ours, l.Peer = round(l.Ours), round(l.Peer)
	b, _ := json.Marshal(l)
	fmt.Println(string(b))
}
