package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// CoreCommand is the argument that makes the binary a core process: cmd calls
// CoreMain when it is the first one.
const CoreCommand = "core"

// Config is how an Engine treats its core processes. Zero values mean the defaults.
type Config struct {
	// Command is what is executed as a core process, default /proc/self/exe core.
	Command []string
	// Env is the whole environment of the core process, default empty: secrets
	// of the worker's environment stay out of it.
	Env []string
	// Logger gets what happens and what the core writes, default slog.Default().
	Logger *slog.Logger

	LoadTimeout  time.Duration // from the start of a process to ready, default 10 s
	HangTimeout  time.Duration // no frame for so long is a hang, default 1.5 s
	StopTimeout  time.Duration // from stop to SIGKILL, default 500 ms
	RestartLimit int           // restarts within RestartWindow before Run gives up, default 5; negative = none
	// RestartWindow is how far back restarts are counted, default 60 s.
	RestartWindow time.Duration
	// SnapshotSize is the room for each of the two snapshots and for a state that
	// is saved or loaded in bytes, default 32 MiB; a machine with a larger state
	// begins anew after a crash and cannot be saved. Only what is used takes memory.
	SnapshotSize int
}

const maxSnapshotSize = 1 << 30

func (c Config) withDefaults() (Config, error) {
	if len(c.Command) == 0 {
		c.Command = []string{"/proc/self/exe", CoreCommand}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	setDefault(&c.LoadTimeout, 10*time.Second)
	setDefault(&c.HangTimeout, 1500*time.Millisecond)
	setDefault(&c.StopTimeout, 500*time.Millisecond)
	setDefault(&c.RestartLimit, 5)
	setDefault(&c.RestartWindow, time.Minute)
	setDefault(&c.SnapshotSize, 32<<20)
	if c.LoadTimeout < 0 || c.HangTimeout < 0 || c.StopTimeout < 0 || c.RestartWindow < 0 {
		return c, errors.New("engine config: a duration is negative")
	}
	if c.SnapshotSize < 0 || c.SnapshotSize > maxSnapshotSize {
		return c, fmt.Errorf("engine config: snapshot size %d is not within 0..%d", c.SnapshotSize, maxSnapshotSize)
	}
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
