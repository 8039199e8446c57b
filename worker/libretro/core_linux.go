//go:build cgo

package libretro

/*
#cgo CFLAGS: -std=gnu11 -O2 -Wall -Wextra
#cgo LDFLAGS: -ldl -lpthread
#include <stdlib.h>
#include <string.h>
#include "bridge.h"
*/
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"github.com/cloudretro/cloudretro/media"
)

// Core is an open core. All methods are for the goroutine that opened it.
type Core struct {
	log     *slog.Logger
	limiter limiter
	system  System
	options map[string]string
	av      AV
	pads    [MaxPads]C.bridge_pad
	text    C.bridge_text
	early   []string // messages of calls other than Run
	word    string   // the last warning, error or message
	hostile uint64   // refused by Go, beside what C refused
	lost    uint64
	started bool // a game went into the core, for better or worse
	loaded  bool
	closed  bool
}

// Available is nil where cores can be loaded, else ErrUnavailable.
func Available() error { return nil }

// Open loads the core at path and initializes it. The goroutine stays locked
// to its OS thread until Close. The error wraps ErrBusy or ErrCore.
func Open(path string, cfg Config) (*Core, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCore, path, err)
	}
	// dlopen would search its own paths or wait on a pipe.
	if info, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCore, err)
	} else if !info.Mode().IsRegular() || strings.Contains(path, "\x00") {
		return nil, fmt.Errorf("%w: %s is no file", ErrCore, path)
	}
	c := &Core{log: cfg.Logger, options: cfg.Options}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	runtime.LockOSThread()
	if err := c.open(path, cfg); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	var info C.struct_retro_system_info
	C.bridge_system_info(&info)
	c.system = System{
		LibraryName:     clean(bounded(info.library_name, 128)),
		LibraryVersion:  clean(bounded(info.library_version, 128)),
		ValidExtensions: extensions(bounded(info.valid_extensions, 4096)),
		NeedFullpath:    bool(info.need_fullpath),
		BlockExtract:    bool(info.block_extract),
		SupportsNoGame:  bool(C.bridge_no_game()),
	}
	c.drain()
	return c, nil
}

func (c *Core) open(path string, cfg Config) error {
	var free []unsafe.Pointer
	defer func() {
		for _, p := range free {
			C.free(p)
		}
	}()
	str := func(s string) *C.char {
		p := C.CString(s)
		free = append(free, unsafe.Pointer(p))
		return p
	}
	packed := packOptions(cfg.Options)
	wanted := C.int(C.RETRO_LOG_WARN)
	if c.log.Enabled(context.Background(), slog.LevelDebug) {
		wanted = C.RETRO_LOG_DEBUG
	}
	result := C.bridge_open(str(path), str(cfg.SystemDir), str(cfg.SaveDir), str(string(packed)), C.size_t(len(packed)), wanted)
	switch result {
	case C.BRIDGE_OK:
		return nil
	case C.BRIDGE_BUSY:
		return ErrBusy
	case C.BRIDGE_DLOPEN:
		return fmt.Errorf("%w: %s", ErrCore, clean(C.GoString(C.bridge_error())))
	case C.BRIDGE_SYMBOL:
		return fmt.Errorf("%w: %s has no %s: it is another kind of library", ErrCore, path, C.GoString(C.bridge_error()))
	case C.BRIDGE_VERSION:
		return fmt.Errorf("%w: %s is made for another version of libretro than %d", ErrCore, path, C.RETRO_API_VERSION)
	}
	return fmt.Errorf("%w: out of memory, or more than %d options", ErrCore, C.BRIDGE_OPTIONS)
}

// System is what the core says about itself.
func (c *Core) System() System { return c.system }

// AV is the geometry and timing that hold now. It is zero before Load.
func (c *Core) AV() AV { return c.av }

// Load gives the core its game, once in a Core's life. The error wraps ErrGame
// and tells what the core said last.
func (c *Core) Load(g Game) error {
	if c.closed {
		return ErrClosed
	}
	if c.started {
		return fmt.Errorf("%w: this core has a game already", ErrGame)
	}
	data, err := c.prepare(&g)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGame, err)
	}
	defer C.free(data)
	path := C.CString(g.Path)
	defer C.free(unsafe.Pointer(path))
	c.word = ""
	result := C.bridge_load(path, data, C.size_t(len(g.Data)), C.bool(g.Path != ""))
	c.drain()
	switch result {
	case C.BRIDGE_OK:
	case C.BRIDGE_REFUSED:
		return c.refusal(g)
	default:
		return ErrThread
	}
	c.started = true
	out := C.bridge_loaded()
	raw := rawGeometry(out)
	if err := raw.check(&c.av); err != nil {
		return fmt.Errorf("%w: %s announced a bad picture: %w", ErrGame, c.system.LibraryName, err)
	}
	if err := rawTiming(out).check(&c.av); err != nil {
		return fmt.Errorf("%w: %s announced a bad rate: %w", ErrGame, c.system.LibraryName, err)
	}
	c.av.Rotation = media.Rotation(out.rotation)
	c.loaded = true
	c.checkOptions()
	return nil
}

