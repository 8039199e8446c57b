package worker

import (
	"slices"
	"strings"
	"sync"

	"github.com/cloudretro/cloudretro/worker/engine"
)

// gaps is what this host's sandbox around core processes lacks: the same for all
// of them, so it is told once. Its methods may be called from any goroutine.
type gaps struct {
	mu    sync.Mutex
	parts []string
}

// note takes engine.Info.Unconfined and says whether anything in it is new.
func (g *gaps) note(unconfined string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	more := false
	for text := range strings.SplitSeq(unconfined, "; ") {
		part, _, _ := strings.Cut(text, ":")
		if part != "" && !slices.Contains(g.parts, part) {
			g.parts, more = append(g.parts, part), true
		}
	}
	return more
}

func (g *gaps) list() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.parts)
}

// watched is the sink of a room whose engine is asked for gaps.
type watched struct {
	engine.Sink
	worker *Worker
}

// Event implements engine.Sink.
func (s watched) Event(ev engine.Event) {
	if ev.Kind == engine.EventReady || ev.Kind == engine.EventRestarted {
		if s.worker.gaps.note(ev.Info.Unconfined) {
			s.worker.log.Info("core processes run with parts of the sandbox missing on this host", "missing", ev.Info.Unconfined)
		}
	}
	s.Sink.Event(ev)
}
