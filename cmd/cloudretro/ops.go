package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/metrics"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// gauge is one number of /metrics. The name has the prefix cloudretro_ and,
// where it only grows, the suffix _total.
type gauge struct {
	name, help string
	value      func() float64 // called by any goroutine
}

// check is one condition of /readyz: nil when it holds.
type check struct {
	name  string
	ready func() error // called by any goroutine
}

// ops is the operators' door: /livez, /readyz and /metrics.
type ops struct {
	log      *slog.Logger
	listener net.Listener
	checks   []check
	gauges   []gauge
}

// newOps binds address. It starts nothing: call run, or close.
func newOps(address string, log *slog.Logger) (*ops, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for operators: %w", err)
	}
	return &ops{log: log, listener: listener}, nil
}

func (o *ops) close() error { return o.listener.Close() }

// run serves until ctx ends.
func (o *ops) run(ctx context.Context) error {
	server := &http.Server{
		Handler:           o.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      10 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(o.log.Handler(), slog.LevelDebug),
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(o.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve operators: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return group.Wait()
}

func (o *ops) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", o.readyz)
	mux.HandleFunc("GET /metrics", o.metrics)
	return mux
}

// readyz names what is not ready, with status 503.
func (o *ops) readyz(w http.ResponseWriter, _ *http.Request) {
	var missing []string
	for _, c := range o.checks {
		if err := c.ready(); err != nil {
			missing = append(missing, c.name+": "+err.Error())
		}
	}
	if len(missing) > 0 {
		http.Error(w, strings.Join(missing, "\n"), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// metrics writes the Prometheus text format 0.0.4. It is so little that the
// client library, with the memory it holds, would be most of it.
func (o *ops) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	for _, g := range append(runtimeGauges(), o.gauges...) {
		kind := "gauge"
		if strings.HasSuffix(g.name, "_total") {
			kind = "counter"
		}
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s %g\n", g.name, g.help, g.name, kind, g.name, g.value())
	}
}

// runtimeGauges are what Go tells about the process.
func runtimeGauges() []gauge {
	read := func(name string) func() float64 {
		return func() float64 {
			sample := []metrics.Sample{{Name: name}}
			metrics.Read(sample)
			if sample[0].Value.Kind() != metrics.KindUint64 {
				return 0
			}
			return float64(sample[0].Value.Uint64())
		}
	}
	return []gauge{
		{"cloudretro_go_goroutines", "Goroutines.", read("/sched/goroutines:goroutines")},
		{"cloudretro_go_memory_bytes", "Memory that Go has mapped.", read("/memory/classes/total:bytes")},
		{"cloudretro_go_heap_bytes", "Memory of live and not yet collected objects.", read("/memory/classes/heap/objects:bytes")},
		{"cloudretro_go_allocations_total", "Objects allocated.", read("/gc/heap/allocs:objects")},
	}
}
