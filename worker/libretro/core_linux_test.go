//go:build cgo

package libretro_test

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/media"
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

func TestRunFormats(t *testing.T) {
	for name, format := range map[string]media.PixelFormat{
		"0rgb1555": media.Format0RGB1555, "rgb565": media.FormatRGB565, "xrgb8888": media.FormatXRGB8888,
	} {
		for _, pitch := range []string{"0", "6", "4096"} {
			t.Run(name+" pitch "+pitch, func(t *testing.T) {
				core := play(t, "format="+name, "pitch="+pitch, "size=240x160")
				core.SetPad(0, libretro.ButtonA|libretro.ButtonR3, [4]int16{})
				p := run(t, core, 1000).Picture
				if p == nil || p.Format != format || p.Width != 240 || p.Height != 160 || p.Stride != 240*format.BytesPerPixel() {
					t.Fatalf("picture = %+v", p)
				}
				if got := libretrotest.Counter(p); got != 1000 {
					t.Errorf("counter = %d, want 1000", got)
				}
				if got := libretrotest.Buttons(p); got != libretro.ButtonA|libretro.ButtonR3 {
					t.Errorf("buttons = %#x", got)
				}
			})
		}
	}
}

func TestRunChangesFormat(t *testing.T) {
	core := play(t, "format=rgb565", "format_at=3:xrgb8888", "format_at=5:0rgb1555")
	for i, want := range []media.PixelFormat{
		media.FormatRGB565, media.FormatRGB565, media.FormatXRGB8888, media.FormatXRGB8888, media.Format0RGB1555,
	} {
		p := run(t, core, 1).Picture
		if p.Format != want || libretrotest.Counter(p) != uint32(i+1) {
			t.Errorf("frame %d: format %d, counter %d", i+1, p.Format, libretrotest.Counter(p))
		}
	}
}

func TestRunRepeatsPicture(t *testing.T) {
	core := play(t, "dupe_every=2")
	for i := range 6 {
		if out := run(t, core, 1); (out.Picture == nil) != (i%2 == 1) {
			t.Errorf("run %d: picture %v", i, out.Picture)
		}
	}
}

func TestRunAudio(t *testing.T) {
	for _, tt := range []struct {
		how   string
		rate  string
		total int
	}{
		{"batch", "48000", 48000}, {"per-sample", "32768", 32768}, {"none", "48000", 0},
	} {
		t.Run(tt.how, func(t *testing.T) {
			core := play(t, "fps=50", "rate="+tt.rate, "audio="+tt.how)
			total, loud := 0, false
			out := new(libretro.Output)
			for range 50 {
				if err := core.Run(out); err != nil {
					t.Fatal(err)
				}
				total += len(out.Audio) / 2
				for i := 0; i < len(out.Audio); i += 2 {
					loud = loud || out.Audio[i] == 1000 && out.Audio[i+1] == 1000
				}
			}
			if total != tt.total || loud != (tt.total > 0) {
				t.Errorf("%d samples a second, want %d; heard %v", total, tt.total, loud)
			}
			if out.DroppedSamples != 0 {
				t.Errorf("dropped %d", out.DroppedSamples)
			}
		})
	}
}

func TestRunAnnouncements(t *testing.T) {
	core := play(t, "geometry_at=2:320x240", "timing_at=4:50.007:44100", "rotate_at=6:2", "geometry_at=8:320x240", "rotate_at=9:9")
	base := libretro.AV{Width: 160, Height: 144, MaxWidth: 160, MaxHeight: 144, Aspect: 160.0 / 144, FPS: 60, SampleRate: 48000}
	big := base
	big.Width, big.Height, big.MaxWidth, big.MaxHeight, big.Aspect = 320, 240, 320, 240, 320.0/240
	timed := big
	timed.FPS, timed.SampleRate = 50.007, 44100
	turned := timed
	turned.Rotation = 2
	for i, want := range []libretro.AV{base, big, big, timed, timed, turned, turned, turned, turned} {
		frame := i + 1
		out := run(t, core, 1)
		changed := frame == 2 || frame == 4 || frame == 6 // 8 says what holds already, 9 is refused
		if out.AVChanged != changed || core.AV() != want {
			t.Errorf("frame %d: changed %v, AV %+v, want %v, %+v", frame, out.AVChanged, core.AV(), changed, want)
		}
		if out.Picture.Width != want.Width {
			t.Errorf("frame %d: picture is %d wide", frame, out.Picture.Width)
		}
	}
}

