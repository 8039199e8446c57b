// Command bench-send measures what sending costs: CPU per RTP packet, by
// getrusage of a process that does nothing else, for
//
//   - the baseline: pion's WriteSample as it comes, with its default interceptors
//     and transport-wide sequence numbers, over a plain UDP socket;
//   - ours: package worker/send as a worker uses it, with history, reports,
//     feedback and pacing;
//   - the floor: segmentation offload and AES-GCM on packets of the same sizes,
//     and nothing else.
//
// All three send the same pictures, 60 a second, with AEAD_AES_128_GCM. They run
// in turn, again and again; figures are medians. At full speed RTP goes to a
// socket that nobody reads, over loopback, over a veth pair that passes
// super-packets, and over one that makes the kernel cut them up. In real time it
// goes to pion clients in a process of their own, which decrypt every packet,
// put every picture together and compare every byte, with and without loss.
//
// The veth pair joins two network namespaces that the command makes and removes,
// which needs root; without root those cases are skipped, and it says so. One
// JSON object per result goes to standard output: ours and peer in packets per
// CPU-second, ratio ours to the peer. Progress goes to standard error.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/cloudretro/cloudretro/cmd/benchline"
)

func main() {
	if what := os.Getenv(childEnv); what != "" {
		if err := serve(what, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench-send, child:", err)
			os.Exit(1)
		}
		return
	}
	quick := flag.Bool("quick", false, "fewer cases and packets, under a minute")
	only := flag.String("case", "", "only cases that this regular expression matches, e.g. '^loopback, 4 viewers'")
	reps := flag.Int("reps", 5, "repetitions of each case at full speed; half as many in real time")
	profiles := flag.String("profiles", "", "folder to write CPU profiles to; they cost some CPU themselves")
	benchline.Main("bench-send", func(ctx context.Context) error {
		pattern, err := regexp.Compile(*only)
		if err != nil {
			return fmt.Errorf("flag -case: %w", err)
		}
		b := &bench{
			out: os.Stdout, progress: os.Stderr, only: pattern, profiles: *profiles,
			reps: max(1, *reps), packets: 50000, seconds: 6, began: time.Now(),
		}
		if *quick {
			b.reps, b.packets, b.seconds = min(b.reps, 3), 10000, 3
			return b.run(ctx, quickMatrix())
		}
		return b.run(ctx, fullMatrix())
	})
}

func fullMatrix() matrix {
	return matrix{
		viewers: []int{1, 4, 16, 64}, kbits: []int{2000, 20000, 50000},
		live: []live{
			{viewers: 4, kbits: 20000},
			{viewers: 4, kbits: 20000, loss: 0.01},
			{viewers: 64, kbits: 4000, oneCore: true},
		},
	}
}

func quickMatrix() matrix {
	return matrix{
		viewers: []int{1, 4}, kbits: []int{2000, 20000},
		live: []live{{viewers: 2, kbits: 20000}, {viewers: 2, kbits: 20000, loss: 0.01}},
	}
}
