package engine

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketPair returns a connected pair: a connection for this process and a
// file for the child.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "core process")
	file := os.NewFile(uintptr(fds[0]), "worker")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return conn.(*net.UnixConn), theirs, nil
}

// childAttributes make the child die with the thread that started it and, if
// asked, give it a network namespace of its own, in which there is nothing.
func childAttributes(namespace bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if !namespace {
		return attr
	}
	attr.Cloneflags = syscall.CLONE_NEWNET
	if os.Geteuid() != 0 {
		// Without root a user namespace is the way to a network namespace. Root
		// has it without, and keeps the right to read everybody's games. The
		// namespace needs no names for users: files know this one by its number
		// outside. (A confined thread could not write the map in /proc either.)
		attr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	return attr
}

// monotonicNow is CLOCK_MONOTONIC, the clock of every PTS.
func monotonicNow() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return time.Duration(ts.Nano())
}

// platform says why core processes cannot run on this system at all.
func platform() error { return nil }

// offerFirst makes the kernel end a core process before its worker when memory
// runs out: a room comes back, a worker takes all its rooms along.
func offerFirst(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("500"), 0)
}
