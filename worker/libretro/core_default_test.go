//go:build !linux || !cgo

package libretro_test

import (
	"errors"
	"testing"

	"github.com/cloudretro/cloudretro/worker/libretro"
)

func TestUnavailable(t *testing.T) {
	core, err := libretro.Open("any.so", libretro.Config{})
	if core != nil || !errors.Is(err, libretro.ErrUnavailable) || !errors.Is(libretro.Available(), libretro.ErrUnavailable) {
		t.Errorf("Open: %v, %v; Available: %v", core, err, libretro.Available())
	}
}
