//go:build cgo

package yuv

/*
#cgo CFLAGS: -O3
#include "convert.h"
*/
import "C"

import (
	"unsafe"

	"github.com/cloudretro/cloudretro/media"
)

func available() error { return nil }

// convert fills the planes from src, which has been checked and is what the
// planes were made for.
func (c *Converter) convert(src *media.Picture) {
	out := &c.out
	C.cr_convert(C.int(src.Format), C.int(src.Width), C.int(src.Height),
		pointer(src.Data), C.int(src.Stride), C.int(c.scale), pointer(c.band),
		pointer(out.Y), pointer(out.U), pointer(out.V),
		C.int(out.StrideY), C.int(out.StrideU), C.int(out.Width), C.int(out.Height))
}

func pointer(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(b)) }
