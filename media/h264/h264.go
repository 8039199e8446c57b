// Package h264 encodes pictures as H.264 for WebRTC with one of two libraries,
// x264 or openh264. Both are opened at run time, so that a binary needs neither
// to start and ships neither; their headers are needed to build it.
//
// The streams are made for the lowest delay: one access unit comes out for each
// picture that goes in, no B frames, one reference, no reordering (and the VUI
// says so, so that decoders hold nothing back), key frames only on demand, SPS
// and PPS with each of them, no SEI. Colours are BT.601 limited range.
//
// The libraries' threads are off: an encoder works on the goroutine that calls
// it. Different encoders may be used at the same time.
package h264

import (
	"errors"
	"fmt"
	"math"

	"github.com/cloudretro/cloudretro/media"
)

// Names of the codec libraries in media.VideoConfig.Library.
const (
	LibraryAuto     = "auto" // the first present one of x264, openh264
	LibraryX264     = "x264"
	LibraryOpenH264 = "openh264"
)

// Defaults for the fields of media.VideoConfig that are zero.
const (
	DefaultCRF        = 20
	DefaultMaxBitrate = 8_000_000 // bit/s
)

// Limits of media.VideoConfig.
const (
	MinSize    = 16          // pixels, width and height
	MinBitrate = 64_000      // bit/s
	MaxBitrate = 200_000_000 // bit/s
	MaxCRF     = 51
	MinFPS     = 1
	MaxFPS     = 1000
)

// vbvFrames is how many frames' share of the ceiling one frame may use up. A
// key frame needs more than one share; four are 67 ms at 60 frames a second.
const vbvFrames = 4

var (
	// ErrConfig says that an encoder cannot be opened with these numbers.
	ErrConfig = errors.New("h264: bad configuration")
	// ErrUnavailable says that a codec library is not installed, is of another
	// version than this binary was built for, or that the build has no cgo.
	ErrUnavailable = errors.New("h264: codec library not available")
	// ErrPicture says that a picture is not of the size the encoder was opened with
	// or that its planes are too short.
	ErrPicture = errors.New("h264: picture does not fit the encoder")
	// ErrClosed says that the encoder was closed.
	ErrClosed = errors.New("h264: encoder is closed")
)

// Encoder is an open encoder of either library. It is used by one goroutine at
// a time.
type Encoder struct {
	library string
	width   int
	height  int
	lib     library // nil once closed
}

var _ media.VideoEncoder = (*Encoder)(nil)

// library is one codec library's open encoder.
type library interface {
	encode(dst []byte, pic *media.I420, key bool) (data []byte, isKey bool, err error)
	setMaxBitrate(bps int) error
	close()
}

// Open opens an encoder. A Library of "" or "auto" takes x264 if it can be
// loaded and openh264 if not. openh264 makes constrained baseline whatever the
// Profile, which each decoder of a higher profile decodes.
//
// The error wraps ErrConfig or ErrUnavailable where it is one of these.
func Open(cfg media.VideoConfig) (media.VideoEncoder, error) {
	e, err := open(cfg)
	if err != nil {
		return nil, err // not e: a nil *Encoder in an interface is not nil
	}
	return e, nil
}

