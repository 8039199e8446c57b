//go:build cgo

package libretro

/*
#cgo noescape bridge_run
#cgo nocallback bridge_run
#include "bridge.h"
*/
import "C"

import (
	"context"
	"log/slog"
	"time"
	"unsafe"

	"github.com/cloudretro/cloudretro/media"
)

// SetPad sets what a pad holds from the next Run on. buttons has bit n set for
// RETRO_DEVICE_ID_JOYPAD_n, axes are left x, left y, right x, right y.
// A port outside 0..MaxPads-1 is ignored.
func (c *Core) SetPad(port int, buttons uint16, axes [4]int16) {
	if port < 0 || port >= MaxPads {
		return
	}
	pad := &c.pads[port]
	pad.buttons = C.uint16_t(buttons)
	for i, v := range axes {
		pad.axes[i] = C.int16_t(v)
	}
}

// Run emulates one frame and fills out. It allocates nothing unless the core
// has something to say.
func (c *Core) Run(out *Output) error {
	if !c.loaded {
		return c.idle()
	}
	o := C.bridge_run(&c.pads[0])
	if o == nil {
		return ErrThread
	}
	flags := o.flags
	out.Picture, out.Messages = nil, nil
	if flags&C.BRIDGE_PICTURE != 0 {
		stride, height := int(o.stride), int(o.height)
		out.picture = media.Picture{
			Format: media.PixelFormat(o.format), Width: int(o.width), Height: height, Stride: stride,
			Data: unsafe.Slice((*byte)(o.picture), stride*height),
		}
		out.Picture = &out.picture
	}
	out.Audio = unsafe.Slice((*int16)(o.audio), 2*int(o.audio_frames))
	out.AVChanged = flags&(C.BRIDGE_GEOMETRY|C.BRIDGE_TIMING|C.BRIDGE_ROTATION) != 0 && c.announce(o)
	out.Shutdown = flags&C.BRIDGE_SHUTDOWN != 0
	if flags&C.BRIDGE_TEXT_WAITS != 0 {
		c.drain()
	}
	if len(c.early) > 0 {
		out.Messages = append(out.messageBuf[:0], c.early...)
		c.early = c.early[:0]
	}
	out.DroppedSamples = uint64(o.dropped)
	out.Hostile = uint64(o.hostile) + c.hostile
	out.Rumbles = uint64(o.rumble)
	out.LostText = uint64(o.lost_text) + c.lost
	return nil
}

func (c *Core) idle() error {
	if c.closed {
		return ErrClosed
	}
	return ErrNoGame
}

// announce takes over what the core announced, whole or not at all, and says
// whether anything is new.
func (c *Core) announce(o *C.bridge_output) bool {
	av := c.av
	var err error
	if o.flags&C.BRIDGE_GEOMETRY != 0 {
		raw := rawGeometry(o)
		if o.flags&C.BRIDGE_TIMING == 0 { // SET_GEOMETRY leaves the maximum
			raw.maxWidth, raw.maxHeight = uint32(av.MaxWidth), uint32(av.MaxHeight)
		}
		err = raw.check(&av)
	}
	if err == nil && o.flags&C.BRIDGE_TIMING != 0 {
		err = rawTiming(o).check(&av)
	}
	if err != nil {
		c.hostile++
		if c.limiter.take(time.Now()) {
			c.log.Warn("core announced impossible numbers, the old ones stay", "error", err)
		}
		return false
	}
	av.Rotation = media.Rotation(o.rotation)
	changed := av != c.av
	c.av = av
	return changed
}

func rawGeometry(o *C.bridge_output) geometry {
	g := &o.geometry
	return geometry{
		baseWidth: uint32(g.base_width), baseHeight: uint32(g.base_height),
		maxWidth: uint32(g.max_width), maxHeight: uint32(g.max_height), aspect: float64(g.aspect_ratio),
	}
}

func rawTiming(o *C.bridge_output) timing {
	return timing{fps: float64(o.timing.fps), sampleRate: float64(o.timing.sample_rate)}
}

// drain takes the waiting texts: log lines to the log, messages to c.early.
func (c *Core) drain() {
	ctx := context.Background()
	for bool(C.bridge_take_text(&c.text)) {
		text, lvl := clean(C.GoString(&c.text.text[0])), level(int(c.text.level))
		if text == "" {
			continue
		}
		if c.text.message != 0 || lvl >= slog.LevelWarn {
			c.word = text
		}
		switch {
		case c.text.message != 0 && len(c.early) < maxMessages:
			c.early = append(c.early, text)
		case c.text.message == 0 && !c.log.Enabled(ctx, lvl):
		case c.text.message == 0 && c.limiter.take(time.Now()):
			c.log.Log(ctx, lvl, "core says", "text", text)
		default:
			c.lost++
		}
	}
}
