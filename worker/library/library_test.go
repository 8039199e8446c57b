package library

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Files that pass the checks.
func nesFile() []byte { return append([]byte("NES\x1a"), make([]byte, 40976-4)...) }

func gbFile() []byte {
	b := make([]byte, 32<<10)
	copy(b[0x134:], "TEST")
	for _, c := range b[0x134:0x14d] {
		b[0x14d] -= c + 1
	}
	return b
}

func gbaFile() []byte {
	b := make([]byte, 1<<10)
	b[0xb2] = 0x96
	return b
}

// shelf is a library in a temporary folder, with cores that are empty files.
type shelf struct {
	*Library
	t    *testing.T
	base string
	logs *bytes.Buffer
}

func newShelf(t *testing.T, files map[string][]byte, edit func(*Config)) *shelf {
	t.Helper()
	root := t.TempDir()
	s := &shelf{t: t, base: filepath.Join(root, "games"), logs: &bytes.Buffer{}}
	for _, core := range []string{"nestopia_libretro.so", "gambatte_libretro.so"} {
		s.writeTo(filepath.Join(root, "cores", core), nil)
	}
	for name, data := range files {
		s.write(name, data)
	}
	cfg := Config{
		Logger: slog.New(slog.NewTextHandler(s.logs, nil)), BasePath: s.base, CoreDirs: []string{filepath.Join(root, "cores")},
		Cores: []Core{
			{System: "nes", Lib: "nestopia_libretro", Extensions: []string{"nes", "fds"}, Players: 2},
			{System: "gb", Lib: "gambatte_libretro", Extensions: []string{"gb"}, Players: 1},
			{System: "gbc", Lib: "gambatte_libretro", Extensions: []string{"gbc"}, Folder: "colour", Players: 1, Scale: 3},
			{System: "gba", Lib: "mgba_libretro", Extensions: []string{"gba"}, Players: 1},
		},
		Builtins: []Builtin{{Game: signal.Game{ID: "comet", Title: "Comet", System: "nes", Players: 2}, ID: "comet"}},
	}
	if edit != nil {
		edit(&cfg)
	}
	s.Library = New(cfg)
	return s
}

func (s *shelf) writeTo(path string, data []byte) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) write(name string, data []byte) { s.writeTo(filepath.Join(s.base, name), data) }

// list is every game as id:system.
func (s *shelf) list() []string {
	var out []string
	for _, g := range s.Games() {
		if err := g.Validate(); err != nil {
			s.t.Error(err)
		}
		if t, ok := s.Find(g.ID); !ok || t.Game != g {
			s.t.Errorf("Find(%s) = %v, %v", g.ID, t, ok)
		}
		out = append(out, g.ID+":"+g.System)
	}
	slices.Sort(out)
	return out
}

func (s *shelf) want(games ...string) {
	s.t.Helper()
	games = append(games, "test-card:test")
	slices.Sort(games)
	if got := s.list(); !slices.Equal(got, games) {
		s.t.Errorf("games %v\nwant %v\nlog %s", got, games, s.logs)
	}
}

