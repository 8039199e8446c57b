package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/packetizetest"
)

// What recordings look like: frames of several packets each.
const (
	recordingWidth   = 320 // pixels
	recordingHeight  = 240
	recordingRate    = 60 // pictures per second
	recordingBitrate = 3 << 20
)

// Recording is a clip whose first picture alone is a key frame, so that it can be
// played again and again, and what each of its pictures decodes to.
type Recording struct {
	packetizetest.Clip
	Sums []string // SHA-256 of each picture as Chromium shows it, I420, in hexadecimal; no two are equal

	// Plain is that of the first picture without the filter of decode, "" if there
	// is none: Chromium leaves it out until the second picture.
	Plain string
}

// Record has ffmpeg encode n pictures of moving test patterns with noise, and
// decodes them.
func Record(ctx context.Context, codec packetize.Codec, n int) (*Recording, error) {
	args, container := encoder(codec)
	source := fmt.Sprintf("testsrc2=size=%dx%d:rate=%d,noise=alls=12:allf=t,format=yuv420p", recordingWidth, recordingHeight, recordingRate)
	args = append([]string{"-f", "lavfi", "-i", source, "-frames:v", strconv.Itoa(n), "-g", "100000"}, args...)
	stream, err := ffmpeg(ctx, nil, append(args, "-f", container, "pipe:1")...)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	r := &Recording{}
	if codec == packetize.H264 {
		r.Codec, r.Rate = codec, recordingRate
		r.Pictures, err = packetizetest.SplitAnnexB(stream)
	} else {
		r.Clip, err = packetizetest.ReadIVF(bytes.NewReader(stream))
	}
	if err != nil {
		return nil, err
	}
	if err := r.decode(ctx, stream, container); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return r, nil
}

// decode fills the sums. Chromium's decoder of VP8 filters what it has decoded
// (libwebrtc, libvpx_vp8_decoder.cc, Decode), and vpxdec is told to do the same.
func (r *Recording) decode(ctx context.Context, stream []byte, container string) (err error) {
	var pixels []byte
	if r.Codec == packetize.VP8 {
		first := r.Clip
		first.Pictures = first.Pictures[:1]
		if pixels, err = decodePlain(ctx, first.Bytes(), container); err != nil {
			return err
		}
		r.Plain = sum(pixels)
		pixels, err = output(ctx, stream, "vpxdec", "--codec=vp8", "--deblock", "--demacroblock-level=3", "--mfqe", "--i420", "-o", "-", "-")
	} else {
		pixels, err = decodePlain(ctx, stream, container)
	}
	if err != nil {
		return err
	}
	const size = recordingWidth * recordingHeight * 3 / 2
	if len(pixels) != size*len(r.Pictures) {
		return fmt.Errorf("%d pictures give %d bytes, not %d each", len(r.Pictures), len(pixels), size)
	}
	for picture := range slices.Chunk(pixels, size) {
		r.Sums = append(r.Sums, sum(picture))
	}
	if unique := slices.Compact(slices.Sorted(slices.Values(r.Sums))); len(unique) != len(r.Sums) {
		return errors.New("some pictures look the same")
	}
	return nil
}

func decodePlain(ctx context.Context, stream []byte, container string) ([]byte, error) {
	return ffmpeg(ctx, stream, "-f", container, "-i", "pipe:0", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "rawvideo", "pipe:1")
}

func sum(picture []byte) string {
	sum := sha256.Sum256(picture)
	return hex.EncodeToString(sum[:])
}

// encoder returns ffmpeg's arguments for pictures that refer back only, as a game
// streamed live has them, and the container.
func encoder(codec packetize.Codec) (args []string, container string) {
	rate := strconv.Itoa(recordingBitrate)
	switch codec {
	case packetize.H264:
		return []string{"-c:v", "libx264", "-profile:v", "main", "-preset", "superfast", "-tune", "zerolatency", "-sc_threshold", "0", "-b:v", rate}, "h264"
	case packetize.VP8: // one quantizer: else the filter looks at pictures before, see decode
		return []string{"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "16", "-qmin", "32", "-qmax", "32", "-b:v", rate}, "ivf"
	case packetize.VP9:
		return []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", rate}, "ivf"
	default:
		return []string{"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-b:v", rate}, "ivf"
	}
}

func ffmpeg(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	return output(ctx, input, "ffmpeg", append([]string{"-hide_banner", "-loglevel", "error"}, args...)...)
}

// output runs a program and returns what it prints.
func output(ctx context.Context, input []byte, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = bytes.NewReader(input)
	var messages bytes.Buffer
	cmd.Stderr = &messages
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", name, err, messages.Bytes())
	}
	return out, nil
}
