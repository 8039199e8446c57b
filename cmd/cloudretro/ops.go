package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

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
	metrics  http.Handler
}

// newOps binds address over what the roles tell of themselves. It starts
// nothing: call run, or close.
func newOps(address string, log *slog.Logger, checks []check, roles []prometheus.Collector) (*ops, error) {
	registry, err := newRegistry(roles)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for operators: %w", err)
	}
	return &ops{log: log, listener: listener, checks: checks, metrics: metricsHandler(registry, log)}, nil
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
	mux.Handle("GET /metrics", o.metrics)
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
