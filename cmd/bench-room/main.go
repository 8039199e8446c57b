// Command bench-room measures what a room costs: the CPU and memory of the
// worker (all roles in one process) and its core processes while Chromium
// watches one NES room, then four rooms. It prints one JSON object per line:
// CPU in percent of one core, memory in MB resident. The peer's figures are
// published ones (CloudRetro cbbca28a, one room per worker process), not
// measured in this run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/cloudretro/cloudretro/cmd/benchline"
	"github.com/cloudretro/cloudretro/cmd/e2e"
)

// line is one result: below 1 is better.
type line struct {
	benchline.Result
	Worker float64 `json:"worker"`
	Cores  float64 `json:"cores"`
}

func main() {
	window := flag.Duration("window", 20*time.Second, "time to measure over")
	scale := flag.String("scale", "1", "encoder.video.scale")
	rooms := flag.Int("rooms", 4, "rooms of the second case")
	benchline.Main("bench-room", func(ctx context.Context) error { return run(ctx, *window, *scale, *rooms) })
}

func run(ctx context.Context, window time.Duration, scale string, rooms int) error {
	b, err := e2e.NewBench(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	stage, err := e2e.Start(ctx, e2e.Options{Bin: b.Bin, Dir: b.Dir, Split: true, Config: map[string]string{"CLOUDRETRO_ENCODER_VIDEO_SCALE": scale}})
	if err != nil {
		return err
	}
	defer func() { _ = stage.Stop() }()
	game, err := stage.GameOf(ctx, "nes")
	if err != nil {
		return err
	}
	for open := 0; open < rooms; {
		page, err := b.Browser.Open(stage.URL + "/play/" + game.ID)
		if err != nil {
			return err
		}
		if err := page.AwaitPicture(); err != nil {
			return err
		}
		if open++; open > 1 && open < rooms {
			continue
		}
		if err := measure(stage, window, open, scale); err != nil {
			return err
		}
	}
	return nil
}

// measure prints the cost of the rooms that are open now, per room.
func measure(stage *e2e.Stage, window time.Duration, rooms int, scale string) error {
	time.Sleep(3 * time.Second) // past start-up costs
	workerBefore, coresBefore, err := usage(stage)
	if err != nil {
		return err
	}
	start := time.Now()
	time.Sleep(window)
	worker, cores, err := usage(stage)
	if err != nil {
		return err
	}
	percent := func(a, b e2e.Usage) float64 { return 100 * float64(b.CPU-a.CPU) / float64(time.Since(start)) }
	n := float64(rooms)
	name := fmt.Sprintf("NES %sx, %d room(s), CPU of a core per room", scale, rooms)
	err = emit(name, percent(workerBefore, worker)/n, percent(coresBefore, cores)/n, 15, "% of a core")
	name = fmt.Sprintf("NES %sx, %d room(s), ", scale, rooms)
	return errors.Join(err,
		emit(name+"resident memory per room", mb(worker.RSS)/n, mb(cores.RSS)/n, 49, "MB"),
		emit(name+"proportional memory per room", mb(worker.PSS)/n, mb(cores.PSS)/n, 49, "MB"))
}

func mb(bytes int) float64 { return float64(bytes) / 1e6 }

// usage of the worker process and of all its core processes together.
func usage(stage *e2e.Stage) (worker, cores e2e.Usage, err error) {
	if worker, err = e2e.UsageOf(stage.Process("worker").Pid()); err != nil {
		return worker, cores, err
	}
	for _, pid := range stage.Cores() {
		u, err := e2e.UsageOf(pid)
		if err != nil {
			return worker, cores, err
		}
		cores.CPU += u.CPU
		cores.RSS += u.RSS
		cores.PSS += u.PSS
	}
	return worker, cores, nil
}

func emit(name string, worker, cores, peer float64, unit string) error {
	r := benchline.New("room", name, worker+cores, peer, "CloudRetro cbbca28a, one room, published", unit)
	return benchline.Print(os.Stdout, line{r, benchline.Round(worker), benchline.Round(cores)})
}
