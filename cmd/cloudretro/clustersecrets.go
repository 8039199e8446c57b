package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/identity"
)

// fromCluster is cfg with what is empty under secrets and the roles need from
// Secrets of the cluster. Coordinators make those that are missing; who is none
// waits for them, until ctx ends, and is alive and not ready meanwhile.
func fromCluster(ctx context.Context, cfg config.Config, r roles, kube *cluster.Cluster) (config.Config, error) {
	names := needed(cfg, r)
	if len(names) == 0 {
		return cfg, nil
	}
	group, ctx := errgroup.WithContext(ctx)
	door, shut := context.WithCancel(ctx)
	defer shut()
	if cfg.Ops.Address != "" {
		group.Go(func() error { return waitingDoor(door, cfg.Ops.Address, kube.Logger) })
	}
	group.Go(func() error {
		defer shut()
		return getSecrets(ctx, &cfg.Secrets, names, r.coordinator, kube)
	})
	err := group.Wait()
	return cfg, err
}

// needed are the Secrets that roles need besides what is configured: a gate
// knows how credentials are signed, and a worker, which runs foreign code, knows
// none if it has a token.
func needed(cfg config.Config, r roles) []string {
	var names []string
	if cfg.Secrets.Worker == "" && (r.coordinator || r.worker && cfg.Kubernetes.Token.File == "") {
		names = append(names, cluster.SecretWorker)
	}
	if len(cfg.Secrets.Turn) == 0 && (r.coordinator || r.turn) {
		names = append(names, cluster.SecretTURN)
	}
	if cfg.Secrets.Session == "" && r.coordinator {
		names = append(names, cluster.SecretSession)
	}
	return names
}

// getSecrets reads Secrets, or makes them.
func getSecrets(ctx context.Context, into *config.Secrets, names []string, create bool, kube *cluster.Cluster) error {
	for _, name := range names {
		lines, err := kube.Secret(ctx, name, create)
		if err != nil {
			return fmt.Errorf("kubernetes.secrets: %w", err)
		}
		switch name {
		case cluster.SecretWorker:
			into.Worker = lines[0]
		case cluster.SecretTURN:
			into.Turn = lines
		case cluster.SecretSession:
			into.Session = lines[0]
		}
	}
	return nil
}

// errStarting is what the operators' door answers before there are roles.
var errStarting = errors.New("the start waits for Secrets of the cluster")

// waitingDoor is the operators' door while a start waits.
func waitingDoor(ctx context.Context, address string, log *slog.Logger) error {
	o, err := newOps(address, log, []check{{"start", func() error { return errStarting }}}, nil)
	if err != nil {
		return explain(err, "ops.address", address, "tcp")
	}
	return o.run(ctx)
}

// rotation is what of the secrets from the cluster changes while the process runs.
type rotation struct {
	sync.Mutex          // held by who hands a configuration to the roles
	turn       []string // cloudretro-turn as it was seen last, nil if it is not used
}

// addRotation follows the Secret that TURN credentials are signed with, if that
// is where they come from.
func (h *house) addRotation() {
	if h.cluster == nil || !h.cfg.Kubernetes.Secrets || len(h.set.Secrets.Turn) > 0 || !h.roles.coordinator && !h.roles.turn {
		return
	}
	h.rotation.turn = h.cfg.Secrets.Turn
	h.add("secrets", func(ctx context.Context) error {
		return h.cluster.WatchSecret(ctx, cluster.SecretTURN, h.rotate)
	}, func() error { return nil })
}

// rotate hands the lines of cloudretro-turn to the roles.
func (h *house) rotate(lines []string) {
	h.rotation.Lock()
	defer h.rotation.Unlock()
	if slices.Equal(lines, h.rotation.turn) {
		return
	}
	was := h.rotation.turn
	h.rotation.turn = lines
	if len(h.loaded.Secrets.Turn) > 0 {
		return // what is configured wins
	}
	before := h.current()
	next := before
	next.Secrets.Turn = lines
	if err := h.give(next, before); err != nil {
		h.rotation.turn = was // or no edit of the configuration would be taken either
		h.log.Error("rotated secrets not taken", "secret", cluster.SecretTURN, "cause", err)
		return
	}
	h.running.Store(&next)
	h.log.Info("rotated secrets taken", "secret", cluster.SecretTURN, "secrets", len(lines))
}

// tokens is what checks the tokens of workers.
func (h *house) tokens() (*identity.Verifier, error) {
	return identity.New(identity.Config{
		API: h.cluster.API, Namespace: h.cluster.Namespace,
		ServiceAccount: h.cfg.Kubernetes.Token.ServiceAccount, Audience: h.cfg.Kubernetes.Token.Audience,
		Logger: h.log.With("part", "tokens"),
	})
}
