package corehost

import (
	"fmt"
	"log/slog"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/shm"
	"github.com/cloudretro/cloudretro/worker/engine/testcard"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// traits are what a machine is at the moment; comparable.
type traits struct {
	name          string
	width, height int // pixels, until the first picture says otherwise
	aspect        float64
	fps           float64
	sampleRate    float64
	rotation      media.Rotation
}

// output is what a machine made in one frame, valid until the next one.
type output struct {
	picture  *media.Picture // nil = the last one again
	sound    []int16        // interleaved left, right, at traits.sampleRate
	messages []string       // for the player
	ended    bool           // the machine has switched itself off
}

// machine is what a core process runs. One goroutine, locked to its thread,
// opens, uses and closes it.
type machine interface {
	stater
	traits() traits
	step(pads *[shm.Ports]shm.Pad, out *output) error
	close() error
}

// stater is the part of a machine that makes snapshots.
type stater interface {
	serialize(dst []byte) (int, error)
	unserialize(src []byte) error
}

// open opens the machine of a spec.
func open(spec *wire.Spec, log *slog.Logger) (machine, error) {
	switch spec.Kind {
	case wire.KindTestCard:
		return &card{testcard.New()}, nil
	case wire.KindLibretro:
		return openLibretro(spec, log)
	}
	return nil, fmt.Errorf("%w: kind %q", wire.ErrSpec, spec.Kind)
}

// card makes a machine of the test card.
type card struct{ *testcard.Card }

var _ machine = (*card)(nil)

func (c *card) traits() traits {
	return traits{
		name: testcard.Name, width: testcard.Width, height: testcard.Height,
		aspect: float64(testcard.Width) / testcard.Height, fps: testcard.FPS, sampleRate: testcard.SampleRate,
	}
}

func (c *card) step(pads *[shm.Ports]shm.Pad, out *output) error {
	out.picture, out.sound = c.Step(pads)
	return nil
}

func (c *card) serialize(dst []byte) (int, error) { return c.Serialize(dst) }
func (c *card) unserialize(src []byte) error      { return c.Unserialize(src) }
func (c *card) close() error                      { return nil }
