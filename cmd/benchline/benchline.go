// Package benchline is what the benchmark commands share: the JSON line that
// each result is, and a main function around them.
package benchline

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// Result is one result. A command that has more to say embeds it in a struct of
// its own.
type Result struct {
	Bench    string  `json:"bench"` // the command, without "bench-"
	Case     string  `json:"case"`
	Ours     float64 `json:"ours"`
	Peer     float64 `json:"peer"`
	PeerName string  `json:"peer_name"`
	Ratio    float64 `json:"ratio"` // ours to the peer; the unit tells which way is better
	Unit     string  `json:"unit"`
}

// New makes a result with figures rounded to five significant digits, 0 as
// ratio if there is nothing to compare with.
func New(bench, name string, ours, peer float64, peerName, unit string) Result {
	r := Result{Bench: bench, Case: name, Ours: Round(ours), Peer: Round(peer), PeerName: peerName, Unit: unit}
	if peer != 0 {
		r.Ratio = Round(ours / peer)
	}
	return r
}

// Round keeps five significant digits. What JSON cannot hold becomes 0.
func Round(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	scale := math.Pow(10, 4-math.Floor(math.Log10(math.Abs(v))))
	if scale > 1 {
		return math.Round(v*scale) / scale
	}
	return math.Round(v)
}

// Median of values, the mean of the middle two of an even number of them; 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// Print writes a Result, or a struct that embeds one, as one line.
func Print(w io.Writer, line any) error {
	if err := json.NewEncoder(w).Encode(line); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// Main parses the flags, runs a benchmark until it ends or the user stops it,
// and exits: with 1 after an error, which it prints.
func Main(name string, run func(ctx context.Context) error) {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}
