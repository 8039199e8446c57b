package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloudretro/cloudretro/media"
)

// Kind says what a core process runs.
type Kind string

// The kinds of machines a core process can be.
const (
	KindLibretro Kind = "libretro" // a libretro core, Spec.Core
	KindTestCard Kind = "testcard" // package testcard, needs no core and no game
)

// Spec is everything that a core process needs to know. The worker sends it to
// the child as JSON; nothing reaches the child by environment or arguments.
type Spec struct {
	Kind      Kind              `json:"kind"`
	Core      string            `json:"core,omitempty"`      // path of the libretro core (.so)
	Game      string            `json:"game,omitempty"`      // path of the game, "" with Builtin or for a core without game
	Builtin   string            `json:"builtin,omitempty"`   // id of a game of package worker/library/builtin
	SystemDir string            `json:"systemDir,omitempty"` // where the core finds BIOS files
	SaveDir   string            `json:"saveDir,omitempty"`   // where the core may write
	Options   map[string]string `json:"options,omitempty"`   // core options by key
	Video     VideoSpec         `json:"video"`
	Audio     AudioSpec         `json:"audio"`
}

// VideoSpec is how the picture is encoded. Zero values mean the defaults.
type VideoSpec struct {
	Codec      string        `json:"codec,omitempty"`      // "h264", the default
	Library    string        `json:"library,omitempty"`    // "auto" (default), "x264", "openh264"
	Scale      int           `json:"scale,omitempty"`      // nearest neighbour factor, default 2
	CRF        float64       `json:"crf,omitempty"`        // constant quality, 0 = the codec's default
	MaxBitrate int           `json:"maxBitrate,omitempty"` // bit/s, 0 = the codec's default
	Profile    media.Profile `json:"profile,omitempty"`    // of the first picture; SetProfile changes it later
}

// AudioSpec is how the sound is encoded. Zero values mean the defaults.
type AudioSpec struct {
	Frame      time.Duration `json:"frame,omitempty"`      // duration of a packet: 5, 10 (default) or 20 ms
	Bitrate    int           `json:"bitrate,omitempty"`    // bit/s, default 96000
	Complexity int           `json:"complexity,omitempty"` // 1..10, default 4
}

// Limits of a Spec.
const (
	MaxScale   = 4
	maxPath    = 4096 // bytes, Linux PATH_MAX
	maxOptions = 1024 // core options
)

// ErrSpec says that a Spec asks for something that does not exist.
var ErrSpec = errors.New("impossible spec")

// WithDefaults returns s with its zero values filled in.
func (s Spec) WithDefaults() Spec {
	setDefault(&s.Video.Codec, "h264")
	setDefault(&s.Video.Library, "auto")
	setDefault(&s.Video.Scale, 2)
	setDefault(&s.Audio.Frame, 10*time.Millisecond)
	setDefault(&s.Audio.Bitrate, 96000)
	setDefault(&s.Audio.Complexity, 4)
	return s
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Check returns an error that wraps ErrSpec and names the field unless s, its
// defaults filled in, can be run.
func (s Spec) Check() error {
	switch s.Kind {
	case KindTestCard:
	case KindLibretro:
		if s.Core == "" {
			return fmt.Errorf("%w: core: no libretro core named", ErrSpec)
		}
		if s.Game != "" && s.Builtin != "" {
			return fmt.Errorf("%w: game: both a file and a built-in game", ErrSpec)
		}
	default:
		return fmt.Errorf("%w: kind: %q is neither %q nor %q", ErrSpec, s.Kind, KindLibretro, KindTestCard)
	}
	for _, path := range []string{s.Core, s.Game, s.Builtin, s.SystemDir, s.SaveDir} {
		if len(path) > maxPath || strings.IndexByte(path, 0) >= 0 {
			return fmt.Errorf("%w: a path is over %d bytes or holds a zero byte", ErrSpec, maxPath)
		}
	}
	if len(s.Options) > maxOptions {
		return fmt.Errorf("%w: options: more than %d", ErrSpec, maxOptions)
	}
	return errors.Join(s.Video.check(), s.Audio.check())
}

func (v VideoSpec) check() error {
	switch {
	case v.Codec != "h264":
		return fmt.Errorf("%w: video codec: %q is not h264", ErrSpec, v.Codec)
	case v.Scale < 1 || v.Scale > MaxScale:
		return fmt.Errorf("%w: video scale: %d is not within 1..%d", ErrSpec, v.Scale, MaxScale)
	case v.CRF < 0 || v.CRF > 51 || math.IsNaN(v.CRF):
		return fmt.Errorf("%w: video crf: %g is not within 0..51", ErrSpec, v.CRF)
	case v.MaxBitrate < 0:
		return fmt.Errorf("%w: video maximum bitrate: %d is negative", ErrSpec, v.MaxBitrate)
	case !validProfile(v.Profile):
		return fmt.Errorf("%w: video profile: %d is unknown", ErrSpec, v.Profile)
	}
	return nil
}

func (a AudioSpec) check() error {
	switch a.Frame {
	case 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond:
	default:
		return fmt.Errorf("%w: audio frame: %v is not 5, 10 or 20 ms", ErrSpec, a.Frame)
	}
	if a.Bitrate < 6000 || a.Bitrate > 510000 { // RFC 6716, section 2.1.1
		return fmt.Errorf("%w: audio bitrate: %d is not within 6000..510000", ErrSpec, a.Bitrate)
	}
	if a.Complexity < 1 || a.Complexity > 10 {
		return fmt.Errorf("%w: audio complexity: %d is not within 1..10", ErrSpec, a.Complexity)
	}
	return nil
}

func validProfile(p media.Profile) bool {
	return p >= media.ProfileBaseline && p <= media.ProfileHigh
}

// Start is the first message to a core process.
type Start struct {
	Spec    Spec `json:"spec"`
	Restore bool `json:"restore"` // go on from the newest snapshot in the shared memory, if there is one
}

// Append adds the message's payload to dst.
func (s Start) Append(dst []byte) ([]byte, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return dst, fmt.Errorf("write start message: %w", err)
	}
	return append(dst, data...), nil
}

