//go:build cgo

package libretro_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/libretro"
)

// realCores are Debian's cores and what they must say and show.
func realCores() map[string]realCore {
	return map[string]realCore{
		"nestopia":               {Name: "Nestopia", FPS: 60, Changes: true, Exact: true, Ext: "nes", rom: nes, refuses: true},
		"gambatte":               {Name: "Gambatte", FPS: 59.7275, Changes: true, Ext: "gb", rom: gb, refuses: true},
		"mgba":                   {Name: "mGBA", FPS: 59.7275, Changes: true, Exact: true, Ext: "gba", rom: gba, refuses: true},
		"bsnes_mercury_balanced": {Name: "bsnes-mercury", FPS: 60.0988, Changes: true, Ext: "sfc", rom: snes},
		"mednafen_pce_fast":      {Name: "PCE Fast", FPS: 59.82, Changes: true, Exact: true, Ext: "pce", rom: pce},
		"mednafen_vb":            {Name: "VB", FPS: 50.27, Ext: "vb", rom: vb, refuses: true},
		"mednafen_wswan":         {Name: "WonderSwan", FPS: 75.47, Exact: true, Ext: "ws", rom: ws},
	}
}

type realCore struct {
	Path, Name, Ext, Game string
	FPS                   float64
	Changes               bool // the picture does
	Exact                 bool // states taken and restored are equal to the last byte
	Junk                  bool // Game is no game
	Refuses               bool

	rom     func() []byte
	refuses bool // it tells a game from junk
}

// childEnv carries a realCore or scenario to the process that plays it.
const childEnv = "CLOUDRETRO_LIBRETRO_TEST_CHILD"

