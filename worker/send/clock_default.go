//go:build !linux

package send

import "time"

// monotonic stands in for CLOCK_MONOTONIC where nobody has written it: there are
// no engines either.
func monotonic() time.Duration { return time.Duration(time.Now().UnixNano()) }
