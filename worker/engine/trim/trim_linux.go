package trim

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// FilePages drops the clean pages of program files from this process's resident
// memory (madvise(2), MADV_DONTNEED) and returns how many bytes of address
// space they covered. What is still in use comes back from the page cache with
// a minor fault each. It may be called at any time, by any goroutine.
func FilePages() (bytes int, err error) {
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return 0, fmt.Errorf("trim: %w", err)
	}
	defer func() { _ = smaps.Close() }()
	spans, err := cleanFileSpans(smaps)
	if err != nil {
		return 0, fmt.Errorf("trim: %w", err)
	}
	for _, s := range spans {
		s.split()
		// The range was mapped a moment ago; a library closed since gives ENOMEM.
		_, _, errno := unix.Syscall(unix.SYS_MADVISE, s.start, s.end-s.start, unix.MADV_DONTNEED)
		if errno == 0 {
			bytes += int(s.end - s.start)
		}
	}
	return bytes, nil
}

// chunk is what one fault brings back at the most. Each costs the kernel 200
// bytes (a vm_area_struct and its place in the tree): at this size a tenth of
// what it saves, and a process has some 1000 of the 65530 that it may have
// (vm.max_map_count).
const chunk = 32 << 10 // bytes

// split makes the kernel see a span as areas of one chunk each, by a mark that
// has no other effect here: program code is not part of a core dump anyway. A
// fault maps the whole large folio of the page cache that lies within its area
// (mm/filemap.c, filemap_map_pages, since Linux 6.18), up to megabytes for a
// single instruction.
func (s span) split() {
	for at := s.start + chunk; at+chunk <= s.end; at += 2 * chunk {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, at, chunk, unix.MADV_DONTDUMP)
	}
}
