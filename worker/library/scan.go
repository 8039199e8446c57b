package library

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// verdict is what is remembered of a file, so that it is read once.
type verdict struct {
	size   int64
	time   time.Time
	reason string // why it is no game, "" if it is one
}

// scan is one look at everything.
type scan struct {
	lib     *Library
	with    *cores
	told    map[string]string // replaces Library.told
	known   map[string]verdict
	cores   map[string]string // path by Lib
	entries int
	base    string // without symbolic links
}

// found is a file that is a game.
type found struct {
	path, rel string
	core      Core
}

// tell logs why something is left out, once until the reason changes.
func (s *scan) tell(what, path, reason string) { s.note(s.lib.log.Warn, what, path, reason) }

func (s *scan) note(log func(string, ...any), what, path, reason string) {
	key := what + "\x00" + path
	s.told[key] = reason
	if s.lib.told[key] != reason {
		log(what, "path", path, "reason", reason)
	}
}

func (s *scan) builtins() []Title {
	var out []Title
	for _, b := range s.lib.cfg.Builtins {
		i := slices.IndexFunc(s.with.table, func(c Core) bool { return c.System == b.Game.System })
		if i < 0 {
			continue
		}
		core := s.with.table[i]
		if path := s.core(core.Lib); path != "" {
			out = append(out, Title{Game: b.Game, Core: path, Builtin: b.ID, Scale: core.Scale, Options: core.Options})
		}
	}
	return out
}

func (s *scan) files() []Title {
	if s.lib.cfg.BasePath == "" {
		return nil
	}
	base, err := filepath.EvalSymlinks(s.lib.cfg.BasePath)
	if err == nil {
		base, err = filepath.Abs(base)
	}
	if errors.Is(err, fs.ErrNotExist) && !s.lib.seen {
		// So it is on a first start, and that is well.
		s.note(s.lib.log.Info, "no folder of games yet, the built-in ones are offered", s.lib.cfg.BasePath,
			"make it and put games into it; they are found while this runs")
		return nil
	}
	if err != nil {
		s.tell("library is not readable, only built-in games are offered", s.lib.cfg.BasePath, reasonOf(err))
		return nil
	}
	s.base, s.lib.seen = base, true
	var games []found
	err = filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		return s.visit(&games, path, d, err)
	})
	if err != nil {
		s.tell("library is not readable", base, reasonOf(err))
	}
	return s.title(games)
}

// visit looks at one entry of the walk.
func (s *scan) visit(games *[]found, path string, d fs.DirEntry, err error) error {
	if err != nil {
		s.tell("folder of the library is not readable", path, reasonOf(err))
		return nil // WalkDir goes on beside it
	}
	if s.entries++; s.entries > maxEntries {
		s.tell("library is cut", s.base, fmt.Sprintf("more than %d entries", maxEntries))
		return filepath.SkipAll
	}
	rel, _ := filepath.Rel(s.base, path)
	hidden := strings.HasPrefix(d.Name(), ".") && rel != "."
	if d.IsDir() {
		if hidden || strings.Count(rel, string(filepath.Separator)) >= maxDepth {
			return filepath.SkipDir
		}
		return nil
	}
	core, ok := s.system(rel)
	if hidden || !ok {
		return nil
	}
	if len(*games) >= signal.MaxGames-len(s.lib.cfg.Builtins)-1 {
		s.tell("library is cut", s.base, fmt.Sprintf("more than %d games", signal.MaxGames))
		return filepath.SkipAll
	}
	if reason := s.refuse(path); reason != "" {
		s.tell("game is not offered", path, reason)
		return nil
	}
	if s.core(core.Lib) != "" {
		*games = append(*games, found{path: path, rel: filepath.ToSlash(rel), core: core})
	}
	return nil
}

// system says of which system a file is: by the innermost folder that names
// one, else by its extension. A file whose extension no system has is no game.
func (s *scan) system(rel string) (Core, bool) {
	ext := extension(rel)
	byExt := slices.IndexFunc(s.with.table, func(c Core) bool {
		return slices.ContainsFunc(c.Extensions, func(e string) bool { return strings.EqualFold(e, ext) })
	})
	if byExt < 0 {
		return Core{}, false
	}
	for dir := filepath.Dir(rel); dir != "."; dir = filepath.Dir(dir) {
		for _, c := range s.with.table {
			folder := c.Folder
			if folder == "" {
				folder = c.System
			}
			if strings.EqualFold(folder, filepath.Base(dir)) || strings.EqualFold(folder, filepath.ToSlash(dir)) {
				return c, true
			}
		}
	}
	return s.with.table[byExt], true
}

func extension(path string) string {
	return strings.ToLower(strings.TrimPrefix(filepath.Ext(path), "."))
}

// refuse says why the file is no game, "" if it may be one.
func (s *scan) refuse(path string) string {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return reasonOf(err)
	}
	if resolved != path && !strings.HasPrefix(resolved, s.base+string(filepath.Separator)) {
		return "it is a link that leaves the library"
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return reasonOf(err)
	}
	if !info.Mode().IsRegular() {
		return "it is not a regular file"
	}
	v, ok := s.lib.known[path]
	if !ok || v.size != info.Size() || !v.time.Equal(info.ModTime()) || v.reason != "" {
		v = verdict{info.Size(), info.ModTime(), checkFile(resolved, info.Size(), extension(path))}
	}
	s.known[path] = v
	return v.reason
}

// core is the path of a core, "" if it is not installed.
func (s *scan) core(lib string) string {
	if path, ok := s.cores[lib]; ok {
		return path
	}
	path := findCore(s.with.dirs, lib)
	if path == "" {
		s.tell("core is missing, its games are not offered", lib,
			"not found in "+strings.Join(s.with.dirs, ", ")+"; on Debian: apt install "+debianPackage(lib))
	}
	s.cores[lib] = path
	return path
}

// title gives each file its id.
func (s *scan) title(games []found) []Title {
	taken := map[string]int{TestCardID: 1}
	for _, b := range s.lib.cfg.Builtins {
		taken[b.Game.ID]++
	}
	slugs := make([]string, len(games))
	for i, g := range games {
		slugs[i] = slug(titleOf(g.rel))
		taken[slugs[i]]++
	}
	out := make([]Title, 0, len(games))
	for i, g := range games {
		id := slugs[i]
		if taken[id] > 1 {
			id = distinct(id, g.rel)
		}
		out = append(out, Title{
			Game: signal.Game{ID: id, Title: titleOf(g.rel), System: g.core.System, Players: g.core.Players},
			Core: s.core(g.core.Lib), File: g.path, Scale: g.core.Scale, Options: g.core.Options,
		})
	}
	return out
}

// reasonOf is the error without the path, which is logged beside it.
func reasonOf(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "it does not exist"
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}
