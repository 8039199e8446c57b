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
	}
}
