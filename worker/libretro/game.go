package libretro

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// readGame checks the game file at path and reads it into memory of alloc.
// With check alone it is not read and data is nil.
func readGame(path string, check bool, alloc func(size int) []byte) (data []byte, err error) {
	if strings.Contains(path, "\x00") {
		return nil, errors.New("a path must not contain NUL")
	}
	// Before opening: a pipe would block there.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < 1 || info.Size() > MaxGameSize {
		return nil, fmt.Errorf("%s has %d bytes, not within 1..%d", path, info.Size(), MaxGameSize)
	}
	if check {
		return nil, nil
	}
	data = alloc(int(info.Size()))
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}
