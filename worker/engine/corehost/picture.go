package corehost

import (
	"errors"
	"fmt"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// converter makes planes of pictures.
type converter interface {
	Convert(src *media.Picture) (*media.I420, error)
}

// codecs makes the parts of the encoding; tests give their own.
type codecs struct {
	converter func(width, height, scale int) (converter, error)
	video     func(media.VideoConfig) (media.VideoEncoder, error)
	audio     func(wire.AudioSpec) (media.AudioEncoder, error)
	resampler func(rate float64) (resampler, error)
}

// videoStage turns pictures into access units. It belongs to the encoders'
// goroutine.
type videoStage struct {
	spec   wire.VideoSpec
	codecs codecs
	fps    float64

	converter converter
	encoder   media.VideoEncoder // nil = to be opened for the next picture
	planes    *media.I420        // the last picture
	width     int                // of the last picture as the machine made it
	height    int
	library   string // in use

	encodedWidth, encodedHeight int // of planes, which the converter changes in place
}

// newVideoStage opens the encoder for a black picture of the given size, so
// that what is wrong with it shows before the first frame.
func newVideoStage(spec wire.VideoSpec, c codecs, t traits) (*videoStage, error) {
	v := &videoStage{spec: spec, codecs: c, fps: t.fps}
	var err error
	if v.converter, err = c.converter(t.width, t.height, spec.Scale); err != nil {
		return nil, fmt.Errorf("open converter: %w", err)
	}
	black := media.Picture{
		Format: media.FormatXRGB8888, Width: t.width, Height: t.height, Stride: 4 * t.width,
		Data: make([]byte, 4*t.width*t.height),
	}
	if err := v.convert(&black); err != nil {
		return nil, err
	}
	return v, v.open()
}

// convert makes p the picture that encode encodes.
func (v *videoStage) convert(p *media.Picture) error {
	planes, err := v.converter.Convert(p)
	if err != nil {
		return fmt.Errorf("convert picture: %w", err)
	}
	if planes.Width != v.encodedWidth || planes.Height != v.encodedHeight {
		v.encodedWidth, v.encodedHeight = planes.Width, planes.Height
		v.reopen()
	}
	v.planes, v.width, v.height = planes, p.Width, p.Height
	return nil
}

// reopen makes the next picture begin a new stream.
func (v *videoStage) reopen() {
	if v.encoder != nil {
		_ = v.encoder.Close()
		v.encoder = nil
	}
}

func (v *videoStage) open() error {
	enc, err := v.codecs.video(media.VideoConfig{
		Width: v.planes.Width, Height: v.planes.Height, FPS: v.fps, Profile: v.spec.Profile,
		CRF: v.spec.CRF, MaxBitrate: v.spec.MaxBitrate, Library: v.spec.Library,
	})
	if err != nil {
		return fmt.Errorf("open video encoder: %w", err)
	}
	v.encoder = enc
	if named, ok := enc.(interface{ Library() string }); ok {
		v.library = named.Library()
	}
	return nil
}

// setProfile changes the profile; the next picture is a key frame.
func (v *videoStage) setProfile(p media.Profile) {
	if p != v.spec.Profile {
		v.spec.Profile = p
		v.reopen()
	}
}

// setRate tells the rate control a new frame rate.
func (v *videoStage) setRate(fps float64) {
	if fps != v.fps {
		v.fps = fps
		v.reopen()
	}
}

// setBitrate changes the ceiling in bit/s. What the codec refuses leaves the old one.
func (v *videoStage) setBitrate(bps int) error {
	if v.encoder != nil {
		if err := v.encoder.SetMaxBitrate(bps); err != nil {
			return fmt.Errorf("set bitrate: %w", err)
		}
	}
	v.spec.MaxBitrate = bps
	return nil
}

// encode appends the last converted picture to dst. An encoder that fails is
// opened anew once.
func (v *videoStage) encode(dst []byte, key bool) (data []byte, isKey bool, err error) {
	var first error
	for range 2 {
		if v.encoder == nil {
			if err := v.open(); err != nil {
				return dst, false, errors.Join(first, err)
			}
			key = true
		}
		data, isKey, err := v.encoder.Encode(dst, v.planes, key)
		if err == nil {
			return data, isKey, nil
		}
		first = fmt.Errorf("encode picture: %w", err)
		v.reopen()
	}
	return dst, false, first
}

func (v *videoStage) close() { v.reopen() }
