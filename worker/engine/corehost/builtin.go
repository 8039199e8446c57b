package corehost

import (
	"fmt"

	"github.com/cloudretro/cloudretro/worker/libretro"
)

// builtinGame returns the ROM of a built-in game.
func builtinGame(id string) (libretro.Game, error) {
	return libretro.Game{}, fmt.Errorf("no built-in game %q", id)
}
