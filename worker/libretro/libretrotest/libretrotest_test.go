package libretrotest

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cloudretro/cloudretro/media"
)

func TestBuildTestCore(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // builds anew
	var paths [4]string
	var wait sync.WaitGroup
	for i := range paths { // as test binaries of several packages do
		wait.Go(func() { paths[i] = BuildTestCore(t) })
	}
	wait.Wait()
	for _, path := range paths {
		if path != paths[0] {
			t.Errorf("built %s and %s", paths[0], path)
		}
	}
	head, err := os.ReadFile(paths[0])
	if err != nil || !strings.HasPrefix(string(head), "\x7fELF") {
		t.Errorf("no shared library: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(paths[0]), "*")); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
}

func TestWriteGame(t *testing.T) {
	path := WriteGame(t, "fps=50", "size=320x240")
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "testcore\nfps=50\nsize=320x240\n" {
		t.Errorf("wrote %q, %v", got, err)
	}
	if filepath.Ext(path) != "."+Extension {
		t.Errorf("path = %s", path)
	}
}

func TestPixel(t *testing.T) {
	for _, tt := range []struct {
		format  media.PixelFormat
		data    []byte
		r, g, b byte
	}{
		{media.FormatXRGB8888, []byte{1, 2, 3, 0}, 3, 2, 1},
		{media.FormatRGB565, []byte{0x00, 0xf8}, 0xf8, 0, 0},
		{media.FormatRGB565, []byte{0xe0, 0x07}, 0, 0xfc, 0},
		{media.FormatRGB565, []byte{0x1f, 0x00}, 0, 0, 0xf8},
		{media.Format0RGB1555, []byte{0x00, 0x7c}, 0xf8, 0, 0},
		{media.Format0RGB1555, []byte{0xe0, 0x03}, 0, 0xf8, 0},
	} {
		p := &media.Picture{Format: tt.format, Width: 1, Height: 1, Stride: len(tt.data), Data: tt.data}
		if r, g, b := Pixel(p, 0, 0); r != tt.r || g != tt.g || b != tt.b {
			t.Errorf("format %d, % x: %d %d %d", tt.format, tt.data, r, g, b)
		}
	}
}

func TestCounterAndButtons(t *testing.T) {
	p := &media.Picture{Format: media.FormatXRGB8888, Width: 64, Height: 16, Stride: 256, Data: make([]byte, 4096)}
	white := func(x, y int) { copy(p.Data[y*256+x*4:], "\xff\xff\xff") }
	white(63, 4) // bit 0 of 32 cells of 2 pixels
	white(1, 4)  // bit 31
	white(62, 12)
	if got := Counter(p); got != 1<<31|1 {
		t.Errorf("Counter = %#x", got)
	}
	if got := Buttons(p); got != 1 {
		t.Errorf("Buttons = %#x", got)
	}
}
