// Package engine starts, feeds and restarts core processes: one child process
// per room, in which the emulated machine and the codecs live. The worker's own
// process never calls into a core or a codec, so a core that crashes, hangs or
// is hostile hurts nobody but its own room.
//
// The child is the worker's own binary, executed again with the argument
// "core" (CoreMain). It gets a unix socket as file descriptor 3 (package wire)
// and a shared memory as file descriptor 4 (package shm): through the socket
// come encoded pictures and sound, in the shared memory lie the controllers, a
// sign of life and the snapshots from which the next child goes on when this
// one dies.
package engine

import (
	"errors"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/shm"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

type (
	// Spec is everything a core process needs to know. Zero values of Video and
	// Audio mean defaults.
	Spec = wire.Spec
	// Kind is the kind of machine of a Spec.
	Kind = wire.Kind
	// VideoSpec says how a Spec's picture is encoded.
	VideoSpec = wire.VideoSpec
	// AudioSpec says how a Spec's sound is encoded.
	AudioSpec = wire.AudioSpec
)

// The kinds of machines.
const (
	KindLibretro = wire.KindLibretro // a libretro core
	KindTestCard = wire.KindTestCard // the built-in test card (package testcard)
)

// Info is what runs and what comes out of it.
type Info = wire.Info

// Pad is the state of one controller, libretro's numbering of buttons.
type Pad = shm.Pad

// Ports is the number of controllers; SetPad ignores others.
const Ports = shm.Ports

// Errors that end Run. All carry a text that tells a player what is wrong.
var (
	// ErrLoad says that the machine cannot be started: no such core, not a game
	// of this core, no codec. Trying again would not help.
	ErrLoad = errors.New("game cannot be loaded")
	// ErrEnded says that the machine switched itself off.
	ErrEnded = errors.New("the game has ended")
	// ErrCrashed says that the core process failed again and again.
	ErrCrashed = errors.New("core process keeps failing")
)

// Sink takes what an engine makes. All methods are called by the goroutine in
// Run, one at a time, and must not block for long: what waits meanwhile in the
// socket is bounded, and pictures are dropped beyond that. What f and p point
// to is valid during the call only.
type Sink interface {
	Video(f *media.Frame)
	Audio(p *media.Packet)
	Event(ev Event)
}

// EventKind names an Event.
type EventKind int

// What can happen to an engine.
const (
	// EventReady: the first core process runs, Info is known. Sent once.
	EventReady EventKind = iota
	// EventChanged: the core announced new geometry or timing. The next picture is a key frame.
	EventChanged
	// EventRestarting: the core process died or hung; Text is the cause. No media until EventRestarted.
	EventRestarting
	// EventRestarted: a new core process runs, Info.Generation has grown. The
	// next picture is a key frame; PTS go on, with a gap.
	EventRestarted
	// EventMessage: the core wants to tell the player Text.
	EventMessage
	// EventFailed: the engine gives up, Text says why; Run returns the same as an error.
	EventFailed
)

// String returns the name of the kind for logs.
func (k EventKind) String() string {
	names := [...]string{"ready", "changed", "restarting", "restarted", "message", "failed"}
	if k < 0 || int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// Event tells a Sink what happened.
type Event struct {
	Kind EventKind
	Info Info   // of EventReady, EventChanged, EventRestarted; else the last one known
	Text string // of EventRestarting, EventMessage, EventFailed; printable, at most 4096 bytes
}

// Stats are counters of an engine over all its core processes.
type Stats struct {
	wire.Stats        // what the core processes counted, a second old at most
	Restarts   uint64 // core processes started after the first
	Crashes    uint64 // of them after a process ended by itself
	Hangs      uint64 // of them after the watchdog ended a process
	Received   uint64 // bytes that came through the socket
	LogDropped uint64 // lines of the core that were not logged (too many, too long)
}

// MeanEncodeTime is the mean time that the conversion and the encoding of a
// picture took, 0 before the first.
func (s Stats) MeanEncodeTime() time.Duration {
	if s.Frames == 0 {
		return 0
	}
	return time.Duration((s.Stats.ConvertTime + s.Stats.EncodeTime) / s.Frames)
}
