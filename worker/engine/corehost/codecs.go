package corehost

import (
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/media/h264"
	"github.com/cloudretro/cloudretro/media/opus"
	"github.com/cloudretro/cloudretro/media/pcm"
	"github.com/cloudretro/cloudretro/media/yuv"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// builtinCodecs are the codecs of the product.
func builtinCodecs() codecs {
	return codecs{
		converter: func(width, height, scale int) (converter, error) {
			c, err := yuv.New(yuv.Config{Format: media.FormatXRGB8888, Width: width, Height: height, Scale: scale})
			if err != nil {
				return nil, err // not c: a nil pointer in an interface is not nil
			}
			return c, nil
		},
		video: h264.Open,
		audio: func(a wire.AudioSpec) (media.AudioEncoder, error) {
			e, err := opus.New(opus.Config{Frame: a.Frame, Bitrate: a.Bitrate, Complexity: a.Complexity})
			if err != nil {
				return nil, err
			}
			return e, nil
		},
		resampler: func(rate float64) (resampler, error) {
			r, err := pcm.NewResampler(rate)
			if err != nil {
				return nil, err
			}
			return r, nil
		},
	}
}
