// Package opus encodes sound for WebRTC with libopus in the mode of least delay
// (RFC 6716, 2.1: "restricted low delay", CELT only). Each packet stands for
// itself: no forward error correction, no silence suppression, so that packets
// come at an even pace.
package opus

import (
	"errors"
	"fmt"
	"time"

	"github.com/cloudretro/cloudretro/media"
)

// Defaults for the fields of Config that are zero.
const (
	DefaultFrame      = 10 * time.Millisecond
	DefaultBitrate    = 96_000 // bit/s
	DefaultComplexity = 4
)

// Limits of Config, and of a packet (RFC 6716, 3.4).
const (
	MinBitrate    = 6_000   // bit/s
	MaxBitrate    = 510_000 // bit/s
	MaxComplexity = 10
	MaxPacket     = 1275 // bytes
)

var (
	// ErrConfig says that an encoder cannot be made for these numbers.
	ErrConfig = errors.New("opus: bad configuration")
	// ErrUnavailable says that the build has no cgo.
	ErrUnavailable = errors.New("opus: this build cannot encode sound; build it with CGO_ENABLED=1 and libopus (on Debian: libopus-dev)")
	// ErrSamples says that Encode was not given exactly one packet's samples.
	ErrSamples = errors.New("opus: not one packet's samples")
	// ErrClosed says that the encoder was closed.
	ErrClosed = errors.New("opus: encoder is closed")
)

// Config is how to encode. Zero fields take the defaults.
type Config struct {
	Frame      time.Duration // of one packet: 5, 10 or 20 ms
	Bitrate    int           // bit/s, both channels
	Complexity int           // 1..MaxComplexity, CPU for quality
}

// complete checks cfg and puts the defaults in.
func complete(cfg Config) (Config, error) {
	if cfg.Frame == 0 {
		cfg.Frame = DefaultFrame
	}
	if cfg.Bitrate == 0 {
		cfg.Bitrate = DefaultBitrate
	}
	if cfg.Complexity == 0 {
		cfg.Complexity = DefaultComplexity
	}
	switch cfg.Frame {
	case 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond:
	default:
		return cfg, fmt.Errorf("%w: packets of %v, want 5ms, 10ms or 20ms", ErrConfig, cfg.Frame)
	}
	if cfg.Bitrate < MinBitrate || cfg.Bitrate > MaxBitrate {
		return cfg, fmt.Errorf("%w: %d bit/s, want %d to %d", ErrConfig, cfg.Bitrate, MinBitrate, MaxBitrate)
	}
	if cfg.Complexity < 1 || cfg.Complexity > MaxComplexity {
		return cfg, fmt.Errorf("%w: complexity %d, want 1 to %d", ErrConfig, cfg.Complexity, MaxComplexity)
	}
	return cfg, nil
}

// samples returns how many int16 a packet of the given duration is made of.
func samples(frame time.Duration) int {
	return int(frame*media.SampleRate/time.Second) * media.Channels
}
