// Package library finds the games of a worker: files under a folder, told apart
// by folder and extension, and the built-in ones that need no file. What cannot
// be played (no ROM, no core, an unreadable folder) is left out and logged
// once with the reason; the rest plays.
package library

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// TestCardID is the game that every library has: a picture that needs no core.
const TestCardID = "test-card"

// TestCardSystem is the system it says it is of.
const TestCardSystem = "test"

// Limits of a library.
const (
	maxEntries = 200_000 // files and folders looked at
	maxDepth   = 8       // folders below the base
	maxFile    = 1 << 30 // bytes of a game
	maxTitle   = 120     // bytes
	minRescan  = 100 * time.Millisecond
	rescan     = 10 * time.Second
	restFactor = 50 // a scan takes at most a fiftieth of the time
)

// Core is how one system is played.
type Core struct {
	System     string            // "nes"; as Game.System says it
	Lib        string            // file name of the libretro core without .so, or its path
	Extensions []string          // without the dot
	Folder     string            // folder whose files are of this system, "" = the system's name
	Players    int               // seats
	Scale      int               // of the encoded picture, 0 = the worker's
	Options    map[string]string // of the core
}

// Builtin is a game that comes with the binary.
type Builtin struct {
	Game signal.Game
	ID   string // as package builtin calls it
}

// Config is what a Library needs.
type Config struct {
	Logger   *slog.Logger // required
	BasePath string       // folder of games, "" = only built-in ones
	Cores    []Core
	CoreDirs []string // where cores are looked for, in order; DefaultCoreDirs if empty
	Builtins []Builtin
	Rescan   time.Duration // how often to look for changes, 0 = every 10 s
}

// Title is one game and all that is needed to play it.
type Title struct {
	Game    signal.Game
	Core    string // path of the libretro core, "" for the test card
	File    string // path of the game, "" for the test card and built-in ones
	Builtin string // id of package builtin
	Scale   int
	Options map[string]string
}

// Library is the set of games. Its methods may be called from any goroutine.
type Library struct {
	cfg     Config
	log     *slog.Logger
	current atomic.Pointer[index]
	cores   atomic.Pointer[cores]
	again   chan struct{} // holds one when the cores have changed

	// Of the goroutine that scans only.
	told  map[string]string // what was logged of a path, so that it is said once
	known map[string]verdict
	seen  bool // the folder was there
}

// cores are what games are played with; nobody writes to them.
type cores struct {
	table []Core
	dirs  []string
}

func newCores(table []Core, dirs []string) *cores {
	if len(dirs) == 0 {
		dirs = DefaultCoreDirs()
	}
	return &cores{slices.Clone(table), slices.Clone(dirs)}
}

// index is one result of a scan; nobody writes to it.
type index struct {
	titles map[string]Title
	games  []signal.Game // by title
}

// New makes a library that has the test card only until Scan or Run.
func New(cfg Config) *Library {
	if cfg.Rescan <= 0 {
		cfg.Rescan = rescan
	}
	cfg.Rescan = max(cfg.Rescan, minRescan)
	l := &Library{cfg: cfg, log: cfg.Logger, again: make(chan struct{}, 1), told: map[string]string{}, known: map[string]verdict{}}
	l.cores.Store(newCores(cfg.Cores, cfg.CoreDirs))
	l.current.Store(newIndex([]Title{testCard()}))
	return l
}

// Reconfigure takes other cores, and other folders of them, in place of those of
// Config; Run looks at the games again at once.
func (l *Library) Reconfigure(table []Core, dirs []string) {
	l.cores.Store(newCores(table, dirs))
	select {
	case l.again <- struct{}{}:
	default: // it is going to
	}
}

func testCard() Title {
	return Title{Game: signal.Game{ID: TestCardID, Title: "Test card", System: TestCardSystem, Players: 4}}
}

func newIndex(titles []Title) *index {
	x := &index{titles: make(map[string]Title, len(titles))}
	for _, t := range titles {
		x.titles[t.Game.ID] = t
		x.games = append(x.games, t.Game)
	}
	slices.SortFunc(x.games, func(a, b signal.Game) int {
		if c := strings.Compare(strings.ToLower(a.Title), strings.ToLower(b.Title)); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return x
}

// Games lists all titles in the order of their names. The slice is shared: do
// not write to it.
func (l *Library) Games() []signal.Game { return l.current.Load().games }

// Find is the game with an id.
func (l *Library) Find(id string) (Title, bool) {
	t, ok := l.current.Load().titles[id]
	return t, ok
}

// Run looks for changes until ctx ends and calls changed after each. Periodic
// rather than by notification: that works on network and container mounts too,
// and a scan without changes costs a few system calls a file.
func (l *Library) Run(ctx context.Context, changed func()) error {
	wait := l.cfg.Rescan
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.again:
		case <-time.After(wait):
		}
		start := time.Now()
		if l.Scan() {
			changed()
		}
		wait = max(l.cfg.Rescan, restFactor*time.Since(start))
	}
}

// Scan looks at the folder once and says whether anything changed. It may not
// be called beside Run or itself.
func (l *Library) Scan() bool {
	s := scan{lib: l, with: l.cores.Load(), told: map[string]string{}, known: map[string]verdict{}, cores: map[string]string{}}
	titles := append([]Title{testCard()}, s.builtins()...)
	titles = append(titles, s.files()...)
	l.told, l.known = s.told, s.known
	next := newIndex(titles)
	same := maps.EqualFunc(next.titles, l.current.Load().titles, func(a, b Title) bool {
		return a.Game == b.Game && a.Core == b.Core && a.File == b.File && a.Builtin == b.Builtin && a.Scale == b.Scale && maps.Equal(a.Options, b.Options)
	})
	if same {
		return false
	}
	l.current.Store(next)
	l.log.Info("library", "games", len(next.games), "path", l.cfg.BasePath)
	return true
}
