package loadgen

import (
	"fmt"
	"syscall"
)

// raiseFiles sees to it that the process, and those that it starts, may have so
// many sockets open.
func raiseFiles(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("get the limit of open files: %w", err)
	}
	need := uint64(n)
	if limit.Cur >= need && limit.Max >= need {
		return nil
	}
	next := syscall.Rlimit{Cur: max(need, limit.Cur), Max: max(need, limit.Max)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &next); err != nil {
		return fmt.Errorf("%d sockets are needed, and the process may open %d files: raise that by ulimit -n %d", need, limit.Max, need)
	}
	return nil
}
