package worker

import (
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/library/builtin"
)

// builtins are the games that come with the binary.
func builtins() []library.Builtin {
	games := builtin.Games()
	out := make([]library.Builtin, 0, len(games))
	for _, g := range games {
		out = append(out, library.Builtin{
			Game: signal.Game{ID: g.ID, Title: g.Title, System: g.System, Players: g.Players}, ID: g.ID,
		})
	}
	return out
}
