package worker

import (
	"context"
	"fmt"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/room"
	"github.com/cloudretro/cloudretro/worker/send"
)

// runRoom plays a room with an engine until it ends; see room.Room.Run.
type runRoom func(ctx context.Context, r *room.Room) error

// paceFunc is how many frames an engine has begun so far. It must not block.
type paceFunc func() pace

// machine is an engine as the worker uses it.
type machine struct {
	run  runRoom
	pace paceFunc
}

// openEngine makes the engine of a room from what is to be played.
type openEngine func(cfg engine.Config, spec engine.Spec, sink engine.Sink) (machine, error)

func startEngine(cfg engine.Config, spec engine.Spec, sink engine.Sink) (machine, error) {
	e, err := engine.New(cfg, spec, sink)
	if err != nil {
		return machine{}, fmt.Errorf("make engine: %w", err)
	}
	return machine{
		run: func(ctx context.Context, r *room.Room) error { return r.Run(ctx, e) },
		pace: func() pace {
			s := e.Stats()
			return pace{s.Ticks, s.LateTicks}
		},
	}, nil
}

// openRoom starts a game at the place that is held for start's ticket.
func (w *Worker) openRoom(ctx context.Context, start signal.Start) (*running, error) {
	title, ok := w.library.Find(start.Game)
	if !ok {
		return nil, signal.Errorf(signal.CodeNotFound, "there is no game %q here", start.Game)
	}
	id := signal.NewRoomID(w.self.pod())
	if err := w.rooms.take(start.Ticket, id); err != nil {
		return nil, err
	}
	r, err := w.play(ctx, id, title)
	if err != nil {
		w.rooms.free(id)
		return nil, err
	}
	return r, nil
}

// play runs a room that has a place.
func (w *Worker) play(ctx context.Context, id string, title library.Title) (*running, error) {
	log := w.log.With("room", id, "game", title.Game.ID)
	spec := w.spec(title)
	r := &running{}
	r.Room = room.New(room.Config{
		Logger: w.log, ID: id, Game: title.Game, Seats: title.Game.Players, Grace: w.now().roomGrace,
		Profile: spec.Video.Profile, Send: send.Config{Stats: &w.sending}, InviteKey: w.inviteKey(id),
		Changed: func() { w.roomChanged(r.Room) },
	})
	remove, err := scratch(log, &spec)
	if err != nil {
		return nil, signal.Errorf(signal.CodeFailed, "the game cannot be started: %v", err)
	}
	cfg := w.cfg.Engine
	cfg.Logger = log
	m, err := w.open(cfg, spec, watched{r.Sink(), w})
	if err != nil {
		remove()
		return nil, signal.Errorf(signal.CodeFailed, "the game cannot be started: %v", err)
	}
	r.pace = m.pace
	ctx, cancel := context.WithTimeout(ctx, roomPatience)
	defer cancel()
	err = w.rooms.start(ctx, log, r, func(ctx context.Context, r *room.Room) error {
		defer remove()
		return m.run(ctx, r)
	})
	if err != nil {
		remove()
		return nil, err
	}
	log.Info("room opens")
	select {
	case w.opened <- struct{}{}:
	default: // a trim is due already
	}
	return r, nil
}

// roomChanged is called by a room when somebody has come or gone.
func (w *Worker) roomChanged(r *room.Room) {
	w.rooms.visited(r)
	w.announceRooms()
	w.announceLoad() // the number of sessions
}

// spec is what the engine must be told to play a title.
func (w *Worker) spec(t library.Title) engine.Spec {
	now := w.now()
	s := engine.Spec{
		Kind: engine.KindLibretro, Core: t.Core, Game: t.File, Builtin: t.Builtin, Options: t.Options,
		SystemDir: now.systemDir, SaveDir: w.cfg.SaveDir, Video: now.video, Audio: now.audio,
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
