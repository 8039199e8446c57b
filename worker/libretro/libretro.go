// Package libretro drives one libretro core: it loads the shared library, feeds
// it a game and pads, and hands out its pictures and sound.
//
// libretro's callbacks carry no user pointer, so a core is a process-wide
// singleton: a second Open fails with ErrBusy until the first core is closed.
// The product gives each room a process of its own (package worker/engine).
//
// A Core belongs to the goroutine that opened it. Open locks that goroutine to
// its OS thread until Close, since cores keep coroutines and thread-local
// state; calls from another thread fail with ErrThread.
//
// Nothing a core says is believed: sizes, rates, texts and options are bounded
// and judged, what is refused is counted in Output.Hostile. A core that
// crashes or hangs takes its process with it; that is for the supervisor.
//
// Building it needs cgo and libretro.h (Debian: retroarch-dev). Without them
// Open returns ErrUnavailable.
package libretro

import (
	"errors"
	"log/slog"

	"github.com/cloudretro/cloudretro/media"
)

// Errors that a caller may branch on.
var (
	ErrBusy        = errors.New("libretro: a core is open in this process already")
	ErrThread      = errors.New("libretro: a core is used outside the goroutine that opened it")
	ErrClosed      = errors.New("libretro: the core is closed")
	ErrNoGame      = errors.New("libretro: no game is loaded")
	ErrCore        = errors.New("libretro: not a usable core")         // Open
	ErrGame        = errors.New("libretro: the game cannot be played") // Load
	ErrState       = errors.New("libretro: the core refused the state")
	ErrUnavailable = errors.New("libretro: this build cannot load cores: rebuild on Linux with CGO_ENABLED=1 and retroarch-dev")
)

// Limits on what a core or a caller may ask for.
const (
	MaxPads        = 8         // ports that SetPad reaches
	MaxGameSize    = 256 << 20 // bytes of a game file
	MaxStateSize   = 64 << 20  // bytes of a serialized state
	MaxMemorySize  = 16 << 20  // bytes of a memory region
	MinFPS         = 10.0
	MaxFPS         = 240.0
	MinSampleRate  = 4000.0   // Hz
	MaxSampleRate  = 384000.0 // Hz
	MaxAudioFrames = 65536    // stereo samples of one Run
)

// Config is what a core is opened with.
type Config struct {
	SystemDir string            // where the core looks for firmware; "" = none
	SaveDir   string            // where the core may write; "" = none
	Options   map[string]string // core options; unknown keys and values are logged and left
	Logger    *slog.Logger      // nil = silent. Gets the core's own log, rate limited.
}

// System is what a core says about itself.
type System struct {
	LibraryName     string
	LibraryVersion  string
	ValidExtensions []string // lower case, without the dot
	NeedFullpath    bool     // the core opens the file itself: Game.Path is required
	BlockExtract    bool     // archives are for the core to open
	SupportsNoGame  bool     // Load takes an empty Game
}

// Game is what to play. Data wins over the content of Path; Path then only
// names it. Both empty starts a core that supports no game.
type Game struct {
	Path string
	Data []byte // used during Load only
}

// AV is the announced geometry and timing, validated.
type AV struct {
	Width, Height       int     // pixels, nominal; a picture's own sizes may differ
	MaxWidth, MaxHeight int     // pixels, at least Width, Height
	Aspect              float64 // of the display, Width/Height where the core does not say
	FPS                 float64 // Run calls per second, exact
	SampleRate          float64 // Hz
	Rotation            media.Rotation
}

// Output is what one Run produced. One Output is used again and again; its
// Picture, Audio and Messages are valid until the next Run.
type Output struct {
	Picture        *media.Picture // nil = the last one again. Rows are tight: Stride = Width * BytesPerPixel
	Audio          []int16        // interleaved left, right
	AVChanged      bool           // Core.AV is new
	Shutdown       bool           // the core wants to end
	Messages       []string       // for the players; clean UTF-8, at most 8 a Run
	DroppedSamples uint64         // stereo samples beyond MaxAudioFrames of a Run, since Open
	Hostile        uint64         // refused pictures, numbers and calls, since Open
	Rumbles        uint64         // calls of the rumble interface, since Open
	LostText       uint64         // log lines and messages beyond the limits, since Open
	picture        media.Picture
	messageBuf     [maxMessages]string
}

// Option is a core option as the core defined it.
type Option struct {
	Key, Value, Default string
	Values              []string
}

// MemoryID names a memory region (libretro.h, RETRO_MEMORY_*).
type MemoryID uint

// Memory regions.
const (
	MemorySaveRAM   MemoryID = 0 // battery backed
	MemoryRTC       MemoryID = 1
	MemorySystemRAM MemoryID = 2
	MemoryVideoRAM  MemoryID = 3
)

// Bits of the buttons of SetPad (libretro.h, RETRO_DEVICE_ID_JOYPAD_*).
const (
	ButtonB uint16 = 1 << iota
	ButtonY
	ButtonSelect
	ButtonStart
	ButtonUp
	ButtonDown
	ButtonLeft
	ButtonRight
	ButtonA
	ButtonX
	ButtonL
	ButtonR
	ButtonL2
	ButtonR2
	ButtonL3
	ButtonR3
)
