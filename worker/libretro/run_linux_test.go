//go:build cgo

package libretro_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/libretro"
	"github.com/cloudretro/cloudretro/worker/libretro/libretrotest"
)

func TestRunFormats(t *testing.T) {
	for name, format := range map[string]media.PixelFormat{
		"0rgb1555": media.Format0RGB1555, "rgb565": media.FormatRGB565, "xrgb8888": media.FormatXRGB8888,
	} {
		for _, pitch := range []string{"0", "6", "4096"} {
			t.Run(name+" pitch "+pitch, func(t *testing.T) {
				core := play(t, "format="+name, "pitch="+pitch, "size=240x160")
				core.SetPad(0, libretro.ButtonA|libretro.ButtonR3, [4]int16{})
				p := run(t, core, 1000).Picture
				if p == nil || p.Format != format || p.Width != 240 || p.Height != 160 || p.Stride != 240*format.BytesPerPixel() {
					t.Fatalf("picture = %+v", p)
				}
				if got := libretrotest.Counter(p); got != 1000 {
					t.Errorf("counter = %d, want 1000", got)
				}
				if got := libretrotest.Buttons(p); got != libretro.ButtonA|libretro.ButtonR3 {
					t.Errorf("buttons = %#x", got)
				}
			})
		}
	}
}

func TestRunChangesFormat(t *testing.T) {
	core := play(t, "format=rgb565", "format_at=3:xrgb8888", "format_at=5:0rgb1555")
	for i, want := range []media.PixelFormat{
		media.FormatRGB565, media.FormatRGB565, media.FormatXRGB8888, media.FormatXRGB8888, media.Format0RGB1555,
	} {
		p := run(t, core, 1).Picture
		if p.Format != want || libretrotest.Counter(p) != uint32(i+1) {
			t.Errorf("frame %d: format %d, counter %d", i+1, p.Format, libretrotest.Counter(p))
		}
	}
}

func TestRunRepeatsPicture(t *testing.T) {
	core := play(t, "dupe_every=2")
	for i := range 6 {
		if out := run(t, core, 1); (out.Picture == nil) != (i%2 == 1) {
			t.Errorf("run %d: picture %v", i, out.Picture)
		}
	}
}

func TestRunAudio(t *testing.T) {
	for _, tt := range []struct {
		how   string
		rate  string
		total int
	}{
		{"batch", "48000", 48000}, {"per-sample", "32768", 32768}, {"none", "48000", 0},
	} {
		t.Run(tt.how, func(t *testing.T) {
			core := play(t, "fps=50", "rate="+tt.rate, "audio="+tt.how)
			total, loud := 0, false
			out := new(libretro.Output)
			for range 50 {
				if err := core.Run(out); err != nil {
					t.Fatal(err)
				}
				total += len(out.Audio) / 2
				for i := 0; i < len(out.Audio); i += 2 {
					loud = loud || out.Audio[i] == 1000 && out.Audio[i+1] == 1000
				}
			}
			if total != tt.total || loud != (tt.total > 0) {
				t.Errorf("%d samples a second, want %d; heard %v", total, tt.total, loud)
			}
			if out.DroppedSamples != 0 {
				t.Errorf("dropped %d", out.DroppedSamples)
			}
		})
	}
}

func TestRunAnnouncements(t *testing.T) {
	core := play(t, "geometry_at=2:320x240", "timing_at=4:50.007:44100", "rotate_at=6:2", "geometry_at=8:320x240", "rotate_at=9:9")
	base := libretro.AV{Width: 160, Height: 144, MaxWidth: 160, MaxHeight: 144, Aspect: 160.0 / 144, FPS: 60, SampleRate: 48000}
	big := base
	big.Width, big.Height, big.MaxWidth, big.MaxHeight, big.Aspect = 320, 240, 320, 240, 320.0/240
	timed := big
	timed.FPS, timed.SampleRate = 50.007, 44100
	turned := timed
	turned.Rotation = 2
	for i, want := range []libretro.AV{base, big, big, timed, timed, turned, turned, turned, turned} {
		frame := i + 1
		out := run(t, core, 1)
		changed := frame == 2 || frame == 4 || frame == 6 // 8 says what holds already, 9 is refused
		if out.AVChanged != changed || core.AV() != want {
			t.Errorf("frame %d: changed %v, AV %+v, want %v, %+v", frame, out.AVChanged, core.AV(), changed, want)
		}
		if out.Picture.Width != want.Width {
			t.Errorf("frame %d: picture is %d wide", frame, out.Picture.Width)
		}
	}
}

func TestRunMessages(t *testing.T) {
	core := play(t, "message_at=2:insert \x01coin\xff", "message_ext_at=2:again", "shutdown_at=3")
	if out := run(t, core, 1); len(out.Messages) != 0 || out.Shutdown {
		t.Errorf("frame 1: %q, shutdown %v", out.Messages, out.Shutdown)
	}
	if out := run(t, core, 1); strings.Join(out.Messages, "|") != "insert coin\uFFFD|again" || out.Shutdown {
		t.Errorf("frame 2: %q, shutdown %v", out.Messages, out.Shutdown)
	}
	if out := run(t, core, 1); len(out.Messages) != 0 || !out.Shutdown {
		t.Errorf("frame 3: %q, shutdown %v", out.Messages, out.Shutdown)
	}
	if out := run(t, core, 1); out.Shutdown {
		t.Error("frame 4: still shutting down")
	}
}

func TestSetPad(t *testing.T) {
	core := play(t)
	for bit := range 16 {
		core.SetPad(0, 1<<bit, [4]int16{})
		if got := libretrotest.Buttons(run(t, core, 1).Picture); got != 1<<bit {
			t.Errorf("button %d: core saw %#x", bit, got)
		}
	}
	for _, port := range []int{-1, libretro.MaxPads, 99, math.MaxInt} {
		core.SetPad(port, 0xffff, [4]int16{1, 2, 3, 4})
	}
	core.SetPad(0, 0, [4]int16{})
	before := state(t, core)
	core.SetPad(0, 0, [4]int16{0, 32767, 0, 0})
	run(t, core, 5)
	if after := state(t, core); bytes.Equal(before[12:28], after[12:28]) {
		t.Error("the left stick moves nothing")
	}
}

func TestRunAllocatesNothing(t *testing.T) {
	core := play(t)
	out := new(libretro.Output)
	if n := testing.AllocsPerRun(100, func() {
		core.SetPad(0, libretro.ButtonLeft, [4]int16{})
		if err := core.Run(out); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Run allocates %v times", n)
	}
}
