package worker

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/cloudretro/cloudretro/worker/engine"
)

// scratch gives a room a private folder to save in if there is none for all
// rooms: some cores insist on one. It and what is in it are gone when remove is
// called, which is to be done in any case and once.
func scratch(log *slog.Logger, spec *engine.Spec) (remove func(), err error) {
	if spec.SaveDir != "" || spec.Kind != engine.KindLibretro {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "cloudretro-room-") // 0700
	if err != nil {
		return nil, fmt.Errorf("make a folder to save in: %w", err)
	}
	spec.SaveDir = dir
	return func() {
		if err := os.RemoveAll(dir); err != nil {
			log.Warn("temporary folder stays behind", "path", dir, "error", err)
		}
	}, nil
}
