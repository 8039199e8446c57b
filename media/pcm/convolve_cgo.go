//go:build cgo

package pcm

/*
#cgo CFLAGS: -O3
#include "convolve.h"
*/
import "C"

import (
	"unsafe"

	"github.com/cloudretro/cloudretro/media"
)

// convolve does what convolvePlain does, with vectors.
func convolve(k *kernel, left, right []float32, out []int16, position, step uint64) {
	C.cr_convolve((*C.float)(unsafe.SliceData(k.rows)), C.int(k.taps),
		(*C.float)(unsafe.SliceData(left)), (*C.float)(unsafe.SliceData(right)),
		(*C.int16_t)(unsafe.SliceData(out)), C.int(len(out)/media.Channels),
		C.uint64_t(position), C.uint64_t(step))
}
