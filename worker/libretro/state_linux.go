//go:build cgo

package libretro

/*
#cgo noescape bridge_serialize
#cgo nocallback bridge_serialize
#cgo noescape bridge_unserialize
#cgo nocallback bridge_unserialize
#include "bridge.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Reset presses the console's reset button.
func (c *Core) Reset() error {
	if !c.loaded {
		return c.idle()
	}
	if C.bridge_reset() != C.BRIDGE_OK {
		return ErrThread
	}
	return nil
}

// StateSize is the size in bytes of the state that Serialize would write now,
// 0 if the core has none or it is larger than MaxStateSize. It may change from
// frame to frame.
func (c *Core) StateSize() int {
	var size C.size_t
	if !c.loaded || C.bridge_state_size(&size) != C.BRIDGE_OK || size > MaxStateSize {
		return 0
	}
	return int(size)
}

// Serialize writes the state into dst and returns how many bytes it took.
// The error wraps ErrState if the core refuses or dst is shorter than StateSize.
func (c *Core) Serialize(dst []byte) (int, error) {
	if !c.loaded {
		return 0, c.idle()
	}
	var used C.size_t
	switch C.bridge_serialize(unsafe.Pointer(unsafe.SliceData(dst)), C.size_t(len(dst)), &used) {
	case C.BRIDGE_OK:
		return int(used), nil
	case C.BRIDGE_THREAD:
		return 0, ErrThread
	case C.BRIDGE_SIZE:
		return 0, fmt.Errorf("%w: it takes %d bytes, the buffer has %d", ErrState, uint64(used), len(dst))
	}
	return 0, ErrState
}

// Unserialize restores a state of Serialize. Which other bytes a core survives
// is its own affair: give it only what it wrote. The error wraps ErrState.
func (c *Core) Unserialize(src []byte) error {
	if !c.loaded {
		return c.idle()
	}
	if len(src) == 0 || len(src) > MaxStateSize {
		return fmt.Errorf("%w: %d bytes are not within 1..%d", ErrState, len(src), MaxStateSize)
	}
	switch C.bridge_unserialize(unsafe.Pointer(unsafe.SliceData(src)), C.size_t(len(src))) {
	case C.BRIDGE_OK:
		return nil
	case C.BRIDGE_THREAD:
		return ErrThread
	}
	return ErrState
}

// Memory is a view of a region of the core's memory, nil if it has none. It
// may be read and written until the next call and is gone after Close.
func (c *Core) Memory(id MemoryID) []byte {
	var data unsafe.Pointer
	var size C.size_t
	if !c.loaded || C.bridge_memory(C.uint(id), &data, &size) != C.BRIDGE_OK || data == nil || size == 0 {
		return nil
	}
	if size > MaxMemorySize {
		c.hostile++
		return nil
	}
	return unsafe.Slice((*byte)(data), int(size))
}