// child runs one test of this binary in a process of its own and returns what
// it printed: cores are singletons, and some tests kill them.
func child(t *testing.T, test string, what any) (string, error) {
	t.Helper()
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v", "-test.count=1")
	cmd.Env = childEnviron(text)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// childEnviron hands text over, and ends the race detector's wait of a second
// at the end of each process.
func childEnviron(text []byte) []string {
	return append(os.Environ(), childEnv+"="+string(text), "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
}

// inChild decodes what the parent sent, or skips the test in the parent.
func inChild(t *testing.T, what any) {
	t.Helper()
	text := os.Getenv(childEnv)
	if text == "" {
		t.Skip("only for a child process")
	}
	if err := json.Unmarshal([]byte(text), what); err != nil {
		t.Fatal(err)
	}
}

func findCore(name string) string {
	for _, pattern := range []string{"/usr/lib/*/libretro/", "/usr/lib/libretro/", "/usr/local/lib/libretro/"} {
		if found, _ := filepath.Glob(pattern + name + "_libretro.so"); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

func TestRealCores(t *testing.T) {
	for name, core := range realCores() {
		t.Run(name, func(t *testing.T) {
			if core.Path = findCore(name); core.Path == "" {
				t.Skipf("SKIPPED: no %s: apt-get install libretro-%s", name, strings.NewReplacer("mednafen", "beetle", "_", "-").Replace(name))
			}
			core.Game = filepath.Join(t.TempDir(), "game."+core.Ext)
			if err := os.WriteFile(core.Game, core.rom(), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := child(t, "TestRealCoreChild", core)
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			t.Log(out)
		})
		t.Run(name+" junk", func(t *testing.T) {
			if core.Path = findCore(name); core.Path == "" {
				t.Skipf("SKIPPED: no %s", name)
			}
			junk := make([]byte, 100000)
			random := rand.NewChaCha8([32]byte{1})
			if _, err := random.Read(junk); err != nil {
				t.Fatal(err)
			}
			core.Junk, core.Refuses, core.Game = true, core.refuses, filepath.Join(t.TempDir(), "junk."+core.Ext)
			if err := os.WriteFile(core.Game, junk, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := child(t, "TestRealCoreChild", core)
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			t.Log(out)
		})
	}
}

// TestRealGames plays the games of a folder, where there is one.
func TestRealGames(t *testing.T) {
	dir := os.Getenv("CLOUDRETRO_TEST_GAMES")
	if dir == "" {
		t.Skip("SKIPPED: no folder of games in CLOUDRETRO_TEST_GAMES")
	}
	for name, core := range realCores() {
		games, _ := filepath.Glob(filepath.Join(dir, "*."+core.Ext))
		for _, game := range games {
			t.Run(filepath.Base(game), func(t *testing.T) {
				if core.Path = findCore(name); core.Path == "" {
					t.Skipf("SKIPPED: no %s", name)
				}
				core.Game = game
				out, err := child(t, "TestRealCoreChild", core)
				if err != nil {
					t.Errorf("%v\n%s", err, out)
				}
				t.Log(out)
			})
		}
	}
}

func TestRealCoreChild(t *testing.T) {
	var want realCore
	inChild(t, &want)
	var text bytes.Buffer
	defer func() { t.Logf("log of the core:\n%s", text.String()) }()
	dir := t.TempDir()
	core, err := libretro.Open(want.Path, libretro.Config{
		SystemDir: dir, SaveDir: dir,
		Logger: slog.New(slog.NewTextHandler(&text, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer core.Close()
	t.Logf("%+v", core.System())
	err = core.Load(libretro.Game{Path: want.Game})
	if want.Junk {
		junk(t, core, want, err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v, %d options, state of %d bytes", core.AV(), len(core.Options()), core.StateSize())
	if !strings.Contains(core.System().LibraryName, want.Name) {
		t.Errorf("LibraryName = %q, want %q", core.System().LibraryName, want.Name)
	}
	if fps := core.AV().FPS; math.Abs(fps-want.FPS) > 0.01 {
		t.Errorf("FPS = %v, want %v", fps, want.FPS)
	}
	exercise(t, core, want)
}

// junk accepts an error or a core that runs on without an accident.
func junk(t *testing.T, core *libretro.Core, want realCore, err error) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, libretro.ErrGame) {
			t.Errorf("Load: %v, want ErrGame", err)
		}
		t.Logf("refused: %v", err)
		return
	}
	if want.Refuses {
		t.Error("the core took junk for a game")
	}
	run(t, core, 120)
}

// played is what n frames brought, in short.
type played struct {
	sum      []byte // of all pictures
	samples  int
	pictures map[[32]byte]bool
	out      libretro.Output
}

func playFrames(t *testing.T, core *libretro.Core, n int) *played {
	t.Helper()
	p := &played{pictures: make(map[[32]byte]bool)}
	all := sha256.New()
	for range n {
		if err := core.Run(&p.out); err != nil {
			t.Fatal(err)
		}
		if pic := p.out.Picture; pic != nil {
			if err := pic.Check(); err != nil {
				t.Fatal(err)
			}
			p.pictures[sha256.Sum256(pic.Data)] = true
			all.Write(pic.Data)
		}
		p.samples += len(p.out.Audio) / 2
	}
	p.sum = all.Sum(nil)
	return p
}

func exercise(t *testing.T, core *libretro.Core, want realCore) {
	t.Helper()
	first := playFrames(t, core, 300)
	av := core.AV()
	if due := 300 * av.SampleRate / av.FPS; math.Abs(float64(first.samples)-due) > due/100 {
		t.Errorf("%d samples in 300 frames, want %.0f", first.samples, due)
	}
	if want.Changes && len(first.pictures) < 3 {
		t.Errorf("%d different pictures", len(first.pictures))
	}
	if first.out.Hostile != 0 || first.out.DroppedSamples != 0 {
		t.Errorf("hostile %d, dropped %d", first.out.Hostile, first.out.DroppedSamples)
	}
	if p := first.out.Picture; p != nil {
		t.Logf("picture %dx%d format %d, %d different", p.Width, p.Height, p.Format, len(first.pictures))
	}
	restore(t, core, want)
	if err := core.Reset(); err != nil {
		t.Fatal(err)
	}
	run(t, core, 10)
}

// restore goes back in time and sees the same pictures again. Some cores keep
// a few bytes beside their states, and all keep the phase of their resampler
// there, hence the tolerance for samples.
func restore(t *testing.T, core *libretro.Core, want realCore) {
	t.Helper()
	saved := state(t, core)
	if n := differ(saved, state(t, core)); n > 0 {
		t.Logf("two states of one moment differ in %d bytes", n)
		if want.Exact {
			t.Error("they must not")
		}
	}
	one := playFrames(t, core, 60)
	if err := core.Unserialize(saved); err != nil {
		t.Fatal(err)
	}
	if n := differ(saved, state(t, core)); n > 0 {
		t.Logf("the restored state differs in %d of %d bytes", n, len(saved))
		if want.Exact || n > len(saved)/100 {
			t.Error("too much")
		}
	}
	two := playFrames(t, core, 60)
	if !bytes.Equal(one.sum, two.sum) || math.Abs(float64(one.samples-two.samples)) > 2 {
		t.Errorf("60 frames after restoring differ: %d and %d samples, same pictures: %v",
			one.samples, two.samples, bytes.Equal(one.sum, two.sum))
	}
}

func differ(a, b []byte) (n int) {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// TestNestopiaInput holds a button: the counter of the NES program stands still.
func TestNestopiaInput(t *testing.T) {
	core := nestopia(t)
	playFrames(t, core, 10)
	if n := len(playFrames(t, core, 20).pictures); n < 15 {
		t.Errorf("%d pictures in 20 frames without a button", n)
	}
	core.SetPad(0, libretro.ButtonA, [4]int16{})
	playFrames(t, core, 3)
	if n := len(playFrames(t, core, 20).pictures); n != 1 {
		t.Errorf("%d pictures in 20 frames while A is held", n)
	}
}

func nestopia(tb testing.TB) *libretro.Core {
	tb.Helper()
	path := findCore("nestopia")
	if path == "" {
		tb.Skip("SKIPPED: no nestopia: apt-get install libretro-nestopia")
	}
	core, err := libretro.Open(path, libretro.Config{SystemDir: tb.TempDir(), SaveDir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { core.Close() })
	if err := core.Load(libretro.Game{Data: nes()}); err != nil {
		tb.Fatal(err)
	}
	return core
}
