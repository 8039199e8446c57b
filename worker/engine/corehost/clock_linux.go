package corehost

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is CLOCK_MONOTONIC, which all processes of a host share.
type monotonic struct{}

func (monotonic) now() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return time.Duration(ts.Nano())
}

// sleepUntil blocks the calling thread; a runtime signal only interrupts it.
func (monotonic) sleepUntil(t time.Duration) {
	ts := unix.NsecToTimespec(int64(t))
	for errors.Is(unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil), unix.EINTR) {
		continue
	}
}

// sharpen makes sleeps of the calling thread end on time: the kernel rounds
// them by 50 us unless told otherwise (prctl(2), PR_SET_TIMERSLACK).
func sharpen() error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set timer slack: %w", err)
	}
	return nil
}
