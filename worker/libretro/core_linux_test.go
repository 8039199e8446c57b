//go:build cgo

package libretro_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/worker/libretro"
	"github.com/cloudretro/cloudretro/worker/libretro/libretrotest"
)

// open opens the test core; it is closed when the test ends.
func open(tb testing.TB, cfg libretro.Config) *libretro.Core {
	tb.Helper()
	core, err := libretro.Open(libretrotest.BuildTestCore(tb), cfg)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(func() {
		if err := core.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return core
}

// play opens the test core with a script.
func play(tb testing.TB, lines ...string) *libretro.Core {
	tb.Helper()
	core := open(tb, libretro.Config{})
	if err := core.Load(libretro.Game{Data: libretrotest.Script(lines...)}); err != nil {
		tb.Fatalf("Load: %v", err)
	}
	return core
}

// run runs n frames and returns what the last one brought.
func run(tb testing.TB, core *libretro.Core, n int) *libretro.Output {
	tb.Helper()
	out := new(libretro.Output)
	for range n {
		if err := core.Run(out); err != nil {
			tb.Fatalf("Run: %v", err)
		}
		if out.Picture != nil {
			if err := out.Picture.Check(); err != nil {
				tb.Fatalf("picture %dx%d: %v", out.Picture.Width, out.Picture.Height, err)
			}
		}
	}
	return out
}

func TestSystem(t *testing.T) {
	got := open(t, libretro.Config{}).System()
	if got.LibraryName != "Test core" || got.LibraryVersion != "1.0" || got.NeedFullpath || got.BlockExtract || !got.SupportsNoGame {
		t.Errorf("System = %+v", got)
	}
	if ext := strings.Join(got.ValidExtensions, " "); ext != "testcore txt" {
		t.Errorf("ValidExtensions = %q", ext)
	}
}

func TestOpenBusy(t *testing.T) {
	core := open(t, libretro.Config{})
	if _, err := libretro.Open(libretrotest.BuildTestCore(t), libretro.Config{}); !errors.Is(err, libretro.ErrBusy) {
		t.Errorf("second Open: %v, want ErrBusy", err)
	}
	if err := core.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	open(t, libretro.Config{})
}

func TestOpenNoCore(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	libc := ""
	for _, dir := range []string{"/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/lib", "/usr/lib"} {
		if _, err := os.Stat(filepath.Join(dir, "libc.so.6")); err == nil && libc == "" {
			libc = filepath.Join(dir, "libc.so.6")
		}
	}
	for _, tt := range []struct{ name, path, say string }{
		{"missing", filepath.Join(dir, "none.so"), "no such file"},
		{"folder", dir, "is no file"},
		{"text", text, "text.so"},
		{"nul", "a\x00b", "invalid argument"},
		{"another library", libc, "has no retro_set_environment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.path == "" {
				t.Skip("SKIPPED: no libc.so.6 found")
			}
			core, err := libretro.Open(tt.path, libretro.Config{})
			if !errors.Is(err, libretro.ErrCore) || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("Open: %v, want ErrCore that says %q", err, tt.say)
			}
			if core != nil {
				t.Error("a core beside an error")
			}
		})
	}
	open(t, libretro.Config{}) // none of them holds the process
}

