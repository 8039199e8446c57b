//go:build !linux

package corehost

import "time"

// monotonic is a clock of this process only; core processes need Linux.
type monotonic struct{}

func (monotonic) now() time.Duration { return time.Duration(time.Now().UnixNano()) }

func (m monotonic) sleepUntil(t time.Duration) { time.Sleep(t - m.now()) }

func sharpen() error { return nil }
