// Package pcm brings the sound of a core to what the encoder takes: 48 kHz
// stereo (media.SampleRate, media.Channels), in blocks of one packet's duration.
//
// A core's nominal rate is not to be trusted (nestopia makes 800 samples a
// frame, 60.0988 times a second, and says 48000), so the Resampler's ratio can
// be bent while it runs.
//
// A sample here is a pair of values, left and right, one after the other; slices
// of int16 hold two values for each.
package pcm
