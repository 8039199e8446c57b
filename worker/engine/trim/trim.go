// Package trim gives back the pages of program files that only the start of a
// process needed: the initialisers of every package and library. A worker runs
// one core process per room from the same binary, so that start-up code
// resident in each of them would be most of what a small room seems to cost.
package trim

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxMaps bounds the mappings that are looked at.
const maxMaps = 4096

// span is a part of the address space.
type span struct{ start, end uintptr }

// cleanFileSpans reads /proc/PID/smaps (man 5 proc) and returns the mappings
// that can be dropped without a loss: of a file, not writable, no page of them
// changed since it was read. The kernel reads them again when they are touched.
func cleanFileSpans(smaps io.Reader) ([]span, error) {
	var (
		spans   []span
		current span
		fits    bool
	)
	keep := func() {
		if fits && len(spans) < maxMaps {
			spans = append(spans, current)
		}
		fits = false
	}
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		key, value := word(lines.Bytes())
		if len(key) == 0 {
			continue
		}
		if key[len(key)-1] == ':' {
			if amount, _ := word(value); own(key) && string(amount) != "0" {
				fits = false
			}
			continue
		}
		keep()
		fields := strings.Fields(lines.Text())
		var err error
		if current, err = parseSpan(fields[0]); err != nil {
			return nil, err
		}
		fits = droppable(fields)
	}
	keep()
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read smaps: %w", err)
	}
	return spans, nil
}

// droppable says whether a mapping's head line (address perms offset dev inode
// path) is one of a program file that cannot be written through.
func droppable(fields []string) bool {
	if len(fields) < 6 || fields[4] == "0" || !strings.HasPrefix(fields[5], "/") {
		return false // anonymous, the stack, the vdso
	}
	if strings.HasPrefix(fields[5], "/memfd:") || strings.HasPrefix(fields[5], "/dev/") {
		return false
	}
	perms := fields[1]
	return len(perms) == 4 && perms[0] == 'r' && perms[1] == '-' && perms[3] == 'p'
}

// own says whether a line of smaps counts pages that are the process's own.
// Dirty alone may be the file's page, written a moment ago.
func own(key []byte) bool {
	switch string(key) {
	case "Anonymous:", "Swap:", "Locked:":
		return true
	}
	return false
}

// word splits the first word off a line. There are tens of thousands of lines,
// so it makes no strings: a trim that leaves garbage behind would be none.
func word(line []byte) (first, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	if end := bytes.IndexAny(line, " \t"); end >= 0 {
		return line[:end], line[end:]
	}
	return line, nil
}

func parseSpan(text string) (span, error) {
	from, to, ok := strings.Cut(text, "-")
	start, err1 := strconv.ParseUint(from, 16, 64)
	end, err2 := strconv.ParseUint(to, 16, 64)
	if err := errors.Join(err1, err2); err != nil || !ok || end <= start {
		return span{}, fmt.Errorf("smaps: %q is no address range", text)
	}
	return span{uintptr(start), uintptr(end)}, nil
}
