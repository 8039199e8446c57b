package engine

import (
	"errors"
	"slices"
	"testing"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// flushed returns what flush sends.
func flushed(t *testing.T, c *commands) (sent []wire.Type) {
	t.Helper()
	if err := c.flush(func(k wire.Type, _ []byte) error { sent = append(sent, k); return nil }); err != nil {
		t.Fatal(err)
	}
	return sent
}

func newCommands() *commands {
	c := &commands{}
	c.init(VideoSpec{Profile: media.ProfileMain, MaxBitrate: 1000})
	return c
}

func TestCommandsBecomeOne(t *testing.T) {
	c := newCommands()
	if got := flushed(t, c); got != nil {
		t.Errorf("nothing was wished, sent %v", got)
	}
	for range 100 {
		c.keyFrame()
		c.setProfile(media.ProfileHigh)
		c.setBitrate(2000)
	}
	if got := flushed(t, c); !slices.Equal(got, []wire.Type{wire.TypeProfile, wire.TypeBitrate, wire.TypeKeyFrame}) {
		t.Errorf("sent %v", got)
	}
	if got := flushed(t, c); got != nil {
		t.Errorf("sent twice: %v", got)
	}
	c.setProfile(media.ProfileHigh)
	if got := flushed(t, c); got != nil {
		t.Errorf("nothing new was wished, sent %v", got)
	}
	select {
	case <-c.wake:
	default:
		t.Error("nobody was woken")
	}
}

func TestCommandsRefuseNonsense(t *testing.T) {
	c := newCommands()
	c.setProfile(-1)
	c.setProfile(media.ProfileHigh + 1)
	c.setBitrate(0)
	c.setBitrate(-5)
	c.setBitrate(1 << 40)
	if got := flushed(t, c); got != nil {
		t.Errorf("sent %v", got)
	}
}

// A new core process starts with what was wished, and is not told again.
func TestCommandsOfANewProcess(t *testing.T) {
	c := newCommands()
	c.setProfile(media.ProfileHigh)
	c.setBitrate(5000)
	c.keyFrame()
	var v VideoSpec
	c.begin(&v)
	if v.Profile != media.ProfileHigh || v.MaxBitrate != 5000 {
		t.Errorf("starts with %+v", v)
	}
	if got := flushed(t, c); got != nil {
		t.Errorf("sent %v", got)
	}
}

func TestCommandsTellOfFailure(t *testing.T) {
	broken := errors.New("broken")
	for name, wish := range map[string]func(*commands){
		"key":     (*commands).keyFrame,
		"profile": func(c *commands) { c.setProfile(media.ProfileBaseline) },
		"bitrate": func(c *commands) { c.setBitrate(1) },
	} {
		c := newCommands()
		wish(c)
		if err := c.flush(func(wire.Type, []byte) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
