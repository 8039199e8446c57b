package worker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/room"
	"github.com/cloudretro/cloudretro/worker/send"
)

// runRoom plays a room with an engine until it ends; see room.Room.Run.
type runRoom func(ctx context.Context, r *room.Room) error

// openEngine makes the engine of a room from what is to be played.
type openEngine func(cfg engine.Config, spec engine.Spec, sink engine.Sink) (runRoom, error)

func startEngine(cfg engine.Config, spec engine.Spec, sink engine.Sink) (runRoom, error) {
	e, err := engine.New(cfg, spec, sink)
	if err != nil {
		return nil, fmt.Errorf("make engine: %w", err)
	}
	return func(ctx context.Context, r *room.Room) error { return r.Run(ctx, e) }, nil
}

// rooms is the table of what is played. Its methods may be called from any goroutine.
type rooms struct {
	limit   int
	changed func()

	mu      sync.Mutex
	byID    map[string]*running
	pulse   chan struct{} // closed and replaced when a room may have become free
	closing bool
	group   sync.WaitGroup
}

// roomPatience is how long a start waits for a room to become free: longer than
// a browser that leaves takes to be gone.
const roomPatience = 700 * time.Millisecond

// spared is how long a room is spared whose last member may just be reloading the page.
const spared = 2 * time.Second

// maxEnding is how many rooms may still be ending beside those that play.
const maxEnding = 2

// running is a room and how to end it.
type running struct {
	*room.Room
	cancel context.CancelCauseFunc // nil: the worker does not want it any more
	ending bool                    // it does not count any more; guarded by rooms.mu
}

func (t *rooms) init(limit int, changed func()) {
	t.limit, t.changed, t.byID, t.pulse = limit, changed, map[string]*running{}, make(chan struct{})
}

// wake lets who waits for a room look again.
func (t *rooms) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.pulse)
	t.pulse = make(chan struct{})
}

// find is the room with an id, nil if there is none.
func (t *rooms) find(id string) *room.Room {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.byID[id]; r != nil {
		return r.Room
	}
	return nil
}

// start adds a room and runs it. The error is a *signal.Error if no room is
// free, or becomes so before ctx ends: who reloads a page gives up a room at the
// very moment that the next one is asked for.
func (t *rooms) start(ctx context.Context, log *slog.Logger, r *room.Room, run runRoom) (*running, error) {
	for {
		t.mu.Lock()
		err, pulse := t.admit(), t.pulse
		if err == nil {
			defer t.mu.Unlock()
			return t.add(log, r, run), nil
		}
		closing := t.closing
		t.mu.Unlock()
		if closing {
			return nil, err
		}
		select {
		case <-pulse:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// add runs a room that was admitted. t.mu is held.
func (t *rooms) add(log *slog.Logger, r *room.Room, run runRoom) *running {
	ctx, cancel := context.WithCancelCause(context.Background())
	x := &running{Room: r, cancel: cancel}
	t.byID[r.ID()] = x
	t.group.Go(func() {
		defer cancel(nil)
		if err := run(ctx, r); err != nil {
			log.Warn("game ended", "error", err)
		}
		t.mu.Lock()
		delete(t.byID, r.ID())
		t.mu.Unlock()
		t.changed()
	})
	return x
}

// admit says whether one more room may start. Only rooms with somebody in them
// take a place. Empty ones in their grace make room, who has been away for
// longest first; those that are spared run on beside the others for that while,
// so that pages opened in quick succession all play. t.mu is held.
func (t *rooms) admit() error {
	if t.closing {
		return signal.Errorf(signal.CodeFull, "the worker is going down")
	}
	taken, empty := 0, 0
	idle := map[*running]time.Time{}
	for _, r := range t.byID {
		if r.ending {
			continue
		}
		taken++
		at, isIdle := r.Idle()
		if isIdle {
			empty++
		}
		if isIdle && time.Since(at) >= spared {
			idle[r] = at
		}
	}
	if taken-empty >= t.limit || len(t.byID) >= 2*t.limit+maxEnding {
		return signal.Errorf(signal.CodeFull, "all %d rooms of the worker are taken; try again in a moment", t.limit)
	}
	byAge := slices.SortedFunc(maps.Keys(idle), func(a, b *running) int { return idle[a].Compare(idle[b]) })
	for _, r := range byAge[:max(0, min(len(byAge), taken+1-t.limit))] {
		r.ending = true
		r.cancel(signal.Errorf(signal.CodeNotFound, "the room was empty and made room for another one"))
	}
	return nil
}

// close ends all rooms and returns when they have ended; no new one starts.
func (t *rooms) close() {
	t.mu.Lock()
	t.closing = true
	for _, r := range t.byID {
		r.cancel(nil)
	}
	t.mu.Unlock()
	t.wake()
	t.group.Wait()
}

func (t *rooms) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}

// list is what coordinators are told.
func (t *rooms) list() []signal.Room {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]signal.Room, 0, len(t.byID))
	for id, r := range t.byID {
		players, viewers := r.Count()
		out = append(out, signal.Room{ID: id, Game: r.Game().ID, Players: players, Viewers: viewers})
	}
	slices.SortFunc(out, func(a, b signal.Room) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// openRoom starts a game, and waits a moment for a room if none is free.
func (w *Worker) openRoom(ctx context.Context, game string) (*running, error) {
	title, ok := w.library.Find(game)
	if !ok {
		return nil, signal.Errorf(signal.CodeNotFound, "there is no game %q here", game)
	}
	id := signal.NewID()
	log := w.log.With("room", id, "game", game)
	spec := w.spec(title)
	r := room.New(room.Config{
		Logger: w.log, ID: id, Game: title.Game, Seats: title.Game.Players, Grace: w.cfg.RoomGrace,
		Profile: spec.Video.Profile, Send: send.Config{Stats: &w.sending}, Changed: w.roomsChanged,
	})
	remove, err := scratch(log, &spec)
	if err != nil {
		return nil, signal.Errorf(signal.CodeFailed, "the game cannot be started: %v", err)
	}
	cfg := w.cfg.Engine
	cfg.Logger = log
	run, err := w.open(cfg, spec, watched{r.Sink(), w})
	if err != nil {
		remove()
		return nil, signal.Errorf(signal.CodeFailed, "the game cannot be started: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, roomPatience)
	defer cancel()
	x, err := w.rooms.start(ctx, log, r, func(ctx context.Context, r *room.Room) error {
		defer remove()
		return run(ctx, r)
	})
	if err != nil {
		remove()
		return nil, err
	}
	log.Info("room opens")
	return x, nil
}

// spec is what the engine must be told to play a title.
func (w *Worker) spec(t library.Title) engine.Spec {
	s := engine.Spec{
		Kind: engine.KindLibretro, Core: t.Core, Game: t.File, Builtin: t.Builtin, Options: t.Options,
		SystemDir: w.cfg.SystemDir, SaveDir: w.cfg.SaveDir, Video: w.cfg.Video, Audio: w.cfg.Audio,
	}
	if t.Core == "" {
		s.Kind = engine.KindTestCard
	}
	if t.Scale > 0 {
		s.Video.Scale = t.Scale
	}
	// What browsers are offered ends at Main (package peer).
	s.Video.Profile = min(s.Video.Profile, media.ProfileMain)
	return s
}