// ParseStart reads what Start.Append wrote and checks the Spec.
func ParseStart(payload []byte) (Start, error) {
	var s Start
	if err := json.Unmarshal(payload, &s); err != nil {
		return Start{}, fmt.Errorf("read start message: %w", err)
	}
	s.Spec = s.Spec.WithDefaults()
	if err := s.Spec.Check(); err != nil {
		return Start{}, fmt.Errorf("read start message: %w", err)
	}
	return s, nil
}

// Info is what runs in a core process and what comes out of it.
type Info struct {
	Width         int            `json:"width"`         // of the core's picture, pixels
	Height        int            `json:"height"`        // of the core's picture, pixels
	EncodedWidth  int            `json:"encodedWidth"`  // of the encoded picture, pixels
	EncodedHeight int            `json:"encodedHeight"` // of the encoded picture, pixels
	Aspect        float64        `json:"aspect"`        // width / height on the screen, before rotation; never 0
	FPS           float64        `json:"fps"`           // exact frames per second
	SampleRate    float64        `json:"sampleRate"`    // of the core's sound, Hz
	Rotation      media.Rotation `json:"rotation"`
	Library       string         `json:"library"`              // codec library in use: "x264", "openh264"
	CoreName      string         `json:"coreName"`             // as the core calls itself
	Unconfined    string         `json:"unconfined,omitempty"` // what of the sandbox this host lacks, "" = nothing
	Snapshot      uint64         `json:"snapshot"`             // sequence of the snapshot it went on from, 0 = from the beginning
	Generation    int            `json:"-"`                    // 0 for the first core process, +1 at each restart; the worker counts
}

// Append adds the message's payload to dst.
func (i Info) Append(dst []byte) ([]byte, error) {
	data, err := json.Marshal(i)
	if err != nil {
		return dst, fmt.Errorf("write info: %w", err)
	}
	return append(dst, data...), nil
}

// ParseInfo reads what Info.Append wrote. It refuses numbers no machine has.
func ParseInfo(payload []byte) (Info, error) {
	var i Info
	if len(payload) > MaxInfo {
		return Info{}, fmt.Errorf("%w: info of %d bytes", ErrProtocol, len(payload))
	}
	if err := json.Unmarshal(payload, &i); err != nil {
		return Info{}, fmt.Errorf("%w: info: %w", ErrProtocol, err)
	}
	if !i.plausible() {
		return Info{}, fmt.Errorf("%w: impossible numbers in info", ErrProtocol)
	}
	i.Library, i.CoreName = CleanText(i.Library, MaxName), CleanText(i.CoreName, MaxName)
	i.Unconfined = CleanText(i.Unconfined, MaxText)
	return i, nil
}

// Bounds of what a machine may announce.
const (
	MinFPS        = 1
	MaxFPS        = 1000
	MinSampleRate = 1000           // Hz
	MaxSampleRate = 400000         // Hz
	MaxEncoded    = media.MaxWidth // pixels, of the larger side
)

// plausible is written so that NaN fails every comparison.
func (i Info) plausible() bool {
	return i.Width >= 1 && i.Width <= media.MaxWidth && i.Height >= 1 && i.Height <= media.MaxHeight &&
		i.EncodedWidth >= 1 && i.EncodedWidth <= MaxEncoded && i.EncodedHeight >= 1 && i.EncodedHeight <= MaxEncoded &&
		i.Aspect > 0.01 && i.Aspect < 100 && i.FPS >= MinFPS && i.FPS <= MaxFPS &&
		i.SampleRate >= MinSampleRate && i.SampleRate <= MaxSampleRate && i.Rotation >= 0 && i.Rotation <= 3
}

// CleanText makes text from a core fit to be shown: valid UTF-8 of at most
// limit bytes, control characters become spaces.
func CleanText(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit]
		for len(text) > 0 && !utf8.ValidString(text[max(0, len(text)-utf8.UTFMax):]) && !utf8.RuneStart(text[len(text)-1]) {
			text = text[:len(text)-1]
		}
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	return strings.TrimSpace(text)
}
