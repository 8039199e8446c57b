// Package corehost is the inside of a core process: it opens the machine of a
// Spec, runs it at its exact rate, encodes what it makes and sends that to the
// worker.
//
// Two goroutines do the work. One, locked to an OS thread, sleeps until a frame
// is due, reads the controllers, runs the machine and hands picture and sound
// over (ticker). The other encodes and writes (encoders). They meet in a
// handoff of one picture, so that a slow encoder drops pictures and never slows
// the game. In the steady state nothing is allocated.
package corehost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/cloudretro/cloudretro/worker/engine/shm"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// Bounds of what a worker sends and of the end of a process.
const (
	maxCommand = 4 << 20                // bytes; the largest is Start
	stopGrace  = 300 * time.Millisecond // for the machine to close in order
)

// Exit codes of a core process.
const (
	ExitOK     = 0 // told to stop, or the worker is gone
	ExitFailed = 1 // the machine or a codec failed; stderr has the cause
	ExitLoad   = 2 // the machine could not be opened or has ended; the worker was told
)

// Config is what a core process works with.
type Config struct {
	Conn   net.Conn    // to the worker
	Memory *shm.Memory // of this and the next core processes
	Logger *slog.Logger

	Unconfined string // what of the sandbox this host lacks, for the worker
}

// Run is the life of a core process: it reads Start from the worker and works
// until the worker says stop or is gone. It returns the exit code. The caller
// should exit at once: if the machine hangs, its goroutine is left behind.
func Run(cfg Config) int {
	return run(cfg, monotonic{}, builtinCodecs())
}

func run(cfg Config, clk clock, c codecs) int {
	reader := wire.NewReader(cfg.Conn, maxCommand)
	start, err := readStart(reader)
	if err != nil {
		cfg.Logger.Error("bad start", "error", err)
		return ExitFailed
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	w := &wishes{}
	go func() { cancel(listen(reader, w)) }() // ends with the process: closing Conn ends it
	done := make(chan int, 1)
	go func() { done <- work(ctx, &cfg, start, w, clk, c) }()

	select {
	case code := <-done:
		return code
	case <-ctx.Done():
	}
	select {
	case code := <-done:
		return code
	case <-time.After(stopGrace):
		return ExitOK // the machine hangs
	}
}

var (
	errStop    = errors.New("told to stop")
	errRestart = errors.New("unknown command of the worker")
)

func readStart(r *wire.Reader) (wire.Start, error) {
	t, payload, err := r.Next()
	if err != nil {
		return wire.Start{}, fmt.Errorf("read start: %w", err)
	}
	if t != wire.TypeStart {
		return wire.Start{}, fmt.Errorf("read start: message %d came first", t)
	}
	return wire.ParseStart(payload)
}

// listen reads commands until stop or the end of the stream.
func listen(r *wire.Reader, w *wishes) error {
	for {
		t, payload, err := r.Next()
		if err != nil {
			return err
		}
		switch t {
		case wire.TypeKeyFrame:
			w.key.Store(true)
		case wire.TypeProfile:
			if p, err := wire.ParseProfile(payload); err == nil {
				w.profile.Store(int32(p) + 1)
			}
		case wire.TypeBitrate:
			if bps, err := wire.ParseUint32(payload); err == nil {
				w.bitrate.Store(bps)
			}
		case wire.TypeSave, wire.TypeLoad:
			if o, err := wire.ParseOrder(payload); err == nil {
				w.order.Store(&order{o, t == wire.TypeLoad})
			}
		case wire.TypeStop:
			return errStop
		default:
			return errRestart
		}
	}
}

// work opens the machine and runs it. It keeps its OS thread to itself: cores
// have coroutines and thread-local state.
func work(ctx context.Context, cfg *Config, start wire.Start, w *wishes, clk clock, c codecs) int {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if err := sharpen(); err != nil {
		cfg.Logger.Debug("frames may begin a little late", "error", err)
	}
	m, err := open(&start.Spec, cfg.Logger)
	if err != nil {
		return refuse(cfg, err)
	}
	t := &ticker{machine: m, memory: cfg.Memory, handoff: newHandoff(), clock: clk, log: cfg.Logger, orders: &w.order}
	e, err := newEncoders(&start.Spec, m.traits(), c)
	if err != nil {
		return refuse(cfg, errors.Join(err, m.close()))
	}
	e.handoff, e.wishes, e.out, e.log, e.clock = t.handoff, w, cfg.Conn, cfg.Logger, clk
	traits := m.traits()
	e.info.Unconfined = cfg.Unconfined
	if start.Restore {
		e.info.Snapshot = t.restore()
		traits = m.traits()
	}
	e.info = e.describe(&traits)
	if err := e.sendInfo(wire.TypeReady); err != nil {
		return ExitOK // the worker is gone
	}
	settle()
	return drive(ctx, cfg, t, e)
}

// spareHeap is how much Go's side may grow before it is collected again.
const spareHeap = 8 << 20 // bytes

// settle gives back what loading left behind. From then on nothing is allocated
// per frame, so collections, and the tables they read, come only with growth.
func settle() {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(int64(m.Sys-m.HeapReleased) + spareHeap)
}

// drive runs both halves until one of them ends.
func drive(ctx context.Context, cfg *Config, t *ticker, e *encoders) int {
	ctx, cancel := context.WithCancel(ctx)
	encoded := make(chan error, 1)
	go func() {
		defer cancel()
		err := e.run(ctx)
		e.close()
		encoded <- err
	}()
	err := t.run(ctx)
	cancel()
	encodeErr := <-encoded
	closeErr := t.machine.close()
	switch {
	case errors.Is(err, errEnded):
		return say(cfg, wire.TypeEnded, "")
	case err != nil:
		cfg.Logger.Error("machine failed", "error", err)
		return ExitFailed
	case encodeErr != nil:
		cfg.Logger.Error("encoding failed", "error", encodeErr)
		return ExitFailed
	case closeErr != nil:
		cfg.Logger.Warn("machine closed badly", "error", closeErr)
	}
	return ExitOK
}

// refuse tells the worker that there is no point in trying again.
func refuse(cfg *Config, cause error) int {
	return say(cfg, wire.TypeFailed, wire.CleanText(cause.Error(), wire.MaxText))
}

// say sends the last message of a core process.
func say(cfg *Config, t wire.Type, text string) int {
	msg, err := wire.AppendMessage(nil, t, []byte(text))
	if err == nil {
		_, err = cfg.Conn.Write(msg)
	}
	if err != nil {
		cfg.Logger.Error("cannot tell the worker", "error", err, "text", text)
	}
	return ExitLoad
}

// newEncoders opens the codecs for a machine.
func newEncoders(spec *wire.Spec, t traits, c codecs) (*encoders, error) {
	video, err := newVideoStage(spec.Video, c, t)
	if err != nil {
		return nil, err
	}
	audio, err := c.audio(spec.Audio)
	if err != nil {
		video.close()
		return nil, fmt.Errorf("open audio encoder: %w", err)
	}
	r, err := c.resampler(playable(t.sampleRate))
	if err != nil {
		video.close()
		return nil, errors.Join(fmt.Errorf("open resampler: %w", err), audio.Close())
	}
	return &encoders{
		video: video, audio: audio, sound: newSoundtrack(r, spec.Audio.Frame), packet: spec.Audio.Frame,
		buf: make([]byte, 0, 64<<10),
	}, nil
}
