package yuv

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// A core's picture may end where its memory ends: reading one byte more would
// kill the process. The same holds for what lies before it.
func TestConvertStaysInsideThePicture(t *testing.T) {
	needCgo(t)
	for _, f := range formats {
		for _, size := range [][2]int{{1, 1}, {3, 3}, {17, 5}, {31, 33}, {255, 17}, {256, 16}} {
			t.Run(fmt.Sprintf("%s/%dx%d", f.name, size[0], size[1]), func(t *testing.T) {
				p := randomPicture(f.format, size[0], size[1], size[0]*f.format.BytesPerPixel(), 5)
				for _, atEnd := range []bool{false, true} {
					guarded := *p
					guarded.Data = guard(t, p.Data, atEnd)
					for scale := 1; scale <= MaxScale; scale++ {
						checkConvert(t, &guarded, scale)
					}
				}
			})
		}
	}
}

// guard copies data between two pages that must not be touched, right before
// the second one or right after the first.
func guard(t *testing.T, data []byte, atEnd bool) []byte {
	t.Helper()
	page := os.Getpagesize()
	size := (len(data) + page - 1) / page * page
	memory, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(memory) })
	at := page
	if atEnd {
		at = page + size - len(data)
	}
	copy(memory[at:], data)
	for _, forbidden := range [][]byte{memory[:page], memory[page+size:]} {
		if err := syscall.Mprotect(forbidden, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	return memory[at : at+len(data) : at+len(data)]
}
