//go:build cgo && (!linux || dynamiclibs)

package opus

// #cgo LDFLAGS: -lopus
import "C"
