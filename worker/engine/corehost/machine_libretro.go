package corehost

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/cloudretro/cloudretro/worker/engine/shm"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
	"github.com/cloudretro/cloudretro/worker/libretro"
)

// retro makes a machine of a libretro core.
type retro struct {
	core    *libretro.Core
	now     traits
	out     libretro.Output
	hostile uint64 // reported so far
	log     *slog.Logger
}

var _ machine = (*retro)(nil)

// noSystemDir stands for a system folder that nobody configured. Cores look for
// optional files there, and nestopia loads no game without one being named.
const noSystemDir = "/"

// openLibretro opens the core of a spec and loads its game. The errors are fit
// to be shown to a player.
func openLibretro(spec *wire.Spec, log *slog.Logger) (machine, error) {
	game := libretro.Game{Path: spec.Game}
	if spec.Builtin != "" {
		var err error
		if game, err = builtinGame(spec.Builtin); err != nil {
			return nil, err
		}
	}
	system := spec.SystemDir
	if system == "" {
		system = noSystemDir
	}
	core, err := libretro.Open(spec.Core, libretro.Config{
		SystemDir: system, SaveDir: spec.SaveDir, Options: spec.Options, Logger: log,
	})
	if err != nil {
		return nil, fmt.Errorf("open core: %w", err)
	}
	if err := core.Load(game); err != nil {
		return nil, errors.Join(fmt.Errorf("load game: %w", err), core.Close())
	}
	r := &retro{core: core, log: log}
	r.learn()
	return r, nil
}

func (r *retro) learn() {
	av := r.core.AV()
	r.now = traits{
		name: r.core.System().LibraryName, width: av.Width, height: av.Height, aspect: av.Aspect,
		fps: av.FPS, sampleRate: av.SampleRate, rotation: av.Rotation,
	}
}

func (r *retro) traits() traits { return r.now }

func (r *retro) step(pads *[shm.Ports]shm.Pad, out *output) error {
	for port := range pads {
		p := &pads[port]
		r.core.SetPad(port, p.Buttons, [4]int16{p.LX, p.LY, p.RX, p.RY})
	}
	if err := r.core.Run(&r.out); err != nil {
		return err
	}
	if r.out.AVChanged {
		r.learn()
	}
	if r.out.Hostile > 0 && r.hostile == 0 {
		r.log.Warn("the core does what it must not; it is refused", "times", r.out.Hostile)
	}
	r.hostile = r.out.Hostile
	out.picture, out.sound, out.messages, out.ended = r.out.Picture, r.out.Audio, r.out.Messages, r.out.Shutdown
	return nil
}

func (r *retro) serialize(dst []byte) (int, error) { return r.core.Serialize(dst) }
func (r *retro) unserialize(src []byte) error      { return r.core.Unserialize(src) }
func (r *retro) close() error                      { return r.core.Close() }
