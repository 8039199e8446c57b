package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// patience is how long the roles have to end before they are left behind, besides
// the graces that they may take.
const patience = 10 * time.Second

// house is the roles of a process while they are put together: what listens
// already, and what will run.
type house struct {
	cfg   config.Config
	roles roles
	log   *slog.Logger
	// cluster is nil unless kubernetes.enabled.
	cluster *cluster.Cluster

	parts   []part
	closers []func() error // of parts that have not run yet
	checks  []check
	pulses  []*pulse
	reloads []func(config.Config) error // take what may change while they run
	metrics []prometheus.Collector      // of the roles, names without metricsPrefix

	set      config.Config // as it was read at the start, without the secrets that were got besides
	loaded   config.Config // as it was read last; of reload
	stale    []string      // keys of it that need a restart; of reload
	mistake  string        // that was told last, "" after none; of reload
	running  atomic.Pointer[config.Config]
	level    *slog.LevelVar
	reloaded reloads
	rotation rotation

	page     string   // URL of the page, "" without a coordinator here
	local    string   // URL by which roles of this process join it
	greeting []string // what the other roles say of themselves
}

// play runs the roles until ctx ends or one of them fails.
func (p program) play(ctx context.Context, cfg config.Config, r roles) error {
	log, level := newLevelled(p.stderr, cfg.Log)
	h, err := build(ctx, cfg, r, log)
	switch {
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return nil // told to end while the start waited for the cluster
	case err != nil:
		return err
	}
	h.level = level
	if err := p.print(h.welcome()); err != nil {
		return errors.Join(err, h.close())
	}
	if p.hangup != nil {
		reload := part{name: "reload", run: func(ctx context.Context) error { return h.reload(ctx, p.hangup) }}
		h.parts = append([]part{reload}, h.parts...) // ends last: what drains takes a level of logs too
	}
	return supervise(ctx, h.parts, h.patience, log)
}

// patience is how long the parts may take to end: what hangs has a bound, and who
// plays has the grace. The graces are those in force by then.
func (h *house) patience() time.Duration { return patience + h.graces(h.current()) }

// graces are how long the roles of this process may wait for games, one after the
// other. With a worker there is nothing left to wait for after its games.
func (h *house) graces(cfg config.Config) time.Duration {
	if h.roles.worker {
		return cfg.Worker.Rooms.DrainGrace
	}
	var sum time.Duration
	if h.roles.coordinator {
		sum += cfg.Coordinator.Server.DrainGrace
	}
	if h.roles.turn {
		sum += cfg.Turn.DrainGrace
	}
	return sum
}

// build makes the roles and binds their sockets, so that a port in use or a
// folder that cannot be read is an error before anything runs.
func build(ctx context.Context, cfg config.Config, r roles, log *slog.Logger) (*house, error) {
	kube, err := connect(cfg.Kubernetes, log)
	if err != nil {
		return nil, err
	}
	set := cfg
	cfg, err = withSecrets(ctx, cfg, r, kube)
	if err != nil {
		if kube != nil {
			err = errors.Join(err, kube.Close())
		}
		return nil, err
	}
	h := &house{cfg: cfg, roles: r, log: log, cluster: kube, set: set, loaded: set, level: &slog.LevelVar{}}
	h.reloaded.last.Store(time.Now().Unix())
	h.metrics = append(h.metrics, reloadMetrics(&h.reloaded))
	if kube != nil {
		h.closers = append(h.closers, kube.Close)
	}
	h.addRotation()
	steps := []struct {
		wanted bool
		add    func() error
	}{
		{r.coordinator, h.addCoordinator},
		{r.turn, h.addGate},
		{r.worker, h.addWorker},
		{cfg.Ops.Address != "", h.addOps},
	}
	for _, step := range steps {
		if !step.wanted {
			continue
		}
		if err := step.add(); err != nil {
			return nil, errors.Join(err, h.close())
		}
	}
	return h, nil
}

// close releases the sockets of parts that were never run.
func (h *house) close() error {
	var all error
	for _, c := range h.closers {
		all = errors.Join(all, c())
	}
	return all
}

// add takes a finished part.
func (h *house) add(name string, run func(context.Context) error, closer func() error) {
	h.parts = append(h.parts, part{name: name, run: run})
	h.closers = append(h.closers, closer)
}

// live notes that a part must answer, by alive, for the process to be alive, and
// what it still has to do when it was told to end.
func (h *house) live(name string, alive func(), left func() []any) {
	h.pulses = append(h.pulses, &pulse{name: name, alive: alive})
	for i := range h.parts {
		if h.parts[i].name == name {
			h.parts[i].left = left
		}
	}
}

// addOps opens the operators' door over the roles that are there.
func (h *house) addOps() error {
	o, err := newOps(h.cfg.Ops.Address, h.log.With("part", "ops"), h.checks, h.metrics)
	if err != nil {
		return explain(err, "ops.address", h.cfg.Ops.Address, "tcp")
	}
	o.pprof, o.pulses = h.cfg.Ops.PProf, h.pulses
	// The first part ends last: what drains must be seen to be ready meanwhile.
	h.parts = append([]part{{name: "ops", run: o.run}}, h.parts...)
	h.closers = append(h.closers, o.close)
	return nil
}

// welcome is the one line that a user sees. Where the page of a cluster is, its
// Service says.
func (h *house) welcome() string {
	if h.page != "" && h.cluster != nil {
		return "CloudRetro serves the page of Service " + h.cfg.Kubernetes.CoordinatorService + " in namespace " + h.cluster.Namespace + "\n"
	}
	if h.page != "" {
		return "CloudRetro plays at " + h.page + "\n"
	}
	return "CloudRetro " + strings.Join(h.greeting, "; ") + "\n"
}

// pageURL is how a user of this machine reaches what listens at addr.
func pageURL(addr net.Addr, https bool) string {
	scheme := "http"
	if https {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return fmt.Sprintf("%s://%s", scheme, addr)
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		return scheme + "://" + host
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// ownURL is how a role of this process reaches what listens at addr: never by a
// name, which may stand for an address that this machine does not have.
func ownURL(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}
	}
	return "http://" + addr.String()
}
