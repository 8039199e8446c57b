package packetizetest

import (
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// Spec says what Record encodes.
type Spec struct {
	Codec         packetize.Codec // H264, VP8, VP9 or AV1
	Width, Height int             // pixels
	Rate          int             // pictures per second
	Pictures      int
	Bitrate       int      // bits per second
	Encoder       string   // ffmpeg's name; "" takes the codec's usual library
	Options       []string // of ffmpeg, behind those that Record gives
}

// encoder returns ffmpeg's encoder, its options for speed, and the container.
func (s Spec) encoder() (name string, options []string, container string) {
	switch s.Codec {
	case packetize.H264:
		return "libx264", []string{"-preset", "ultrafast", "-tune", "zerolatency"}, "h264"
	case packetize.VP8:
		return "libvpx", []string{"-deadline", "realtime", "-cpu-used", "8"}, "ivf"
	case packetize.VP9:
		return "libvpx-vp9", []string{"-deadline", "realtime", "-cpu-used", "8"}, "ivf"
	case packetize.AV1:
		return "libaom-av1", []string{"-usage", "realtime", "-cpu-used", "8"}, "ivf"
	default:
		return "", nil, ""
	}
}

// Record has ffmpeg encode a moving test picture with noise. Without ffmpeg, or
// without that encoder in it, the test is skipped and says so.
func Record(tb testing.TB, s Spec) Clip {
	tb.Helper()
	name, options, container := s.encoder()
	if s.Encoder != "" {
		name, options = s.Encoder, nil
	}
	ffmpeg := Tool(tb, "ffmpeg")
	if list, err := exec.CommandContext(tb.Context(), ffmpeg, "-hide_banner", "-encoders").Output(); err != nil ||
		!strings.Contains(string(list), " "+name+" ") {
		tb.Skipf("SKIPPED, NOT CHECKED: ffmpeg has no encoder %q (%v)", name, err)
	}
	source := fmt.Sprintf("testsrc2=size=%dx%d:rate=%d,noise=alls=20:allf=t,format=yuv420p", s.Width, s.Height, s.Rate)
	args := []string{"-f", "lavfi", "-i", source, "-frames:v", strconv.Itoa(s.Pictures), "-c:v", name}
	args = append(args, options...)
	args = append(args, "-b:v", strconv.Itoa(s.Bitrate))
	args = append(args, s.Options...)
	stream := run(tb, ffmpeg, nil, append(args, "-f", container, "pipe:1")...)
	if s.Codec != packetize.H264 {
		clip, err := ReadIVF(bytes.NewReader(stream))
		if err != nil {
			tb.Fatal(err)
		}
		return clip
	}
	pictures, err := SplitAnnexB(stream)
	if err != nil {
		tb.Fatal(err)
	}
	return Clip{Codec: s.Codec, Width: s.Width, Height: s.Height, Rate: s.Rate, Pictures: pictures}
}

// Decode has ffmpeg decode the clip and returns the MD5 sum of each picture that
// comes out, in the order of display.
func Decode(tb testing.TB, c Clip) []string {
	tb.Helper()
	container := "ivf"
	if c.Codec == packetize.H264 {
		container = "h264"
	}
	return Sums(run(tb, Tool(tb, "ffmpeg"), c.Bytes(),
		"-f", container, "-i", "pipe:0", "-fps_mode", "passthrough", "-f", "framemd5", "pipe:1"))
}

// Sums returns the last column of ffmpeg's framemd5 output: one sum for each
// picture, without its time.
func Sums(framemd5 []byte) []string {
	var sums []string
	for line := range strings.Lines(string(framemd5)) {
		if i := strings.LastIndexByte(line, ','); i >= 0 && !strings.HasPrefix(line, "#") {
			sums = append(sums, strings.TrimSpace(line[i+1:]))
		}
	}
	return sums
}

// Tool returns the path of a program. Without it the test is skipped and says so.
func Tool(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		tb.Skipf("SKIPPED, NOT CHECKED: no %s on this machine (deploy/packages.sh test)", name)
	}
	return path
}

// run returns what a program prints; the test fails with its messages if it does.
func run(tb testing.TB, path string, input []byte, args ...string) []byte {
	tb.Helper()
	args = append([]string{"-hide_banner", "-loglevel", "error"}, args...)
	cmd := exec.CommandContext(tb.Context(), path, args...)
	cmd.Stdin = bytes.NewReader(input)
	var messages bytes.Buffer
	cmd.Stderr = &messages
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s: %v\n%s", cmd, err, messages.Bytes())
	}
	return out
}
