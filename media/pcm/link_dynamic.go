//go:build cgo && (!linux || dynamiclibs)

package pcm

// #cgo LDFLAGS: -lspeexdsp
import "C"