func TestRunMessages(t *testing.T) {
	core := play(t, "message_at=2:insert \x01coin\xff", "message_ext_at=2:again", "shutdown_at=3")
	if out := run(t, core, 1); len(out.Messages) != 0 || out.Shutdown {
		t.Errorf("frame 1: %q, shutdown %v", out.Messages, out.Shutdown)
	}
	if out := run(t, core, 1); strings.Join(out.Messages, "|") != "insert coin\uFFFD|again" || out.Shutdown {
		t.Errorf("frame 2: %q, shutdown %v", out.Messages, out.Shutdown)
	}
	if out := run(t, core, 1); len(out.Messages) != 0 || !out.Shutdown {
		t.Errorf("frame 3: %q, shutdown %v", out.Messages, out.Shutdown)
	}
	if out := run(t, core, 1); out.Shutdown {
		t.Error("frame 4: still shutting down")
	}
}

func TestSetPad(t *testing.T) {
	core := play(t)
	for bit := range 16 {
		core.SetPad(0, 1<<bit, [4]int16{})
		if got := libretrotest.Buttons(run(t, core, 1).Picture); got != 1<<bit {
			t.Errorf("button %d: core saw %#x", bit, got)
		}
	}
	for _, port := range []int{-1, libretro.MaxPads, 99, math.MaxInt} {
		core.SetPad(port, 0xffff, [4]int16{1, 2, 3, 4})
	}
	core.SetPad(0, 0, [4]int16{})
	before := state(t, core)
	core.SetPad(0, 0, [4]int16{0, 32767, 0, 0})
	run(t, core, 5)
	if after := state(t, core); bytes.Equal(before[12:28], after[12:28]) {
		t.Error("the left stick moves nothing")
	}
}

func state(tb testing.TB, core *libretro.Core) []byte {
	tb.Helper()
	buf := make([]byte, core.StateSize())
	n, err := core.Serialize(buf)
	if err != nil {
		tb.Fatalf("Serialize: %v", err)
	}
	return buf[:n]
}

func TestSerialize(t *testing.T) {
	core := play(t)
	core.SetPad(0, libretro.ButtonRight, [4]int16{})
	run(t, core, 10)
	saved := state(t, core)
	picture := bytes.Clone(run(t, core, 5).Picture.Data)
	run(t, core, 20)
	if err := core.Unserialize(saved); err != nil {
		t.Fatalf("Unserialize: %v", err)
	}
	if !bytes.Equal(saved, state(t, core)) {
		t.Error("the state is not what was restored")
	}
	out := run(t, core, 5)
	if got := libretrotest.Counter(out.Picture); got != 15 || !bytes.Equal(out.Picture.Data, picture) {
		t.Errorf("after restoring, the counter is %d, want 15, and the picture the same", got)
	}
}

func TestSerializeErrors(t *testing.T) {
	core := play(t, "state_size=1000")
	if size := core.StateSize(); size != 1000 {
		t.Errorf("StateSize = %d, want 1000", size)
	}
	for _, size := range []int{0, 1, 999} {
		if n, err := core.Serialize(make([]byte, size)); !errors.Is(err, libretro.ErrState) || n != 0 {
			t.Errorf("Serialize into %d bytes: %d, %v", size, n, err)
		}
	}
	if n, err := core.Serialize(make([]byte, 5000)); err != nil || n != 1000 {
		t.Errorf("Serialize into 5000 bytes: %d, %v", n, err)
	}
	for _, src := range [][]byte{nil, {}, {1}, make([]byte, 1000), make([]byte, libretro.MaxStateSize+1)} {
		if err := core.Unserialize(src); !errors.Is(err, libretro.ErrState) {
			t.Errorf("Unserialize of %d bytes: %v", len(src), err)
		}
	}
}

func TestReset(t *testing.T) {
	core := play(t)
	run(t, core, 10)
	if err := core.Reset(); err != nil {
		t.Fatalf("Reset: %v", err)
	}
	if got := libretrotest.Counter(run(t, core, 1).Picture); got != 1 {
		t.Errorf("counter = %d, want 1", got)
	}
}

func TestMemory(t *testing.T) {
	core := play(t)
	ram := core.Memory(libretro.MemorySaveRAM)
	if len(ram) != 32 {
		t.Fatalf("save RAM has %d bytes, want 32", len(ram))
	}
	copy(ram, "saved")
	if got := core.Memory(libretro.MemorySaveRAM); string(got[:5]) != "saved" {
		t.Errorf("save RAM = %q", got)
	}
	for _, id := range []libretro.MemoryID{libretro.MemoryRTC, libretro.MemorySystemRAM, libretro.MemoryVideoRAM, 99} {
		if got := core.Memory(id); got != nil {
			t.Errorf("memory %d has %d bytes", id, len(got))
		}
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

func TestRunAllocatesNothing(t *testing.T) {
	core := play(t)
	out := new(libretro.Output)
	if n := testing.AllocsPerRun(100, func() {
		core.SetPad(0, libretro.ButtonLeft, [4]int16{})
		if err := core.Run(out); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Run allocates %v times", n)
	}
}
