//go:build !cgo

package pcm

import "time"

// Resampler turns sound of any rate into sound of media.SampleRate.
type Resampler struct{}

// NewResampler returns ErrUnavailable in this build.
func NewResampler(float64) (*Resampler, error) { return nil, ErrUnavailable }

// SetInRate returns ErrUnavailable in this build.
func (r *Resampler) SetInRate(float64) error { return ErrUnavailable }

// Process appends nothing in this build.
func (r *Resampler) Process(dst, _ []int16) []int16 { return dst }

// Delay returns 0 in this build.
func (r *Resampler) Delay() time.Duration { return 0 }

// Close does nothing in this build.
func (r *Resampler) Close() error { return nil }