// prepare puts the game's bytes into C memory, where the core may read them
// during Load, and gives a game without a path a name by which the core can
// tell its kind. The pointer is nil for cores that read the file themselves.
func (c *Core) prepare(g *Game) (unsafe.Pointer, error) {
	if g.Path == "" && g.Data == nil {
		if !c.system.SupportsNoGame {
			return nil, fmt.Errorf("%s needs one", c.system.LibraryName)
		}
		return nil, nil
	}
	if g.Data == nil {
		path, err := filepath.Abs(g.Path)
		if err != nil {
			return nil, err
		}
		g.Path = path
		return c.read(g)
	}
	if c.system.NeedFullpath {
		return nil, fmt.Errorf("%s reads games from files only", c.system.LibraryName)
	}
	if len(g.Data) == 0 || len(g.Data) > MaxGameSize {
		return nil, fmt.Errorf("%d bytes are not within 1..%d", len(g.Data), MaxGameSize)
	}
	if g.Path == "" {
		g.Path = "game"
		if len(c.system.ValidExtensions) > 0 {
			g.Path += "." + c.system.ValidExtensions[0]
		}
	}
	return C.CBytes(g.Data), nil
}

func (c *Core) read(g *Game) (unsafe.Pointer, error) {
	var memory unsafe.Pointer
	data, err := readGame(g.Path, c.system.NeedFullpath, func(size int) []byte {
		memory = C.malloc(C.size_t(size))
		return unsafe.Slice((*byte)(memory), size)
	})
	if err != nil {
		C.free(memory)
		return nil, err
	}
	g.Data = data
	return memory, nil
}

func (c *Core) refusal(g Game) error {
	why := "it may be damaged or made for another system"
	if bool(C.bridge_wants_hw()) {
		why = "the core wants to draw with a graphics card, which is not supported"
	}
	if c.word != "" {
		why += "; it said: " + c.word
	}
	return fmt.Errorf("%w: %s refused %s: %s", ErrGame, c.system.LibraryName, filepath.Base(g.Path), why)
}

// Options lists the core's options, as defined so far.
func (c *Core) Options() []Option {
	if c.closed {
		return nil
	}
	list := make([]Option, int(C.bridge_option_count()))
	for i := range list {
		var key, value, standard, values *C.char
		C.bridge_option_at(C.size_t(i), &key, &value, &standard, &values)
		list[i] = Option{Key: C.GoString(key), Value: C.GoString(value), Default: C.GoString(standard)}
		if joined := C.GoString(values); joined != "" {
			list[i].Values = strings.Split(joined, "|")
		}
	}
	return list
}

func (c *Core) checkOptions() {
	offered := make(map[string]Option)
	for _, o := range c.Options() {
		offered[o.Key] = o
	}
	for key, value := range c.options {
		if o, ok := offered[key]; !ok {
			c.log.Warn("core does not know this option", "core", c.system.LibraryName, "option", key)
		} else if o.Value != value {
			c.log.Warn("core does not offer this value", "core", c.system.LibraryName, "option", key,
				"value", value, "used", o.Value, "offered", o.Values)
		}
	}
}

// Close ends the game and the core and unlocks the goroutine from its thread.
// Pictures, sound and memory of the core are gone. It may be called twice.
// Many cores do not start afresh in the same process afterwards.
func (c *Core) Close() error {
	if c.closed {
		return nil
	}
	if C.bridge_close() != C.BRIDGE_OK {
		return ErrThread
	}
	c.closed, c.loaded = true, false
	runtime.UnlockOSThread()
	return nil
}

// bounded copies a C string of at most size bytes, NULL as "".
func bounded(s *C.char, size int) string {
	if s == nil {
		return ""
	}
	return C.GoStringN(s, C.int(C.strnlen(s, C.size_t(size))))
}