func TestOpenTooManyOptions(t *testing.T) {
	options := make(map[string]string)
	for i := range 2000 {
		options[strings.Repeat("k", i%100+1)+string(rune('a'+i%26))+strings.Repeat("x", i/100)] = "v"
	}
	if _, err := libretro.Open(libretrotest.BuildTestCore(t), libretro.Config{Options: options}); !errors.Is(err, libretro.ErrCore) {
		t.Errorf("Open: %v, want ErrCore", err)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	empty, big := filepath.Join(dir, "empty.testcore"), filepath.Join(dir, "big.testcore")
	for path, size := range map[string]int64{empty: 0, big: libretro.MaxGameSize + 1} {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		game libretro.Game
		say  string
	}{
		{"missing", libretro.Game{Path: filepath.Join(dir, "none")}, "no such file"},
		{"folder", libretro.Game{Path: dir}, "is no file"},
		{"nul", libretro.Game{Path: "a\x00b"}, "NUL"},
		{"empty", libretro.Game{Path: empty}, "0 bytes"},
		{"too big", libretro.Game{Path: big}, "not within"},
		{"empty data", libretro.Game{Data: []byte{}}, "not within"},
		{"no script", libretro.Game{Data: []byte("MZ\x90")}, "this is no script"},
		{"refused", libretro.Game{Data: libretrotest.Script("fail=1")}, "refused game.testcore"},
		{"graphics card", libretro.Game{Data: libretrotest.Script("hostile=hw_render")}, "graphics card"},
		{"no width", libretro.Game{Data: libretrotest.Script("size=0x100")}, "bad picture"},
		{"huge height", libretro.Game{Data: libretrotest.Script("size=100x100000")}, "bad picture"},
		{"fps nan", libretro.Game{Data: libretrotest.Script("fps=nan")}, "bad rate"},
		{"fps 0", libretro.Game{Data: libretrotest.Script("fps=0")}, "bad rate"},
		{"fps huge", libretro.Game{Data: libretrotest.Script("fps=1e9")}, "bad rate"},
		{"rate inf", libretro.Game{Data: libretrotest.Script("rate=inf")}, "bad rate"},
		{"rate negative", libretro.Game{Data: libretrotest.Script("rate=-48000")}, "bad rate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			core := open(t, libretro.Config{})
			if err := core.Load(tt.game); !errors.Is(err, libretro.ErrGame) || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("Load: %v, want ErrGame that says %q", err, tt.say)
			}
			if err := core.Run(new(libretro.Output)); !errors.Is(err, libretro.ErrNoGame) {
				t.Errorf("Run: %v, want ErrNoGame", err)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	script := libretrotest.WriteGame(t, "fps=59.7275", "rate=32768", "size=240x160", "max=320x240", "aspect=1.5", "rotation=3")
	core := open(t, libretro.Config{})
	if err := core.Load(libretro.Game{Path: script}); err != nil {
		t.Fatalf("Load: %v", err)
	}
	want := libretro.AV{
		Width: 240, Height: 160, MaxWidth: 320, MaxHeight: 240, Aspect: 1.5, FPS: 59.7275, SampleRate: 32768, Rotation: 3,
	}
	if got := core.AV(); got != want {
		t.Errorf("AV = %+v, want %+v", got, want)
	}
	if err := core.Load(libretro.Game{Path: script}); !errors.Is(err, libretro.ErrGame) {
		t.Errorf("second Load: %v, want ErrGame", err)
	}
}

func TestLoadAgainAfterRefusal(t *testing.T) {
	core := open(t, libretro.Config{})
	if err := core.Load(libretro.Game{Data: []byte("junk")}); !errors.Is(err, libretro.ErrGame) {
		t.Fatalf("Load of junk: %v", err)
	}
	if err := core.Load(libretro.Game{}); err != nil {
		t.Fatalf("Load of no game: %v", err)
	}
	if got := libretrotest.Counter(run(t, core, 3).Picture); got != 3 {
		t.Errorf("counter = %d, want 3", got)
	}
}

func TestClosed(t *testing.T) {
	core := play(t)
	if err := core.Close(); err != nil {
		t.Fatal(err)
	}
	if err := core.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	play(t) // the old one must not reach the new one
	for name, err := range map[string]error{
		"Run": core.Run(new(libretro.Output)), "Load": core.Load(libretro.Game{}), "Reset": core.Reset(),
		"Unserialize": core.Unserialize([]byte{1}),
	} {
		if !errors.Is(err, libretro.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if _, err := core.Serialize(make([]byte, 100)); !errors.Is(err, libretro.ErrClosed) {
		t.Errorf("Serialize: %v", err)
	}
	if core.StateSize() != 0 || core.Memory(libretro.MemorySaveRAM) != nil || core.Options() != nil {
		t.Error("a closed core has a state, memory or options")
	}
}

func TestOtherThread(t *testing.T) {
	core := play(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for name, err := range map[string]error{
			"Run": core.Run(new(libretro.Output)), "Reset": core.Reset(), "Unserialize": core.Unserialize([]byte{1}),
			"Close": core.Close(),
		} {
			if !errors.Is(err, libretro.ErrThread) {
				t.Errorf("%s: %v, want ErrThread", name, err)
			}
		}
		if _, err := core.Serialize(make([]byte, 100)); !errors.Is(err, libretro.ErrThread) {
			t.Errorf("Serialize: %v", err)
		}
		if core.StateSize() != 0 || core.Memory(libretro.MemorySaveRAM) != nil {
			t.Error("another thread sees the state or memory")
		}
	}()
	<-done
	run(t, core, 1)
}

func TestLog(t *testing.T) {
	const info = `level=DEBUG msg="core says" text="tint=none size=16 path=game.testcore"`
	const warn = `level=WARN msg="core says" text="low battery"`
	for _, tt := range []struct {
		level slog.Level
		lines []string
	}{
		{slog.LevelDebug, []string{info, warn, "environment command 4096 is not supported"}},
		{slog.LevelInfo, []string{warn}},
		{slog.LevelError, nil},
	} {
		t.Run(tt.level.String(), func(t *testing.T) {
			var text bytes.Buffer
			core := open(t, libretro.Config{Logger: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: tt.level}))})
			if err := core.Load(libretro.Game{Data: libretrotest.Script("log_at=1:low battery", "hostile=unknown_env")}); err != nil {
				t.Fatal(err)
			}
			run(t, core, 3)
			for _, want := range tt.lines {
				if !strings.Contains(text.String(), want) {
					t.Errorf("the log lacks %s:\n%s", want, text.String())
				}
			}
			if n := strings.Count(text.String(), "\n"); n < len(tt.lines) || tt.level > slog.LevelDebug && n != len(tt.lines) {
				t.Errorf("%d lines:\n%s", n, text.String())
			}
		})
	}
}
