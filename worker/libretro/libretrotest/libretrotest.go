// Package libretrotest builds the project's own libretro core for tests and
// reads its pictures. The core is C, in worker/libretro/testdata/testcore; its
// game file is a script whose first line is "testcore" and whose other lines
// are key=value: rates, sizes, pixel formats, faults and changes at given
// frames. All keys are listed in testdata/testcore/script.c.
package libretrotest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/media"
)

// Extension is that of the test core's games, without the dot.
const Extension = "testcore"

// BuildTestCore returns the path of the test core as a shared library. It is
// built once for each version of its source and kept in the user's cache
// folder, so that all test binaries share it. The test is skipped where there
// is no C compiler or no libretro.h.
func BuildTestCore(tb testing.TB) string {
	tb.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		tb.Skip("SKIPPED: the test core needs a C compiler: apt-get install gcc")
	}
	args := []string{"-std=gnu11", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra"}
	sources := sources(tb)
	out := filepath.Join(cache(tb), fmt.Sprintf("testcore-%s.so", key(tb, args, sources)))
	if _, err := os.Stat(out); err == nil {
		return out
	}
	// Other test binaries may do the same at this moment: the last rename wins.
	work, err := os.MkdirTemp(filepath.Dir(out), "build-")
	if err != nil {
		tb.Fatalf("make a folder for the test core: %v", err)
	}
	defer os.RemoveAll(work)
	made := filepath.Join(work, "testcore.so")
	args = append(args, "-o", made)
	for _, s := range sources {
		if strings.HasSuffix(s, ".c") {
			args = append(args, s)
		}
	}
	text, err := exec.CommandContext(tb.Context(), cc, append(args, "-lm", "-lpthread")...).CombinedOutput()
	if bytes.Contains(text, []byte("libretro.h: No such file")) {
		tb.Skip("SKIPPED: the test core needs libretro.h: apt-get install retroarch-dev")
	}
	if err != nil {
		tb.Fatalf("build the test core: %v\n%s", err, text)
	}
	if err := os.Rename(made, out); err != nil {
		tb.Fatalf("keep the test core: %v", err)
	}
	return out
}

// WriteGame writes a script of the given lines into the test's own folder and
// returns its path. The first line, "testcore", is added.
func WriteGame(tb testing.TB, lines ...string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "script."+Extension)
	if err := os.WriteFile(path, Script(lines...), 0o600); err != nil {
		tb.Fatalf("write the script: %v", err)
	}
	return path
}

// Script is the content of a game file of the given lines.
func Script(lines ...string) []byte {
	return []byte(strings.Join(slices.Insert(slices.Clone(lines), 0, "testcore"), "\n") + "\n")
}

// Counter reads the frame counter that the test core paints into its first rows.
func Counter(p *media.Picture) uint32 { return bits(p, 4, 32) }

// Buttons reads the buttons of port 0 that the test core paints below the counter.
func Buttons(p *media.Picture) uint16 { return uint16(bits(p, 12, 16)) }

func bits(p *media.Picture, y, count int) (v uint32) {
	cell := p.Width / count
	for i := range count {
		v <<= 1
		if r, g, b := Pixel(p, i*cell+cell/2, y); int(r)+int(g)+int(b) > 384 {
			v |= 1
		}
	}
	return v
}

// Pixel is the colour of one pixel, 8 bits each.
func Pixel(p *media.Picture, x, y int) (r, g, b byte) {
	at := p.Data[y*p.Stride+x*p.Format.BytesPerPixel():]
	if p.Format == media.FormatXRGB8888 {
		return at[2], at[1], at[0]
	}
	v := uint16(at[0]) | uint16(at[1])<<8
	if p.Format == media.FormatRGB565 {
		return byte(v >> 11 << 3), byte(v >> 5 << 2), byte(v << 3)
	}
	return byte(v >> 10 << 3), byte(v >> 5 << 3), byte(v << 3)
}

// sources finds the C files from the folder of any package of this module,
// where go test runs its binary.
func sources(tb testing.TB) []string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatalf("find the test core: %v", err)
	}
	for start := dir; ; dir = filepath.Dir(dir) {
		found, _ := filepath.Glob(filepath.Join(dir, "worker", "libretro", "testdata", "testcore", "*.[ch]"))
		if len(found) > 0 {
			return found
		}
		if dir == filepath.Dir(dir) {
			tb.Fatalf("no source of the test core above %s", start)
		}
	}
}

func cache(tb testing.TB) string {
	tb.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "cloudretro-testcore")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatalf("make the cache of the test core: %v", err)
	}
	return dir
}

func key(tb testing.TB, args, sources []string) string {
	tb.Helper()
	hash := sha256.New()
	fmt.Fprintln(hash, args)
	for _, s := range sources {
		text, err := os.ReadFile(s)
		if err != nil {
			tb.Fatalf("read the test core: %v", err)
		}
		fmt.Fprintln(hash, filepath.Base(s), len(text))
		hash.Write(text)
	}
	return fmt.Sprintf("%x", hash.Sum(nil)[:8])
}
