//go:build !linux

package sandbox

import "errors"

// Thread needs Linux.
func Thread(Files) Report { return unavailable() }

// Process needs Linux.
func Process(Limits) Report { return unavailable() }

func unavailable() (r Report) {
	r.add("sandbox", errors.ErrUnsupported)
	return r
}
