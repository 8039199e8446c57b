package e2e

import (
	"syscall"
	"testing"
)

// enoughFiles raises the bound of open files, or skips the test.
func enoughFiles(t *testing.T, want uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= want {
		return
	}
	limit.Cur = want
	limit.Max = max(limit.Max, want)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Skipf("SKIPPED: %d open files are not allowed here: %v", want, err)
	}
}
