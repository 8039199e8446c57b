package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// check is one condition of /readyz: nil when it holds.
type check struct {
	name  string
	ready func() error // called by any goroutine
}

// pulse is a part of a process that must answer for the process to be alive.
type pulse struct {
	name  string
	alive func() // returns soon, or hangs; called by any goroutine

	mu      sync.Mutex
	pending chan struct{} // of the last call, closed when it has returned
}

// ops is the operators' door: /livez, /readyz, /metrics and, if asked for,
// /debug/pprof/.
type ops struct {
	log      *slog.Logger
	listener net.Listener
	checks   []check
	pulses   []*pulse
	metrics  http.Handler
	pprof    bool
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
		WriteTimeout:      o.patience(),
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
	mux.HandleFunc("GET /livez", o.livez)
	mux.HandleFunc("GET /readyz", o.readyz)
	mux.Handle("GET /metrics", o.metrics)
	if o.pprof {
		// Its import adds the same to http.DefaultServeMux, which nobody serves.
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", noCommandLine)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// patience is how long an answer may take: profiles take as long as they are
// asked for, and are refused if that is longer.
func (o *ops) patience() time.Duration {
	if o.pprof {
		return 2 * time.Minute
	}
	return 10 * time.Second
}

// noCommandLine: there may be secrets on it, by --set.
func noCommandLine(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "the command line may have secrets on it", http.StatusForbidden)
}

// pulsePatience is how long a part may take to show that it is alive: as long as
// the kubelet may wait for the answer, less than that of the ops door.
const pulsePatience = 1500 * time.Millisecond

// livez names what hangs, with status 503. What it asks goes on without it: a
// part that hangs must hold up nothing here.
func (o *ops) livez(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), pulsePatience)
	defer cancel()
	answers := make([]<-chan struct{}, len(o.pulses))
	for i, p := range o.pulses {
		answers[i] = p.ask()
	}
	var hang []string
	for i, p := range o.pulses {
		if !answered(ctx, answers[i]) {
			hang = append(hang, p.name+": does not answer")
		}
	}
	if len(hang) > 0 {
		text := strings.Join(hang, "\n")
		o.log.Error("not alive", "cause", text)
		http.Error(w, text, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// ask answers a channel that is closed when the part has shown that it is alive.
// One that hangs is not asked again before: at most one goroutine waits for it.
func (p *pulse) ask() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending != nil {
		return p.pending
	}
	pending := make(chan struct{})
	p.pending = pending
	go func() { // ends with what it asks; nobody can wait for what hangs
		p.alive()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pending = nil
		close(pending)
	}()
	return pending
}

// answered waits for an answer until ctx ends.
func answered(ctx context.Context, answer <-chan struct{}) bool {
	select {
	case <-answer:
		return true
	case <-ctx.Done():
	}
	select {
	case <-answer: // while another one was waited for
		return true
	default:
		return false
	}
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
