package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of utime and stime in /proc/PID/stat (man 5 proc): 100 Hz on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// Usage is what a process has used.
type Usage struct {
	CPU time.Duration // user and system time since its start
	RSS int           // bytes, resident
	PSS int           // bytes, shared pages divided among their users
}

// UsageOf reads what a process has used so far.
func UsageOf(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	_, rest, ok := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	if !ok || len(f) < 13 {
		return Usage{}, fmt.Errorf("/proc/%d/stat: unknown format", pid)
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	u := Usage{CPU: time.Duration(user+system) * clockTick}
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(rollup)) {
		if f := strings.Fields(line); len(f) == 3 {
			kb, _ := strconv.Atoi(f[1])
			switch f[0] {
			case "Rss:":
				u.RSS = kb << 10
			case "Pss:":
				u.PSS = kb << 10
			}
		}
	}
	return u, nil
}

// children returns the pids of a process's direct children.
func children(pid int) []int {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var pids []int
	for _, file := range files {
		list, _ := os.ReadFile(file)
		for _, f := range strings.Fields(string(list)) {
			if n, err := strconv.Atoi(f); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}
