//go:build !cgo

package yuv

import "github.com/cloudretro/cloudretro/media"

func available() error { return ErrUnavailable }

// convert is never reached: New makes no converter in such a build.
func (c *Converter) convert(*media.Picture) {}
