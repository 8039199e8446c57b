//go:build cgo && linux

package h264

/*
#cgo CFLAGS: -O2
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "encoder.h"
*/
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/cloudretro/cloudretro/media"
)

// cEncoder is an encoder of the C side. All of its memory is C's.
type cEncoder struct {
	c   *C.cr_encoder
	fps float64
	out C.cr_output // of the last call; here, since a local one would be allocated each time
}

// openLibrary opens the named library, one of candidates' results, with a complete configuration.
func openLibrary(name string, cfg media.VideoConfig) (library, error) {
	c := C.cr_config{
		width:       C.int(cfg.Width),
		height:      C.int(cfg.Height),
		fps:         C.double(cfg.FPS),
		crf:         C.double(cfg.CRF),
		profile:     C.int(cfg.Profile),
		max_bitrate: C.int(cfg.MaxBitrate),
		vbv_bits:    C.int(vbvBits(cfg.MaxBitrate, cfg.FPS)),
	}
	var reason [C.CR_REASON_SIZE]C.char
	var enc *C.cr_encoder
	var rc C.int
	if name == LibraryX264 {
		rc = C.cr_x264_open(&c, &enc, &reason[0])
	} else {
		rc = C.cr_openh264_open(&c, &enc, &reason[0])
	}
	if rc != C.CR_OK {
		return nil, openError(name, rc, C.GoString(&reason[0]))
	}
	return &cEncoder{c: enc, fps: cfg.FPS}, nil
}

// probeLibrary loads and unloads the named library.
func probeLibrary(name string) error {
	var reason [C.CR_REASON_SIZE]C.char
	var rc C.int
	if name == LibraryX264 {
		rc = C.cr_x264_probe(&reason[0])
	} else {
		rc = C.cr_openh264_probe(&reason[0])
	}
	if rc != C.CR_OK {
		return openError(name, rc, C.GoString(&reason[0]))
	}
	return nil
}

func openError(name string, rc C.int, reason string) error {
	if rc != C.CR_UNAVAILABLE {
		return fmt.Errorf("h264: open %s: %s", name, reason)
	}
	return fmt.Errorf("%w: %s: %s; install it (on Debian: apt-get install lib%s-dev) or set encoder.video.h264.library to the other one",
		ErrUnavailable, name, reason, name)
}

func vbvBits(bps int, fps float64) int { return int(min(vbvFrames*float64(bps)/fps, MaxBitrate)) }

func (e *cEncoder) encode(dst []byte, pic *media.I420, key bool) ([]byte, bool, error) {
	var want C.int
	if key {
		want = 1
	}
	rc := C.cr_encode(e.c,
		(*C.uint8_t)(unsafe.SliceData(pic.Y)), (*C.uint8_t)(unsafe.SliceData(pic.U)), (*C.uint8_t)(unsafe.SliceData(pic.V)),
		C.int(pic.StrideY), C.int(pic.StrideU), C.int(pic.StrideV), want, &e.out)
	if rc != C.CR_OK {
		return dst, false, fmt.Errorf("h264: encode: %s", C.GoString(C.cr_error(rc)))
	}
	return append(dst, unsafe.Slice((*byte)(e.out.data), int(e.out.size))...), e.out.key != 0, nil
}

func (e *cEncoder) setMaxBitrate(bps int) error {
	if rc := C.cr_set_max_bitrate(e.c, C.int(bps), C.int(vbvBits(bps, e.fps))); rc != C.CR_OK {
		return fmt.Errorf("h264: set bitrate: %s", C.GoString(C.cr_error(rc)))
	}
	return nil
}

func (e *cEncoder) close() {
	C.cr_close(e.c)
	e.c = nil
}
