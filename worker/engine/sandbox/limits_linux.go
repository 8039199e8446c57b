package sandbox

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// set gives the calling process its limits. All parts are tried.
func (l Limits) set() error {
	errs := []error{
		lower("RLIMIT_CORE", unix.RLIMIT_CORE, 0), // a core dump holds what players typed, and fills disks
		lower("RLIMIT_NOFILE", unix.RLIMIT_NOFILE, l.Files),
		lower("RLIMIT_MSGQUEUE", unix.RLIMIT_MSGQUEUE, 0),
	}
	signal.Ignore(unix.SIGXFSZ) // a write beyond the limit is an error, not the end
	errs = append(errs, lower("RLIMIT_FSIZE", unix.RLIMIT_FSIZE, l.FileSize))
	used, err := dataSize()
	if err == nil && l.Memory < math.MaxUint64-used {
		err = lower("RLIMIT_DATA", unix.RLIMIT_DATA, used+l.Memory)
	}
	return errors.Join(append(errs, err)...)
}

// lower sets both limits of a resource unless they are lower already.
func lower(name string, resource int, limit uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	limit = min(limit, now.Max)
	if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// dataSize is what RLIMIT_DATA counts, in bytes, and a little more: private
// writable memory and the stack (man 5 proc, statm). Address space that Go
// only reserves is not among it.
func dataSize() (uint64, error) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	return parseStatm(string(statm))
}

func parseStatm(text string) (uint64, error) {
	var size, resident, shared, code, lib, data uint64 // pages
	if _, err := fmt.Sscan(text, &size, &resident, &shared, &code, &lib, &data); err != nil {
		return 0, fmt.Errorf("read statm: %w", err)
	}
	page := uint64(os.Getpagesize())
	if data > math.MaxUint64/page {
		return 0, fmt.Errorf("read statm: %d pages", data)
	}
	return data * page, nil
}

// keptCapabilities let root go on reading everybody's games and writing saves.
const keptCapabilities = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH

// dropCapabilities makes programs that root starts from the calling thread have
// the kept capabilities only. Other users' programs have none (no new privileges).
func dropCapabilities() error {
	if os.Geteuid() != 0 {
		return nil
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // two words each
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Inheritable &= keptCapabilities
	data[1].Inheritable = 0
	if err := unix.Capset(&header, &data[0]); err != nil {
		return err
	}
	for c := uintptr(0); c <= 63; c++ {
		if keptCapabilities>>c&1 == 1 {
			continue
		}
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		if err != nil {
			return nil // the last one was before
		}
		if has == 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("drop %d: %w", c, err)
		}
	}
	return nil
}
