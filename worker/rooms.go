package worker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/room"
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
	closing bool
	group   sync.WaitGroup
}

// running is a room and how to end it.
type running struct {
	*room.Room
	cancel context.CancelFunc
}

func (t *rooms) init(limit int, changed func()) {
	t.limit, t.changed, t.byID = limit, changed, map[string]*running{}
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

// start adds a room and runs it. The error is a *signal.Error if no room is free.
func (t *rooms) start(log *slog.Logger, r *room.Room, run runRoom) (*running, error) {
	ctx, cancel := context.WithCancel(context.Background())
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.admit(); err != nil {
		cancel()
		return nil, err
	}
	x := &running{r, cancel}
	t.byID[r.ID()] = x
	t.group.Go(func() {
		defer cancel()
		if err := run(ctx, r); err != nil {
			log.Warn("game ended", "error", err)
		}
		t.mu.Lock()
		delete(t.byID, r.ID())
		t.mu.Unlock()
		t.changed()
	})
	return x, nil
}

// admit says whether one more room may start. t.mu is held.
func (t *rooms) admit() error {
	switch {
	case t.closing:
		return signal.Errorf(signal.CodeFull, "the worker is going down")
	case len(t.byID) >= t.limit:
		return signal.Errorf(signal.CodeFull, "all %d rooms of the worker are taken", t.limit)
	}
	return nil
}

// close ends all rooms and returns when they have ended; no new one starts.
func (t *rooms) close() {
	t.mu.Lock()
	t.closing = true
	for _, r := range t.byID {
		r.cancel()
	}
	t.mu.Unlock()
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

// openRoom starts a game.
func (w *Worker) openRoom(game string) (*running, error) {
	title, ok := w.library.Find(game)
	if !ok {
		return nil, signal.Errorf(signal.CodeNotFound, "there is no game %q here", game)
	}
	id := signal.NewID()
	log := w.log.With("room", id, "game", game)
	spec := w.spec(title)
	r := room.New(room.Config{
		Logger: w.log, ID: id, Game: title.Game, Seats: title.Game.Players, Grace: w.cfg.RoomGrace,
		Profile: spec.Video.Profile, Changed: w.roomsChanged,
	})
	cfg := w.cfg.Engine
	cfg.Logger = log
	run, err := w.open(cfg, spec, r.Sink())
	if err != nil {
		return nil, signal.Errorf(signal.CodeFailed, "the game cannot be started: %v", err)
	}
	x, err := w.rooms.start(log, r, run)
	if err != nil {
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
