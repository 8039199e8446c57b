package main

import (
	"errors"
	"fmt"

	"github.com/cloudretro/cloudretro/worker/engine"
)

// coreProcess is the hidden command by which a worker runs its own binary once
// for each room. It touches neither configuration nor signals.
func coreProcess(args []string) (code int, ok bool) {
	if len(args) != 1 || args[0] != engine.CoreCommand {
		return 0, false
	}
	return engine.CoreMain(), true
}

// engineAvailable says whether this build can run games.
func engineAvailable() error { return engine.Available() }

// addWorker binds the media port and the probe.
func (h *house) addWorker() error {
	if err := engineAvailable(); err != nil {
		return fmt.Errorf("role worker: %w; or run the other roles alone: --role=coordinator,turn", err)
	}
	if err := h.cfg.CheckFolders(); err != nil {
		return err
	}
	return errors.New("role worker: not built yet")
}
