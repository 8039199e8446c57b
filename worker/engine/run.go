package engine

import (
	"context"
	"errors"

	"github.com/cloudretro/cloudretro/media"
)

// Engine is one room's machine. New makes it, Run drives it; the other methods
// may be called by any goroutine at any time.
type Engine struct {
	cfg  Config
	spec Spec
	sink Sink
}

// New checks cfg and spec and returns an engine that Run starts.
func New(cfg Config, spec Spec, sink Sink) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Engine{cfg: cfg, spec: spec.WithDefaults(), sink: sink}, nil
}

// Run starts the core process, supervises it, and restarts it after a crash or
// a hang from the last snapshot. It returns nil when ctx ends and otherwise an
// error that wraps ErrLoad or ErrCrashed and names the cause. It is called once.
func (e *Engine) Run(ctx context.Context) error { return errors.New("not yet built") }

// SetPad sets the state of the controller at port 0..Ports-1. A press is seen
// by the machine for at least one frame however short it is.
func (e *Engine) SetPad(port int, p Pad) {}

// RequestKeyFrame makes the next picture a key frame.
func (e *Engine) RequestKeyFrame() {}

// SetProfile changes the H.264 profile; the next picture is a key frame.
func (e *Engine) SetProfile(p media.Profile) {}

// SetMaxBitrate changes the ceiling of the video bitrate, bit/s.
func (e *Engine) SetMaxBitrate(bps int) {}

// Pid is the process id of the core process, 0 when none runs.
func (e *Engine) Pid() int { return 0 }

// Stats returns the counters so far.
func (e *Engine) Stats() Stats { return Stats{} }

// Available returns nil if this build can run core processes and otherwise
// says what is missing.
func Available() error { return nil }

// CoreMain is the whole life of a core process; it returns the exit code. Its
// file descriptors 3 and 4 are what an Engine handed it.
func CoreMain() int { return 1 }
