//go:build cgo

package opus

/*
#include "encoder.h"
*/
import "C"

import (
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/cloudretro/cloudretro/media"
)

// Encoder encodes stereo sound at media.SampleRate. It is used by one goroutine
// at a time; Close frees it.
type Encoder struct {
	c       *C.OpusEncoder // nil once closed
	samples int            // of a packet
	delay   time.Duration
}

var _ media.AudioEncoder = (*Encoder)(nil)

// New makes an encoder. The error wraps ErrConfig, or is the library's.
func New(cfg Config) (*Encoder, error) {
	cfg, err := complete(cfg)
	if err != nil {
		return nil, err
	}
	var rc, lookahead C.int
	c := C.cr_opus_open(media.SampleRate, media.Channels, C.int(cfg.Bitrate), C.int(cfg.Complexity), &lookahead, &rc)
	if c == nil {
		return nil, fmt.Errorf("opus: make encoder: %s", C.GoString(C.opus_strerror(rc)))
	}
	return &Encoder{
		c:       c,
		samples: samples(cfg.Frame),
		delay:   time.Duration(lookahead) * time.Second / media.SampleRate,
	}, nil
}

// Encode appends the packet made of pcm, which is exactly one packet's duration
// (ErrSamples if not), to dst.
func (e *Encoder) Encode(dst []byte, pcm []int16) ([]byte, error) {
	if e.c == nil {
		return dst, ErrClosed
	}
	if len(pcm) != e.samples {
		return dst, fmt.Errorf("%w: %d, want %d", ErrSamples, len(pcm), e.samples)
	}
	dst = slices.Grow(dst, MaxPacket)
	room := dst[len(dst):][:MaxPacket]
	n := C.opus_encode(e.c, (*C.opus_int16)(unsafe.SliceData(pcm)), C.int(e.samples/media.Channels),
		(*C.uchar)(unsafe.SliceData(room)), MaxPacket)
	if n < 0 {
		return dst, fmt.Errorf("opus: encode: %s", C.GoString(C.opus_strerror(n)))
	}
	return dst[:len(dst)+int(n)], nil
}

// Delay is how much later than it went in sound comes out of a decoder, apart
// from the packet's own duration: 2.5 ms.
func (e *Encoder) Delay() time.Duration { return e.delay }

// Close frees the encoder. It may be called twice.
func (e *Encoder) Close() error {
	if e.c != nil {
		C.opus_encoder_destroy(e.c)
		e.c = nil
	}
	return nil
}
