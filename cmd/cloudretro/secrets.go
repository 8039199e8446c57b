package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"

	"github.com/cloudretro/cloudretro/config"
	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// errNoSecret is the whole answer to a split installation without a secret.
var errNoSecret = errors.New("secrets.worker is empty: coordinator, worker and turn in separate processes prove themselves with a shared secret; " +
	"make one (openssl rand -hex 32) and set it on all of them, as CLOUDRETRO_SECRETS_WORKER or secrets.worker; " +
	"in Kubernetes, kubernetes.enabled and kubernetes.secrets have coordinators make one, and kubernetes.token.file proves workers without")

// withSecrets is cfg with those of the cluster, if there is one, kube, and they
// are to come from there. Where one process runs all roles and none is set, it is a
// random one: nobody else needs to know it.
func withSecrets(ctx context.Context, cfg config.Config, r roles, kube *cluster.Cluster) (config.Config, error) {
	if kube != nil && cfg.Kubernetes.Secrets {
		var err error
		if cfg, err = fromCluster(ctx, cfg, r, kube); err != nil {
			return cfg, err
		}
	}
	token := !r.coordinator && kube != nil && cfg.Kubernetes.Token.File != ""
	switch {
	case cfg.Secrets.Worker != "":
	case !r.coordinator && (!r.worker || token) && (!r.turn || len(cfg.Secrets.Turn) > 0): // they need no other
	case r.all():
		var secret [32]byte
		_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
		cfg.Secrets.Worker = hex.EncodeToString(secret[:])
	default:
		return cfg, errNoSecret
	}
	return cfg, nil
}
