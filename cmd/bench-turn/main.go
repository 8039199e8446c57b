//go:build linux

// Command bench-turn compares what relaying costs our gate, coturn and plain
// pion/turn: packets per second of the server's CPU time, the latency that a
// relay adds, and memory.
//
// It runs in a network namespace of its own, servers pinned to one processor
// and the load to another, and goes from server to server within each case, so
// that what else the machine does hits all alike. Ratios count, not figures.
//
// Results are lines of JSON: ours and peer are packets per CPU-second, or what
// unit says; loss is the share of packets that did not arrive, which must be
// about 0 for a comparison to mean anything.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/cloudretro/cloudretro/cmd/benchline"
)

// options are the flags.
type options struct {
	quick    bool
	only     string
	duration time.Duration
	rounds   int
}

func main() {
	if name, ok := os.LookupEnv(childEnv); ok {
		if err := runChild(name); err != nil {
			fmt.Fprintf(os.Stderr, "bench-turn %s: %v\n", name, err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.BoolVar(&o.quick, "quick", false, "one short round of the main cases")
	flag.StringVar(&o.only, "only", "", "cases whose name contains this")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "of one measurement")
	flag.IntVar(&o.rounds, "rounds", 5, "measurements of each case and server")
	benchline.Main("bench-turn", func(ctx context.Context) error { return run(ctx, o) })
}

// run starts the benchmark again in a network namespace of its own.
func run(ctx context.Context, o options) error {
	if os.Geteuid() != 0 {
		return errors.New("making a network namespace takes root: run it with sudo")
	}
	if o.rounds < 1 || o.duration < 100*time.Millisecond {
		return errors.New("-rounds must be 1 or more, -duration 100ms or more")
	}
	if o.quick {
		o.rounds, o.duration = 1, time.Second
	}
	return runLoad(ctx, o)
}
