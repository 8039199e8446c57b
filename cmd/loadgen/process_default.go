//go:build !linux

package loadgen

import "errors"

// processSample is for Linux; elsewhere a coordinator's ops.address tells.
func processSample(int) (sample, error) {
	return sample{}, errors.New("processes are looked at on Linux only; use --ops")
}
