//go:build cgo && linux && !dynamiclibs

package opus

// Static, like the other small libraries: fewer files to have, and fewer pages
// of their own for each core process. Where only the shared library is
// installed, build with -tags dynamiclibs.

// #cgo LDFLAGS: -l:libopus.a -lm
import "C"
