//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// installFilter makes the kernel refuse what no core needs.
func installFilter() error { return install(corePolicy(uint32(os.Getpid()))) }

// install makes the kernel refuse what p refuses, for all threads.
func install(p policy) error {
	program, err := assemble(p)
	if err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	// Before Linux 5.16 a filter also slows speculation down unless told not to.
	// That protects a process from itself; here all of it is the core's anyway.
	err = seccomp(unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog)
	if errors.Is(err, unix.EINVAL) { // before Linux 4.17
		err = seccomp(unix.SECCOMP_FILTER_FLAG_TSYNC, &prog)
	}
	return err
}

func seccomp(flags uintptr, prog *unix.SockFprog) error {
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(prog)))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return errno
	}
	if thread != 0 {
		return fmt.Errorf("thread %d has a filter of its own", thread)
	}
	return nil
}
