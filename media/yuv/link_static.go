//go:build cgo && linux && !dynamiclibs

package yuv

// The archive gives the binary the few functions it uses and spares it the
// libjpeg and libstdc++ that libyuv.so loads. Where only the shared library is
// installed, build with -tags dynamiclibs.

// #cgo LDFLAGS: -l:libyuv.a
import "C"
