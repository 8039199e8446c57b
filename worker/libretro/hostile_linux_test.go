//go:build cgo

package libretro_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/libretro"
	"github.com/cloudretro/cloudretro/worker/libretro/libretrotest"
)

// Each thing a hostile core does is refused and counted, and the game goes on.
func TestHostile(t *testing.T) {
	for _, tt := range []struct {
		what    string
		hostile uint64 // counted in a run, at least
		picture bool   // the good picture of the run survives
	}{
		{"hw_frame", 1, true},
		{"zero_size", 2, true},
		{"huge_size", 3, true},
		{"small_pitch", 1, true},
		{"huge_pitch", 1, true},
		{"null_batch", 1, true},
		{"bad_format", 1, true},
		{"bad_rotation", 1, true},
		{"bad_timing", 1, true},
		{"bad_geometry", 1, true},
		{"thread", 4, true},
		{"null_text", 2, true},
		{"null_env", 50, true},
		{"unknown_env", 0, true},
		{"bad_input", 0, true},
		{"log_flood", 0, true},
		{"message_flood", 0, true},
		{"long_text", 0, true},
		{"hw_frame,zero_size,huge_size,small_pitch,huge_pitch,null_batch,huge_batch,many_samples,bad_format,bad_rotation," +
			"bad_timing,bad_geometry,thread,log_flood,message_flood,long_text,null_text,null_env,unknown_env,bad_input,rumble", 60, true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			core := play(t, "hostile="+tt.what)
			av := core.AV()
			out := run(t, core, 3)
			if out.Hostile < 3*tt.hostile || tt.hostile == 0 && out.Hostile != 0 {
				t.Errorf("counted %d in 3 runs, want %d a run", out.Hostile, tt.hostile)
			}
			if (out.Picture != nil) != tt.picture || tt.picture && libretrotest.Counter(out.Picture) != 3 {
				t.Errorf("picture %v", out.Picture)
			}
			if out.AVChanged || core.AV() != av {
				t.Errorf("AV = %+v, was %+v", core.AV(), av)
			}
			if len(out.Messages) > 8 {
				t.Errorf("%d messages in a run", len(out.Messages))
			}
			for _, m := range out.Messages {
				if !utf8.ValidString(m) || len(m) > 3*512 {
					t.Errorf("message of %d bytes: %.40q", len(m), m)
				}
			}
		})
	}
}

func TestHostileAudio(t *testing.T) {
	for what, sent := range map[string]uint64{"huge_batch": 1000000, "many_samples": 100000} {
		t.Run(what, func(t *testing.T) {
			core := play(t, "hostile="+what, "fps=50") // 960 samples a run of its own
			out := run(t, core, 2)
			if len(out.Audio) != 2*libretro.MaxAudioFrames {
				t.Errorf("%d samples, want %d", len(out.Audio)/2, libretro.MaxAudioFrames)
			}
			if want := 2 * (sent + 960 - libretro.MaxAudioFrames); out.DroppedSamples != want {
				t.Errorf("dropped %d, want %d", out.DroppedSamples, want)
			}
		})
	}
}

func TestHostileTexts(t *testing.T) {
	var text bytes.Buffer
	core := open(t, libretro.Config{Logger: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err := core.Load(libretro.Game{Data: libretrotest.Script("hostile=log_flood,message_flood")}); err != nil {
		t.Fatal(err)
	}
	out := run(t, core, 100)
	if lines := strings.Count(text.String(), "\n"); lines > 80 {
		t.Errorf("%d lines in the log", lines)
	}
	if out.LostText < 100*1900 {
		t.Errorf("LostText = %d of 200000", out.LostText)
	}
}

func TestRumble(t *testing.T) {
	out := run(t, play(t, "hostile=rumble"), 5)
	if out.Rumbles != 5 || out.Hostile != 0 {
		t.Errorf("Rumbles = %d, want 5; Hostile = %d", out.Rumbles, out.Hostile)
	}
}

func TestHugeStateAndMemory(t *testing.T) {
	core := play(t, "hostile=huge_state,huge_memory")
	if n := core.StateSize(); n != 0 {
		t.Errorf("StateSize = %d", n)
	}
	if _, err := core.Serialize(make([]byte, 1000)); !errors.Is(err, libretro.ErrState) {
		t.Errorf("Serialize: %v", err)
	}
	if m := core.Memory(libretro.MemorySaveRAM); m != nil {
		t.Errorf("Memory of %d bytes", len(m))
	}
}

func TestOptionFlood(t *testing.T) {
	core := play(t, "hostile=option_flood")
	out := run(t, core, 4)
	if n := len(core.Options()); n == 0 || n > 1024 {
		t.Errorf("%d options", n)
	}
	if out.Hostile == 0 {
		t.Error("nothing counted")
	}
}

// FuzzRefresh gives any numbers to the video callback. A reference says what
// must come out; the core's memory ends with its last pixel.
func FuzzRefresh(f *testing.F) {
	f.Add(uint32(64), uint32(64), uint64(256), uint32(1))
	f.Add(uint32(2048), uint32(2048), uint64(8192), uint32(1))
	f.Add(uint32(240), uint32(160), uint64(512), uint32(2))
	f.Add(uint32(1), uint32(1), uint64(2), uint32(0))
	f.Add(uint32(0), uint32(1), uint64(2), uint32(0))
	f.Add(uint32(2049), uint32(1), uint64(8196), uint32(1))
	f.Add(uint32(0xffffffff), uint32(0xffffffff), uint64(0xffffffffffffffff), uint32(1))
	f.Add(uint32(0x80000001), uint32(2), uint64(4), uint32(2))
	f.Add(uint32(100), uint32(100), uint64(399), uint32(1))
	f.Add(uint32(100), uint32(100), uint64(131073), uint32(0))
	f.Add(uint32(16), uint32(16), uint64(64), uint32(7))
	f.Fuzz(func(t *testing.T, width, height uint32, pitch uint64, format uint32) {
		core := play(t, "dupe_every=1", fmt.Sprintf("refresh=%d:%d:%d:%d", width, height, pitch, format))
		out := run(t, core, 1)
		refused := uint64(0)
		if format > 2 { // the format before holds
			format, refused = uint32(media.FormatXRGB8888), 1
		}
		pixel := uint64(media.PixelFormat(format).BytesPerPixel())
		row := uint64(width) * pixel
		good := width >= 1 && height >= 1 && width <= media.MaxWidth && height <= media.MaxHeight && pitch >= row && pitch <= 16*2048*4
		if good != (out.Picture != nil) {
			t.Fatalf("picture %v, want one: %v", out.Picture, good)
		}
		if !good {
			refused++
		}
		if out.Hostile != refused {
			t.Errorf("Hostile = %d, want %d", out.Hostile, refused)
		}
		if !good {
			return
		}
		p := out.Picture
		if p.Width != int(width) || p.Height != int(height) || p.Stride != int(row) || uint32(p.Format) != format {
			t.Fatalf("picture = %dx%d stride %d format %d", p.Width, p.Height, p.Stride, p.Format)
		}
		if pitch*uint64(height-1)+row > 1<<22 {
			return // not patterned
		}
		for i, got := range p.Data {
			y, x := i/p.Stride, i%p.Stride
			if want := byte((uint64(y)*pitch + uint64(x)) * 7); got != want {
				t.Fatalf("byte %d of row %d is %d, want %d", x, y, got, want)
			}
		}
	})
}
