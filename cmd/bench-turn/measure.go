//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/cloudretro/cloudretro/cmd/benchline"
)

// figures are what one measurement tells.
type figures struct {
	perCPU float64 // packets relayed per second of the server's CPU time
	loss   float64 // share of packets
}

// line is a result with what shows that it is fair.
type line struct {
	benchline.Result
	Loss     float64 `json:"loss"`
	PeerLoss float64 `json:"peer_loss"`
}

// settle is how long a load runs before it is measured, and how long the last
// packets may take.
const settle = 300 * time.Millisecond

// measureAll goes through the cases in the namespace.
func measureAll(ctx context.Context, w wire) error {
	o := options{quick: w.Quick, only: w.Only, duration: time.Duration(w.Duration), rounds: w.Rounds}
	if runtime.NumCPU() < 2 {
		fmt.Fprintln(os.Stderr, "bench-turn: one processor only: servers and load share it, latencies mean little")
	}
	if err := pinAll(loadCPU); err != nil {
		return err
	}
	servers, err := startServers(ctx)
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	if err != nil {
		return err
	}
	for _, l := range chosen(o) {
		if err := compare(ctx, servers, l, o); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return errors.Join(latency(ctx, servers, o), memory(ctx, servers, o))
}

// compare runs one load against all servers in turn, round by round.
func compare(ctx context.Context, servers []*server, l load, o options) error {
	results := make([][]figures, len(servers))
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "bench-turn: %s, round %d of %d\n", l.name, round+1, o.rounds)
		for i, s := range servers {
			f, err := measure(ctx, s, l, o.duration)
			if err != nil {
				return err
			}
			results[i] = append(results[i], f)
		}
	}
	for i := range servers[1:] {
		ours, peer := results[0], results[i+1]
		result := line{
			benchline.New("turn", l.name, median(ours, speed), median(peer, speed), servers[i+1].name, "packets/CPU-s"),
			benchline.Round(median(ours, loss)), benchline.Round(median(peer, loss)),
		}
		if err := benchline.Print(os.Stdout, result); err != nil {
			return err
		}
	}
	return nil
}

func speed(f figures) float64 { return f.perCPU }
func loss(f figures) float64  { return f.loss }

func median(all []figures, of func(figures) float64) float64 {
	values := make([]float64, 0, len(all))
	for _, f := range all {
		values = append(values, of(f))
	}
	return benchline.Median(values)
}

// measure runs a load for a while. Only what is in the middle counts.
func measure(ctx context.Context, s *server, l load, d time.Duration) (figures, error) {
	f, err := newFlow(ctx, s, l, false)
	if err != nil {
		return figures{}, err
	}
	defer f.closeAll()
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- f.run(running) }()
	pause(ctx, settle)
	cpu, sent, received := cpuTime(s), f.sent.Load(), f.received.Load()
	pause(ctx, d)
	used, out, in := cpuTime(s)-cpu, f.sent.Load()-sent, f.received.Load()-received
	stop()
	if err := errors.Join(<-ended, ctx.Err()); err != nil {
		return figures{}, err
	}
	if in == 0 || used <= 0 {
		return figures{}, fmt.Errorf("%s relayed %d of %d packets in %s of CPU time", s.name, in, out, used)
	}
	return figures{perCPU: float64(in) / used.Seconds(), loss: max(0, 1-float64(in)/float64(out))}, nil
}

// latency measures round trips over a relay that has little to do.
func latency(ctx context.Context, servers []*server, o options) error {
	quiet := load{name: "round trip", allocations: 20, up: true, burst: 1, perSecond: 25}
	p50, p99 := make([][]float64, len(servers)), make([][]float64, len(servers))
	for range o.rounds {
		for i, s := range servers {
			f, err := newFlow(ctx, s, quiet, true)
			if err != nil {
				return err
			}
			limited, stop := context.WithTimeout(ctx, o.duration)
			err = f.run(limited)
			stop()
			f.closeAll()
			if err = errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			p50[i], p99[i] = append(p50[i], f.percentile(0.5)), append(p99[i], f.percentile(0.99))
		}
	}
	for i := range servers[1:] {
		for _, r := range []benchline.Result{
			benchline.New("turn", "round trip p50", benchline.Median(p50[0]), benchline.Median(p50[i+1]), servers[i+1].name, "us"),
			benchline.New("turn", "round trip p99", benchline.Median(p99[0]), benchline.Median(p99[i+1]), servers[i+1].name, "us"),
		} {
			if err := benchline.Print(os.Stdout, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// memory measures what idle allocations hold.
func memory(ctx context.Context, servers []*server, o options) error {
	idle := load{name: "idle", allocations: 1000}
	if o.quick {
		idle.allocations = 200
	}
	total, each := make([]float64, len(servers)), make([]float64, len(servers))
	for i, s := range servers {
		before := resident(s)
		f, err := newFlow(ctx, s, idle, false)
		if err != nil {
			return err
		}
		after := resident(s)
		f.closeAll()
		total[i], each[i] = after/1024, (after-before)/float64(idle.allocations)
	}
	for i := range servers[1:] {
		name := fmt.Sprintf("resident with %d idle allocations", idle.allocations)
		if err := errors.Join(
			benchline.Print(os.Stdout, benchline.New("turn", name, total[0], total[i+1], servers[i+1].name, "MiB")),
			benchline.Print(os.Stdout, benchline.New("turn", "an idle allocation more", each[0], each[i+1], servers[i+1].name, "KiB")),
		); err != nil {
			return err
		}
	}
	return nil
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
