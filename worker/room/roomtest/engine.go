// Package roomtest is an engine for tests of rooms: it plays nothing, makes
// frames that look like H.264, and records what it is told.
package roomtest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine"
)

// Press is one SetPad.
type Press struct {
	Port int
	Pad  engine.Pad
}

// Info is what the engine says of itself.
func Info() engine.Info {
	return engine.Info{Width: 256, Height: 240, EncodedWidth: 512, EncodedHeight: 480, Aspect: 4.0 / 3, FPS: 60}
}

// Engine is the fake. Its methods may be called from any goroutine.
type Engine struct {
	sink   engine.Sink
	tick   time.Duration
	fail   chan error
	events chan engine.Event

	mu       sync.Mutex
	key      bool
	keys     []time.Time // when key frames were asked for
	pads     []Press
	profiles []media.Profile
	stopped  bool
	saves    []Keep
}

// Keep is one call of Save or Load that waits for Done.
type Keep struct {
	State []byte // of Load, nil for Save
	done  chan kept
}

type kept struct {
	state []byte
	err   error
}

// Done makes the call return.
func (k Keep) Done(state []byte, err error) { k.done <- kept{state, err} }

// New makes an engine that hands sink a frame and a packet of sound each tick;
// none if tick is 0.
func New(sink engine.Sink, tick time.Duration) *Engine {
	return &Engine{sink: sink, tick: tick, fail: make(chan error, 1), events: make(chan engine.Event, 16), key: true}
}

// Run plays until ctx ends or Fail is called.
func (e *Engine) Run(ctx context.Context) error {
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.stopped = true
	}()
	e.sink.Event(engine.Event{Kind: engine.EventReady, Info: Info()})
	var ticks <-chan time.Time
	if e.tick > 0 {
		t := time.NewTicker(e.tick)
		defer t.Stop()
		ticks = t.C
	}
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case err := <-e.fail:
			return err
		case ev := <-e.events:
			e.sink.Event(ev)
		case <-ticks:
			pts, key := time.Duration(n)*e.tick, e.takeKey()
			e.sink.Video(&media.Frame{Data: AccessUnit(key, n), Key: key, PTS: pts})
			e.sink.Audio(&media.Packet{Data: []byte{byte(n)}, PTS: pts, Duration: 10 * time.Millisecond})
			n++
		}
	}
}

// AccessUnit is a frame: SPS, PPS and IDR, or a P slice.
func AccessUnit(key bool, n int) []byte {
	slice, head := byte(0x41), []byte(nil)
	if key {
		slice, head = 0x65, []byte{0, 0, 0, 1, 0x67, 0x4d, 0, 0x1f, 1, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80}
	}
	return slices.Concat(head, []byte{0, 0, 0, 1, slice}, bytes.Repeat([]byte{byte(n) | 1}, 2000))
}

func (e *Engine) takeKey() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := e.key
	e.key = false
	return key
}

// Send makes the engine announce ev.
func (e *Engine) Send(ev engine.Event) { e.events <- ev }

// Fail makes Run return err.
func (e *Engine) Fail(err error) { e.fail <- err }

// SetPad records.
func (e *Engine) SetPad(port int, p engine.Pad) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pads = append(e.pads, Press{port, p})
}

// RequestKeyFrame records and makes the next frame a key frame.
func (e *Engine) RequestKeyFrame() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.key = true
	e.keys = append(e.keys, time.Now())
}

// SetProfile records.
func (e *Engine) SetProfile(p media.Profile) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.profiles = append(e.profiles, p)
}

// Save waits until a test says what it returns.
func (e *Engine) Save(ctx context.Context) ([]byte, error) { return e.keep(ctx, nil) }

// Load waits until a test says what it returns.
func (e *Engine) Load(ctx context.Context, state []byte) error {
	_, err := e.keep(ctx, state)
	return err
}

func (e *Engine) keep(ctx context.Context, state []byte) ([]byte, error) {
	k := Keep{state, make(chan kept, 1)}
	e.mu.Lock()
	e.saves = append(e.saves, k)
	e.mu.Unlock()
	select {
	case out := <-k.done:
		return out.state, out.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Keeps are all calls of Save and Load.
func (e *Engine) Keeps() []Keep {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.saves)
}

// Pads are all calls of SetPad.
func (e *Engine) Pads() []Press {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.pads)
}

// Keys are the times at which key frames were asked for.
func (e *Engine) Keys() []time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.keys)
}

// Profiles are all calls of SetProfile.
func (e *Engine) Profiles() []media.Profile {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.profiles)
}

// Stopped says whether Run has returned.
func (e *Engine) Stopped() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopped
}
