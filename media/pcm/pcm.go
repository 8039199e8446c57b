// Package pcm brings the sound of a core to what the encoder takes: 48 kHz
// stereo (media.SampleRate, media.Channels), in blocks of one packet's duration.
//
// A core's nominal rate is not to be trusted (nestopia makes 800 samples a
// frame, 60.0988 times a second, and says 48000), so the Resampler's ratio can
// be bent while it runs.
//
// The filter is libspeexdsp's: small, BSD, late by half its length and no more,
// and it takes another ratio between any two samples. (soxr cannot change the rate
// of its quick mode, and its variable one is late by 5 to 7 ms.) The library
// makes its table anew at each bend and its coefficients for each channel, so it
// takes up to four times the CPU of a filter made for the purpose; one less of
// our own is worth that. Its arithmetic of 32 bits knows ratios of 16 bits only,
// see ratio.go. Measured on a Xeon, bent 60 times a second:
//
//	rate, kHz  quality  delay, ms  CPU, ms/s  noise below a tone of 1, 5, 10 kHz, dB
//	 32.04     2        0.50       2.1        83, 81, 67
//	 44.1      2        0.36       2.1        76, 75, 73
//	 48.08     2        0.33       2.0        81, 82, 76
//	 65.54     2        0.37       2.8        80, 79, 78
//	131.07     1        0.18       2.9        79, 83, 79
//	380        0        0.08       4.3
//
// In qualities 1 and 0, tones of 18 kHz come out 1 and 4 dB weaker. Quality 3 makes
// 6 to 20 dB less noise, where Opus makes far more, for 1.5 times the CPU and delay.
//
// A sample here is a pair of values, left and right, one after the other; slices
// of int16 hold two values for each.
package pcm

import "errors"

// Limits of a core's rate in Hz.
const (
	MinRate = 8_000
	MaxRate = 400_000 // some cores announce 384 kHz, and the rate must be free to bend
)

var (
	// ErrRate says that a rate is no number or is out of MinRate..MaxRate.
	ErrRate = errors.New("pcm: impossible sample rate")
	// ErrClosed says that the resampler was closed.
	ErrClosed = errors.New("pcm: resampler is closed")
	// ErrUnavailable says that the build has no cgo.
	ErrUnavailable = errors.New("pcm: this build cannot resample sound; build it with CGO_ENABLED=1 and libspeexdsp (on Debian: libspeexdsp-dev)")
)
