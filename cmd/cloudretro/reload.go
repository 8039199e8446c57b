package main

import (
	"context"
	"errors"
	"os"

	"github.com/cloudretro/cloudretro/config"
)

// hangup has a running process read its configuration again.
type hangup struct {
	signal <-chan os.Signal
	load   func() (config.Config, error)
}

// reload hands what may change, secrets.turn and turn.users, to the roles
// whenever the process is told to. A configuration that is wrong changes
// nothing.
func (h *house) reload(ctx context.Context, again *hangup) error {
	for {
		select {
		case <-again.signal:
		case <-ctx.Done():
			return nil
		}
		next, err := again.load()
		if err == nil {
			if next.Secrets.Worker == "" {
				next.Secrets.Worker = h.cfg.Secrets.Worker // made at random at the start
			}
			for _, take := range h.reloads {
				err = errors.Join(err, take(next))
			}
		}
		if err != nil {
			h.log.Error("configuration not taken", "cause", err)
			continue
		}
		h.log.Info("secrets.turn and turn.users read again; other keys need a restart")
		if stale := stale(h.cfg, next); len(stale) > 0 {
			h.log.Warn("changed keys are not taken before a restart", "keys", stale)
		}
	}
}

// stale are the keys that differ from those that the process runs with, but for
// those that it takes while it runs.
func stale(running, next config.Config) []string {
	running.Secrets.Turn, running.Turn.Users = next.Secrets.Turn, next.Turn.Users
	return config.Changed(running, next)
}
