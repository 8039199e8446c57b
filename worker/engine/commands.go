package engine

import (
	"sync"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// commands are what a core process is to be told. Wishes of the same kind
// become one, so that a storm of them costs one message.
type commands struct {
	wake chan struct{} // capacity 1: something is to be told

	mu      sync.Mutex
	profile media.Profile
	bitrate int // 0 = never set
	key     bool
	order   wire.Type     // TypeSave or TypeLoad, 0 = none
	payload []byte        // of the order
	toldP   media.Profile // what the core process knows
	toldB   int
}

func (c *commands) init(v VideoSpec) {
	c.wake = make(chan struct{}, 1)
	c.profile, c.bitrate = v.Profile, v.MaxBitrate
	c.toldP, c.toldB = c.profile, c.bitrate
}

func (c *commands) keyFrame() { c.change(func() { c.key = true }) }

func (c *commands) setProfile(p media.Profile) {
	if p >= media.ProfileBaseline && p <= media.ProfileHigh {
		c.change(func() { c.profile = p })
	}
}

func (c *commands) setBitrate(bps int) {
	if bps > 0 && bps <= 1<<31-1 {
		c.change(func() { c.bitrate = bps })
	}
}

func (c *commands) setOrder(t wire.Type, payload []byte) {
	c.change(func() { c.order, c.payload = t, payload })
}

func (c *commands) change(f func()) {
	c.mu.Lock()
	f()
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// begin puts what holds now into the video settings of a new core process,
// which needs no key frame: its first picture is one. An order was for the one
// before.
func (c *commands) begin(v *VideoSpec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.key, c.order = false, 0
	c.toldP, c.toldB = c.profile, c.bitrate
	v.Profile, v.MaxBitrate = c.profile, c.bitrate
}

// flush sends what the core process does not know yet. One goroutine at a time.
func (c *commands) flush(send func(t wire.Type, payload []byte) error) error {
	c.mu.Lock()
	key, profile, bitrate := c.key, c.profile, c.bitrate
	order, payload := c.order, c.payload
	newProfile, newBitrate := profile != c.toldP, bitrate != c.toldB
	c.key, c.toldP, c.toldB = false, profile, bitrate
	c.order, c.payload = 0, nil
	c.mu.Unlock()
	if newProfile {
		if err := send(wire.TypeProfile, wire.AppendUint32(nil, uint32(profile))); err != nil {
			return err
		}
	}
	if newBitrate {
		if err := send(wire.TypeBitrate, wire.AppendUint32(nil, uint32(bitrate))); err != nil {
			return err
		}
	}
	if key {
		if err := send(wire.TypeKeyFrame, nil); err != nil {
			return err
		}
	}
	if order != 0 {
		return send(order, payload)
	}
	return nil
}
