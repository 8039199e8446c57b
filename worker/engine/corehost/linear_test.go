package corehost

import "github.com/cloudretro/cloudretro/media"

// linear is a resampler that needs no library, a fake for tests.
type linear struct {
	rate float64
	pos  float64 // of the next output sample, in input samples after last
	last [media.Channels]int16
}

func (l *linear) SetInRate(rate float64) error { l.rate = rate; return nil }

func (l *linear) Process(dst, src []int16) []int16 {
	step := l.rate / media.SampleRate
	n := len(src) / media.Channels
	at := func(i, ch int) float64 {
		if i < 0 {
			return float64(l.last[ch])
		}
		return float64(src[i*media.Channels+ch])
	}
	for ; l.pos < float64(n); l.pos += step {
		i := int(l.pos)
		share := l.pos - float64(i)
		for ch := range media.Channels {
			dst = append(dst, int16(at(i-1, ch)*(1-share)+at(i, ch)*share))
		}
	}
	l.pos -= float64(n)
	if n > 0 {
		copy(l.last[:], src[(n-1)*media.Channels:])
	}
	return dst
}

func (l *linear) Close() error { return nil }
