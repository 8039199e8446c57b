//go:build cgo && linux && !dynamiclibs

package pcm

// Static, as package opus is and for the same reasons. Where only the shared
// library is installed, build with -tags dynamiclibs.

// #cgo LDFLAGS: -l:libspeexdsp.a -lm
import "C"
