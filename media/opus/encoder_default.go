//go:build !cgo

package opus

import "time"

// Encoder encodes stereo sound at media.SampleRate.
type Encoder struct{}

// New returns ErrUnavailable in this build.
func New(Config) (*Encoder, error) { return nil, ErrUnavailable }

// Encode returns ErrUnavailable in this build.
func (e *Encoder) Encode(dst []byte, _ []int16) ([]byte, error) { return dst, ErrUnavailable }

// Delay returns 0 in this build.
func (e *Encoder) Delay() time.Duration { return 0 }

// Close does nothing in this build.
func (e *Encoder) Close() error { return nil }
