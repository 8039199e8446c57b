package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/shm"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// suspectTime is how soon after a restore a crash means that the snapshot
// itself is to blame; the next core process then begins without it.
const suspectTime = 2 * time.Second

// loadAttempts is how often a process that never became ready is started.
const loadAttempts = 2

// Engine is one room's machine. New makes it, Run drives it; the other methods
// may be called by any goroutine at any time.
type Engine struct {
	cfg  Config
	spec Spec
	sink Sink

	running       atomic.Bool
	sharedNetwork error // why this host gives no network namespaces; Run's only
	logDropped    atomic.Uint64
	commands      commands
	orders        orders

	mu       sync.Mutex
	memory   *shm.Memory // nil while Run does not run
	pid      int
	stats    Stats      // of ended processes and of the worker's side
	child    wire.Stats // of the running one
	received uint64     // bytes, of the running one
}

// New checks cfg and spec and returns an engine that Run starts. Relative paths
// in spec are taken from the working directory now.
func New(cfg Config, spec Spec, sink Sink) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if sink == nil {
		return nil, errors.New("new engine: no sink")
	}
	spec = spec.WithDefaults()
	if err := spec.Check(); err != nil {
		return nil, fmt.Errorf("new engine: %w", err)
	}
	for _, path := range []*string{&spec.Core, &spec.Game, &spec.SystemDir, &spec.SaveDir} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, fmt.Errorf("new engine: %w", err)
		}
	}
	e := &Engine{cfg: cfg, spec: spec, sink: sink}
	e.commands.init(spec.Video)
	return e, nil
}

// Run starts the core process, supervises it, and restarts it after a crash or
// a hang from the last snapshot. It returns nil when ctx ends and otherwise an
// error that wraps ErrLoad, ErrEnded or ErrCrashed and names the cause. It is called once.
func (e *Engine) Run(ctx context.Context) error {
	if !e.running.CompareAndSwap(false, true) {
		return errors.New("run engine: called twice")
	}
	memory, file, err := shm.Create(e.cfg.SnapshotSize)
	if err != nil {
		return fmt.Errorf("run engine: %w", err)
	}
	defer file.Close()
	e.setMemory(memory)
	defer func() {
		e.setMemory(nil)
		memory.Close()
	}()
	return e.supervise(ctx, file)
}

func (e *Engine) setMemory(m *shm.Memory) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.memory = m
}

// supervise runs core processes one after the other.
func (e *Engine) supervise(ctx context.Context, memory *os.File) error {
	allowed := budget{limit: e.cfg.RestartLimit, window: e.cfg.RestartWindow}
	s := session{engine: e, memory: memory}
	for {
		err := s.serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrLoad) || errors.Is(err, ErrEnded) {
			return e.giveUp(&s, err)
		}
		pause, ok := allowed.take(time.Now())
		if neverReady := s.info.FPS == 0; neverReady && (!ok || s.generation+1 >= loadAttempts) {
			return e.giveUp(&s, fmt.Errorf("%w: the core process %w", ErrLoad, err))
		}
		if !ok {
			return e.giveUp(&s, fmt.Errorf("%w: %d restarts within %v, the last one %w",
				ErrCrashed, len(allowed.spent), e.cfg.RestartWindow, err))
		}
		e.cfg.Logger.Warn("core process is restarted", "cause", err, "pause", pause, "restore", s.restore)
		e.countRestart(err)
		e.sink.Event(Event{Kind: EventRestarting, Info: s.info, Text: err.Error()})
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		s.generation++
	}
}

func (e *Engine) giveUp(s *session, err error) error {
	text := wire.CleanText(err.Error(), wire.MaxText)
	e.sink.Event(Event{Kind: EventFailed, Info: s.info, Text: text})
	return fmt.Errorf("run engine: %w", err)
}

func (e *Engine) countRestart(cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Restarts++
	if errors.Is(cause, errHung) {
		e.stats.Hangs++
	} else {
		e.stats.Crashes++
	}
}

// SetPad sets the state of the controller at port 0..Ports-1. A press is seen
// by the machine for at least one frame however short it is. Nothing happens
// while Run does not run.
func (e *Engine) SetPad(port int, p Pad) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.memory != nil {
		e.memory.SetPad(port, p)
	}
}

// RequestKeyFrame makes the next picture a key frame.
func (e *Engine) RequestKeyFrame() { e.commands.keyFrame() }

// SetProfile changes the H.264 profile, also of later core processes; the next
// picture is a key frame. A profile that does not exist is ignored.
func (e *Engine) SetProfile(p media.Profile) { e.commands.setProfile(p) }

// SetMaxBitrate changes the ceiling of the video bitrate in bit/s, also of
// later core processes. What the codec cannot do is ignored and logged.
func (e *Engine) SetMaxBitrate(bps int) { e.commands.setBitrate(bps) }

// Pid is the process id of the core process, 0 when none runs.
func (e *Engine) Pid() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pid
}

// Stats returns the counters so far.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stats
	s.Stats.Add(&e.child)
	s.Received += e.received
	s.LogDropped = e.logDropped.Load()
	return s
}
