//go:build !cgo || !linux

package h264

import (
	"fmt"

	"github.com/cloudretro/cloudretro/media"
)

func openLibrary(name string, _ media.VideoConfig) (library, error) { return nil, probeLibrary(name) }

func probeLibrary(name string) error {
	return fmt.Errorf("%w: %s: this build cannot load C libraries; build on Linux with CGO_ENABLED=1", ErrUnavailable, name)
}
