package libretro

import (
	"math"
	"testing"

	"github.com/cloudretro/cloudretro/media"
)

func TestGeometryCheck(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, tt := range []struct {
		name string
		in   geometry
		want AV
		bad  bool
	}{
		{name: "nes", in: geometry{256, 240, 256, 240, 4.0 / 3}, want: AV{Width: 256, Height: 240, MaxWidth: 256, MaxHeight: 240, Aspect: 4.0 / 3}},
		{name: "no aspect", in: geometry{320, 240, 640, 480, 0}, want: AV{Width: 320, Height: 240, MaxWidth: 640, MaxHeight: 480, Aspect: 4.0 / 3}},
		{name: "aspect nan", in: geometry{2, 1, 2, 1, nan}, want: AV{Width: 2, Height: 1, MaxWidth: 2, MaxHeight: 1, Aspect: 2}},
		{name: "aspect inf", in: geometry{2, 1, 2, 1, inf}, want: AV{Width: 2, Height: 1, MaxWidth: 2, MaxHeight: 1, Aspect: 2}},
		{name: "aspect negative", in: geometry{2, 1, 2, 1, -1}, want: AV{Width: 2, Height: 1, MaxWidth: 2, MaxHeight: 1, Aspect: 2}},
		{name: "no maximum", in: geometry{256, 224, 0, 0, 1}, want: AV{Width: 256, Height: 224, MaxWidth: 256, MaxHeight: 224, Aspect: 1}},
		{name: "huge maximum", in: geometry{256, 224, 1 << 31, 4096, 1}, want: AV{Width: 256, Height: 224, MaxWidth: media.MaxWidth, MaxHeight: media.MaxHeight, Aspect: 1}},
		{name: "largest", in: geometry{2048, 2048, 2048, 2048, 1}, want: AV{Width: 2048, Height: 2048, MaxWidth: 2048, MaxHeight: 2048, Aspect: 1}},
		{name: "no width", in: geometry{0, 240, 256, 240, 1}, bad: true},
		{name: "no height", in: geometry{256, 0, 256, 240, 1}, bad: true},
		{name: "too wide", in: geometry{2049, 240, 4096, 240, 1}, bad: true},
		{name: "too high", in: geometry{256, 0xffffffff, 256, 240, 1}, bad: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got AV
			if err := tt.in.check(&got); (err != nil) != tt.bad {
				t.Fatalf("error %v, want one: %v", err, tt.bad)
			}
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestTimingCheck(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, tt := range []struct {
		name string
		in   timing
		ok   bool
	}{
		{"gba", timing{59.7275, 32768}, true},
		{"nes", timing{60.0988, 48000}, true},
		{"wonderswan", timing{75.47, 44100}, true},
		{"least", timing{MinFPS, MinSampleRate}, true},
		{"most", timing{MaxFPS, MaxSampleRate}, true},
		{"fps 0", timing{0, 48000}, false},
		{"fps nan", timing{nan, 48000}, false},
		{"fps inf", timing{inf, 48000}, false},
		{"fps negative", timing{-60, 48000}, false},
		{"fps 1e9", timing{1e9, 48000}, false},
		{"rate 0", timing{60, 0}, false},
		{"rate nan", timing{60, nan}, false},
		{"rate -inf", timing{60, -inf}, false},
		{"rate 1e9", timing{60, 1e9}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got AV
			if err := tt.in.check(&got); (err == nil) != tt.ok {
				t.Fatalf("error %v, want none: %v", err, tt.ok)
			}
			if want := (AV{FPS: tt.in.fps, SampleRate: tt.in.sampleRate}); tt.ok && got != want || !tt.ok && got != (AV{}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func FuzzAV(f *testing.F) {
	f.Add(uint32(256), uint32(240), uint32(256), uint32(240), 1.3, 60.0988, 48000.0)
	f.Add(uint32(0), uint32(1), uint32(0xffffffff), uint32(0), math.NaN(), math.Inf(1), math.Copysign(0, -1))
	f.Fuzz(func(t *testing.T, w, h, mw, mh uint32, aspect, fps, rate float64) {
		var av AV
		if (geometry{w, h, mw, mh, aspect}).check(&av) == nil {
			if av.Width < 1 || av.Height < 1 || av.MaxWidth < av.Width || av.MaxHeight < av.Height ||
				av.MaxWidth > media.MaxWidth || av.MaxHeight > media.MaxHeight || !(av.Aspect > 0) || math.IsInf(av.Aspect, 0) {
				t.Errorf("accepted %+v", av)
			}
		}
		if (timing{fps, rate}).check(&av) == nil {
			if !(av.FPS >= MinFPS && av.FPS <= MaxFPS && av.SampleRate >= MinSampleRate && av.SampleRate <= MaxSampleRate) {
				t.Errorf("accepted %+v", av)
			}
			if av.SampleRate/av.FPS > MaxAudioFrames {
				t.Errorf("%v samples a frame do not fit", av.SampleRate/av.FPS)
			}
		}
	})
}
