package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"

	"github.com/cloudretro/cloudretro/config"
)

// errNoSecret is the whole answer to a split installation without a secret.
var errNoSecret = errors.New("secrets.worker is empty: coordinator, worker and turn in separate processes prove themselves with a shared secret; " +
	"make one (openssl rand -hex 32) and set it on all of them, as CLOUDRETRO_SECRETS_WORKER or secrets.worker")

// withSecrets is cfg with a random secret where one process runs all roles and
// none is set: nobody else needs to know it.
func withSecrets(cfg config.Config, r roles) (config.Config, error) {
	switch {
	case cfg.Secrets.Worker != "":
	case !r.coordinator && !r.worker && len(cfg.Secrets.Turn) > 0: // the gate needs no other
	case r.all():
		var secret [32]byte
		_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
		cfg.Secrets.Worker = hex.EncodeToString(secret[:])
	default:
		return cfg, errNoSecret
	}
	return cfg, nil
}