func TestScan(t *testing.T) {
	s := newShelf(t, map[string][]byte{
		"Super_Game, The (USA) [!].nes": nesFile(),
		"gb/deep/Tiny.gb":               gbFile(),
		"colour/Old.gb":                 gbFile(), // the folder decides
		"nes/Other.NES":                 nesFile(),
		"readme.txt":                    []byte("no game"),
		"nes/picture.png":               []byte("\x89PNG\r\n\x1a\n"),
		"nes/fake.nes":                  []byte("just some text"),
		"nes/short.nes":                 []byte("NES\x1a"),
		"empty.gb":                      nil,
		"zip.gb":                        []byte("PK\x03\x04\x00\x00"),
		"bad.gb":                        make([]byte, 32<<10),
		".hidden.nes":                   nesFile(),
		".git/x.nes":                    nesFile(),
		"no-core.gba":                   gbaFile(),
		"a/b/c/d/e/f/g/h/i/deep.nes":    nesFile(),
	}, nil)
	s.want() // nothing before the scan
	if !s.Scan() {
		t.Error("the first scan changed nothing")
	}
	s.want("comet:nes", "the-super-game:nes", "tiny:gb", "old:gbc", "other:nes")
	if g, _ := s.Find("the-super-game"); g.Game.Title != "The Super Game" || g.Game.Players != 2 || g.File == "" || !strings.HasSuffix(g.Core, "nestopia_libretro.so") {
		t.Errorf("title %+v", g)
	}
	if g, _ := s.Find("old"); g.Scale != 3 {
		t.Errorf("title %+v", g)
	}
	if g, _ := s.Find("comet"); g.Builtin != "comet" || g.File != "" {
		t.Errorf("title %+v", g)
	}
	log := s.logs.String()
	for _, want := range []string{"fake.nes", "a text file", "it is empty", "unpack it", "bad.gb", "apt install libretro-mgba"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	if s.Scan() || s.logs.String() != log {
		t.Errorf("a second scan changed or repeated something: %s", s.logs.String()[len(log):])
	}
}

func TestScanSeesChanges(t *testing.T) {
	s := newShelf(t, map[string][]byte{"a.nes": nesFile()}, nil)
	s.Scan()
	s.write("b.gb", gbFile())
	if !s.Scan() {
		t.Error("a new file was not seen")
	}
	s.want("comet:nes", "a:nes", "b:gb")
	if err := os.Remove(filepath.Join(s.base, "a.nes")); err != nil {
		t.Fatal(err)
	}
	s.write("b.gb", []byte("not a game any more"))
	s.Scan()
	s.want("comet:nes")
	s.writeTo(filepath.Join(s.cfg.CoreDirs[0], "mgba_libretro.so"), nil)
	s.write("c.gba", gbaFile())
	s.Scan() // the core was installed meanwhile
	s.want("comet:nes", "c:gba")
}

func TestIDsAreUniqueAndStable(t *testing.T) {
	files := map[string][]byte{
		"one/Tetris.gb": gbFile(), "two/Tetris (Europe).gb": gbFile(), "Tetris.nes": nesFile(),
		"Comet.nes": nesFile(), "Test Card.nes": nesFile(), "ゲーム.nes": nesFile(), "!!!.nes": nesFile(), "Alone.nes": nesFile(),
	}
	s, again := newShelf(t, files, nil), newShelf(t, files, nil)
	s.Scan()
	again.Scan()
	got := s.list()
	if !slices.Equal(got, again.list()) {
		t.Errorf("ids differ between two workers:\n%v\n%v", got, again.list())
	}
	if len(got) != 10 || !slices.Contains(got, "alone:nes") || !slices.Contains(got, "comet:nes") {
		t.Errorf("games %v", got)
	}
	if g, _ := s.Find("comet"); g.Builtin == "" {
		t.Error("a file took the id of a built-in game")
	}
	if slices.Contains(got, "tetris:gb") {
		t.Error("an id that several files have is in use")
	}
}

func TestLinks(t *testing.T) {
	s := newShelf(t, map[string][]byte{"real.nes": nesFile()}, nil)
	outside := filepath.Join(t.TempDir(), "secret.nes")
	s.writeTo(outside, nesFile())
	for link, target := range map[string]string{
		"leaves.nes": outside, "inside.nes": filepath.Join(s.base, "real.nes"),
		"broken.nes": "/nonexistent", "loop.nes": "loop.nes", "folder": filepath.Dir(outside),
	} {
		if err := os.Symlink(target, filepath.Join(s.base, link)); err != nil {
			t.Fatal(err)
		}
	}
	s.Scan()
	s.want("comet:nes", "real:nes", "inside:nes")
	if !strings.Contains(s.logs.String(), "leaves the library") {
		t.Errorf("log: %s", s.logs)
	}
}

func TestUnreadable(t *testing.T) {
	s := newShelf(t, nil, func(c *Config) { c.BasePath += "/nowhere" })
	s.Scan()
	s.want("comet:nes")
	if log := s.logs.String(); !strings.Contains(log, "no folder of games yet") || strings.Contains(log, "WARN") {
		t.Errorf("a first start is nothing to warn of: %s", log)
	}
	s = newShelf(t, map[string][]byte{"a.nes": nesFile()}, nil)
	s.Scan()
	if err := os.RemoveAll(s.base); err != nil {
		t.Fatal(err)
	}
	s.Scan()
	s.want("comet:nes")
	if log := s.logs.String(); !strings.Contains(log, "WARN") || !strings.Contains(log, "not readable") {
		t.Errorf("a folder that vanished: %s", log)
	}
	if os.Geteuid() == 0 {
		t.Log("as root every folder is readable: the second half was not tested")
		return
	}
	s = newShelf(t, map[string][]byte{"a.nes": nesFile(), "locked/b.nes": nesFile()}, nil)
	if err := os.Chmod(filepath.Join(s.base, "locked"), 0); err != nil {
		t.Fatal(err)
	}
	s.Scan()
	s.want("comet:nes", "a:nes")
}

func TestNoCoresNoPath(t *testing.T) {
	s := newShelf(t, nil, func(c *Config) { c.BasePath, c.CoreDirs = "", []string{"/nonexistent"} })
	s.Scan()
	s.want()
	if n := strings.Count(s.logs.String(), "apt install libretro-nestopia"); n != 1 {
		t.Errorf("said %d times: %s", n, s.logs)
	}
}

func TestRun(t *testing.T) {
	s := newShelf(t, nil, func(c *Config) { c.Rescan = time.Millisecond })
	s.Scan()
	ctx, cancel := context.WithCancel(t.Context())
	changed, done := make(chan struct{}, 1), make(chan error)
	go func() { done <- s.Run(ctx, func() { changed <- struct{}{} }) }()
	s.write("late.nes", nesFile())
	<-changed
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.want("comet:nes", "late:nes")
}

func TestRealGame(t *testing.T) {
	dir := os.Getenv("CLOUDRETRO_TEST_GAMES")
	if dir == "" {
		t.Skip("CLOUDRETRO_TEST_GAMES names no folder of games: real files were NOT tested")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.gba"))
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if reason := checkFile(f, info.Size(), "gba"); reason != "" {
			t.Errorf("%s: %s", filepath.Base(f), reason)
		}
	}
}

func TestCores(t *testing.T) {
	for lib, want := range map[string]string{
		"nestopia_libretro": "libretro-nestopia", "mednafen_pce_fast_libretro": "libretro-beetle-pce-fast",
		"bsnes_mercury_balanced_libretro.so": "libretro-bsnes-mercury-balanced", "/x/mgba_libretro": "libretro-mgba",
	} {
		if got := debianPackage(lib); got != want {
			t.Errorf("%s: %s, want %s", lib, got, want)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "x_libretro.so")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "dir.so"), 0o755); err != nil {
		t.Fatal(err)
	}
	for lib, want := range map[string]string{
		"x_libretro": path, "x_libretro.so": path, path: path, strings.TrimSuffix(path, ".so"): path, "y": "", "dir": "",
	} {
		if got := findCore([]string{"/nonexistent", dir}, lib); got != want {
			t.Errorf("%s: %q, want %q", lib, got, want)
		}
	}
	if len(DefaultCoreDirs()) < 3 {
		t.Errorf("default folders %v", DefaultCoreDirs())
	}
}

// Other cores are taken while the library runs, at once.
func TestReconfigure(t *testing.T) {
	s := newShelf(t, map[string][]byte{"a.nes": nesFile(), "b.gb": gbFile()}, func(c *Config) { c.Rescan = time.Hour })
	s.Scan()
	s.want("a:nes", "b:gb", "comet:nes")
	dirs := s.cores.Load().dirs
	ctx, cancel := context.WithCancel(t.Context())
	changed, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- s.Run(ctx, func() { changed <- struct{}{} }) }()
	table := []Core{{System: "gb", Lib: "gambatte_libretro", Extensions: []string{"gb"}, Players: 1}}
	s.Reconfigure(table, dirs)
	<-changed
	table[0].Scale = 4 // the caller's own
	s.want("b:gb")
	s.Reconfigure([]Core{{System: "gb", Lib: "gambatte_libretro", Extensions: []string{"gb"}, Players: 1, Scale: 3, Options: map[string]string{"a": "b"}}}, dirs)
	<-changed
	if b, _ := s.Find("b"); b.Scale != 3 || b.Options["a"] != "b" {
		t.Errorf("title %+v", b)
	}
	s.Reconfigure(table, []string{t.TempDir()})
	<-changed
	s.want()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
