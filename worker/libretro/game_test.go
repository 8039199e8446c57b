package libretro

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestReadGame(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(path("good"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path("empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path("big"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path("big"), MaxGameSize+1); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path("good"), path("link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path("pipe"), 0o600); err != nil { // nobody ever writes
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"good": "content", "link": "content", "empty": "", "big": "", "pipe": "", "none": "", ".": "", "nul\x00": "",
	} {
		t.Run(name, func(t *testing.T) {
			allocated := 0
			alloc := func(size int) []byte {
				allocated = size
				return make([]byte, size)
			}
			got, err := readGame(path(name), false, alloc)
			if string(got) != want || (err == nil) != (want != "") {
				t.Errorf("read %q, %v, want %q", got, err, want)
			}
			if allocated != len(want) {
				t.Errorf("allocated %d bytes for %d", allocated, len(want))
			}
			got, err = readGame(path(name), true, alloc)
			if got != nil || (err == nil) != (want != "") {
				t.Errorf("checked %q, %v", got, err)
			}
		})
	}
}

func TestReadGameShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shrinks")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readGame(path, false, func(size int) []byte {
		if err := os.Truncate(path, 10); err != nil {
			t.Fatal(err)
		}
		return make([]byte, size)
	})
	if err == nil || got != nil {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}
