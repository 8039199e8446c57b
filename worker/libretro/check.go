package libretro

import (
	"fmt"

	"github.com/cloudretro/cloudretro/media"
)

// geometry and timing are the numbers of struct retro_system_av_info, raw.
type geometry struct {
	baseWidth, baseHeight, maxWidth, maxHeight uint32
	aspect                                     float64
}

type timing struct{ fps, sampleRate float64 }

// Displays are neither needles nor threads.
const minAspect, maxAspect = 0.1, 10.0

// check puts a geometry into av, or says why it is impossible. Careless but
// harmless numbers are put right: a maximum below the base or beyond what we
// take, an aspect ratio that is not one (libretro.h: <= 0 means width/height).
func (g geometry) check(av *AV) error {
	if g.baseWidth < 1 || g.baseHeight < 1 || g.baseWidth > media.MaxWidth || g.baseHeight > media.MaxHeight {
		return fmt.Errorf("geometry %dx%d is outside 1x1..%dx%d", g.baseWidth, g.baseHeight, media.MaxWidth, media.MaxHeight)
	}
	av.Width, av.Height = int(g.baseWidth), int(g.baseHeight)
	av.MaxWidth = int(min(max(g.maxWidth, g.baseWidth), media.MaxWidth))
	av.MaxHeight = int(min(max(g.maxHeight, g.baseHeight), media.MaxHeight))
	av.Aspect = g.aspect
	if !(g.aspect >= minAspect && g.aspect <= maxAspect) { // NaN too
		av.Aspect = float64(av.Width) / float64(av.Height)
	}
	return nil
}

// check puts a timing into av, or says why it is impossible.
func (t timing) check(av *AV) error {
	if !(t.fps >= MinFPS && t.fps <= MaxFPS) {
		return fmt.Errorf("%v frames a second are outside %v..%v", t.fps, MinFPS, MaxFPS)
	}
	if !(t.sampleRate >= MinSampleRate && t.sampleRate <= MaxSampleRate) {
		return fmt.Errorf("sample rate of %v Hz is outside %v..%v", t.sampleRate, MinSampleRate, MaxSampleRate)
	}
	av.FPS, av.SampleRate = t.fps, t.sampleRate
	return nil
}