func open(cfg media.VideoConfig) (*Encoder, error) {
	cfg, err := complete(cfg)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, name := range candidates(cfg.Library) {
		lib, err := openLibrary(name, cfg)
		if err == nil {
			return &Encoder{library: name, width: cfg.Width, height: cfg.Height, lib: lib}, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// Libraries returns the names of the libraries that Open would find, the best
// one first. It looks at the disk each time.
func Libraries() []string {
	var present []string
	for _, name := range candidates(LibraryAuto) {
		if probeLibrary(name) == nil {
			present = append(present, name)
		}
	}
	return present
}

// Probe returns nil if the named library ("auto" for any) can be loaded, else
// an error that wraps ErrUnavailable and says what to install.
func Probe(name string) error {
	names := candidates(name)
	if names == nil {
		return fmt.Errorf("%w: library %q, want auto, x264 or openh264", ErrConfig, name)
	}
	var failed error
	for _, name := range names {
		err := probeLibrary(name)
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// candidates returns the libraries to try for a configured name, nil if there
// is no such name.
func candidates(name string) []string {
	switch name {
	case "", LibraryAuto:
		return []string{LibraryX264, LibraryOpenH264}
	case LibraryX264, LibraryOpenH264:
		return []string{name}
	}
	return nil
}

// complete checks cfg and puts the defaults in.
func complete(cfg media.VideoConfig) (media.VideoConfig, error) {
	if cfg.CRF == 0 {
		cfg.CRF = DefaultCRF
	}
	if cfg.MaxBitrate == 0 {
		cfg.MaxBitrate = DefaultMaxBitrate
	}
	switch {
	case cfg.Width < MinSize || cfg.Width > media.MaxWidth || cfg.Width%2 != 0,
		cfg.Height < MinSize || cfg.Height > media.MaxHeight || cfg.Height%2 != 0:
		return cfg, fmt.Errorf("%w: size %dx%d, want even numbers from %d to %dx%d",
			ErrConfig, cfg.Width, cfg.Height, MinSize, media.MaxWidth, media.MaxHeight)
	case math.IsNaN(cfg.FPS) || cfg.FPS < MinFPS || cfg.FPS > MaxFPS:
		return cfg, fmt.Errorf("%w: %v frames a second, want %d to %d", ErrConfig, cfg.FPS, MinFPS, MaxFPS)
	case math.IsNaN(cfg.CRF) || cfg.CRF < 1 || cfg.CRF > MaxCRF:
		return cfg, fmt.Errorf("%w: CRF %v, want 1 to %d", ErrConfig, cfg.CRF, MaxCRF)
	case cfg.Profile < media.ProfileBaseline || cfg.Profile > media.ProfileHigh:
		return cfg, fmt.Errorf("%w: profile %d", ErrConfig, cfg.Profile)
	case candidates(cfg.Library) == nil:
		return cfg, fmt.Errorf("%w: library %q, want auto, x264 or openh264", ErrConfig, cfg.Library)
	}
	return cfg, checkBitrate(cfg.MaxBitrate)
}

func checkBitrate(bps int) error {
	if bps < MinBitrate || bps > MaxBitrate {
		return fmt.Errorf("%w: ceiling of %d bit/s, want %d to %d", ErrConfig, bps, MinBitrate, MaxBitrate)
	}
	return nil
}

// Library returns the name of the library behind the encoder.
func (e *Encoder) Library() string { return e.library }

// Encode appends the access unit of pic to dst, in Annex B with start codes.
// The picture must be of the encoder's size; it may be changed when Encode has
// returned. The first one is a key frame, others are when key is set.
func (e *Encoder) Encode(dst []byte, pic *media.I420, key bool) (data []byte, isKey bool, err error) {
	if e.lib == nil {
		return dst, false, ErrClosed
	}
	if !e.fits(pic) {
		return dst, false, ErrPicture
	}
	return e.lib.encode(dst, pic, key)
}

func (e *Encoder) fits(pic *media.I420) bool {
	if pic == nil || pic.Width != e.width || pic.Height != e.height {
		return false
	}
	w, h := e.width, e.height
	return plane(pic.Y, pic.StrideY, w, h) && plane(pic.U, pic.StrideU, w/2, h/2) && plane(pic.V, pic.StrideV, w/2, h/2)
}

// plane reports whether h rows of w bytes fit into data.
func plane(data []byte, stride, w, h int) bool {
	const maxStride = 1 << 16
	return stride >= w && stride <= maxStride && len(data) >= stride*(h-1)+w
}

// SetMaxBitrate changes the ceiling in bit/s from the next picture on.
func (e *Encoder) SetMaxBitrate(bps int) error {
	if e.lib == nil {
		return ErrClosed
	}
	if err := checkBitrate(bps); err != nil {
		return err
	}
	return e.lib.setMaxBitrate(bps)
}

// Close frees the encoder. It may be called twice.
func (e *Encoder) Close() error {
	if e.lib != nil {
		e.lib.close()
		e.lib = nil
	}
	return nil
}
