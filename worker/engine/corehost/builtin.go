package corehost

import (
	"fmt"

	"github.com/cloudretro/cloudretro/worker/library/builtin"
	"github.com/cloudretro/cloudretro/worker/libretro"
)

// builtinGame returns the image of a built-in game under the name of a file.
func builtinGame(id string) (libretro.Game, error) {
	for _, g := range builtin.Games() {
		if g.ID == id {
			return libretro.Game{Path: g.ID + "." + g.System, Data: g.ROM}, nil
		}
	}
	return libretro.Game{}, fmt.Errorf("there is no built-in game %q", id)
}
