//go:build cgo && (!linux || dynamiclibs)

package yuv

// #cgo LDFLAGS: -lyuv
import "C"
