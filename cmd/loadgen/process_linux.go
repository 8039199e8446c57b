package loadgen

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond of /proc/PID/stat: USER_HZ, which is 100 on all of Linux's
// architectures that Go runs on (include/uapi/asm-generic/param.h).
const ticksPerSecond = 100

// processSample is what a process of this machine has used.
func processSample(pid int) (sample, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return sample{}, fmt.Errorf("look at the process: %w", err)
	}
	s, err := parseStat(string(stat), int64(os.Getpagesize()))
	if err != nil {
		return sample{}, err
	}
	s.at = time.Now()
	if files, err := os.ReadDir(dir + "/fd"); err == nil {
		s.sockets = len(files)
	}
	return s, nil
}

// parseStat reads proc_pid_stat(5): utime and stime are fields 14 and 15, rss is
// 24. The name, field 2, may have anything in it but ends with the last bracket.
func parseStat(stat string, page int64) (sample, error) {
	_, rest, ok := strings.Cut(stat[strings.LastIndexByte(stat, ')')+1:], " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 22 {
		return sample{}, errors.New("stat has too few fields")
	}
	var n [3]int64
	for i, at := range []int{11, 12, 21} {
		v, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return sample{}, fmt.Errorf("stat: %w", err)
		}
		n[i] = v
	}
	return sample{cpu: time.Duration(n[0]+n[1]) * time.Second / ticksPerSecond, rss: n[2] * page}, nil
}
