//go:build cgo

package libretro_test

import (
	"testing"

	"github.com/cloudretro/cloudretro/worker/libretro"
)

func benchmarkRun(b *testing.B, core *libretro.Core) {
	b.Helper()
	out := new(libretro.Output)
	b.ReportAllocs()
	for b.Loop() {
		core.SetPad(0, libretro.ButtonLeft, [4]int16{})
		if err := core.Run(out); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRunEmpty is what a Run costs beside the core: a picture of 1x1, no sound.
func BenchmarkRunEmpty(b *testing.B) {
	benchmarkRun(b, play(b, "size=1x1", "audio=none"))
}

// BenchmarkRunPicture adds the copy of a picture, its rows tight or in a wider
// buffer. Dupe is the same without copying.
func BenchmarkRunPicture(b *testing.B) {
	for _, tt := range []struct{ name, line string }{
		{"dupe", "dupe_every=1"},
		{"xrgb8888", ""},
		{"xrgb8888 pitch", "pitch=1024"},
		{"rgb565", "format=rgb565"},
	} {
		b.Run(tt.name, func(b *testing.B) { benchmarkRun(b, play(b, "size=256x240", "audio=none", "still=1", tt.line)) })
	}
}

// BenchmarkRunSound is a callback for each of 800 samples, and one for all.
func BenchmarkRunSound(b *testing.B) {
	for _, how := range []string{"none", "batch", "per-sample"} {
		b.Run(how, func(b *testing.B) { benchmarkRun(b, play(b, "size=1x1", "audio="+how)) })
	}
}

// BenchmarkRunNestopia is a whole frame of a real core.
func BenchmarkRunNestopia(b *testing.B) { benchmarkRun(b, nestopia(b)) }

func BenchmarkSerializeNestopia(b *testing.B) {
	core := nestopia(b)
	run(b, core, 10)
	buf := make([]byte, core.StateSize())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := core.Serialize(buf); err != nil {
			b.Fatal(err)
		}
		if err := core.Unserialize(buf); err != nil {
			b.Fatal(err)
		}
	}
}
