//go:build linux && !(amd64 || arm64)

package sandbox

import "errors"

func installFilter() error { return errors.ErrUnsupported }
