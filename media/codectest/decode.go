package codectest

import (
	"bytes"
	"os/exec"
	"strconv"
	"testing"

	"github.com/cloudretro/cloudretro/media"
)

// Decode turns an H.264 stream into pictures with ffmpeg. It skips the test
// where ffmpeg is not installed, and fails it if ffmpeg complains about the stream.
func Decode(t *testing.T, stream []byte, width, height int) []*media.I420 {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("SKIPPED: ffmpeg is not installed; install it to check the streams with another decoder")
	}
	size := strconv.Itoa(width) + "x" + strconv.Itoa(height)
	cmd := exec.CommandContext(t.Context(), path, "-hide_banner", "-loglevel", "warning", "-threads", "1", "-flags", "low_delay",
		"-f", "h264", "-i", "pipe:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "pipe:1")
	var complaints bytes.Buffer
	cmd.Stdin = bytes.NewReader(stream)
	cmd.Stderr = &complaints
	raw, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("ffmpeg: %v: %s", err, complaints.String())
	}
	var pictures []*media.I420
	for luma := width * height; len(raw) >= luma*3/2; raw = raw[luma*3/2:] {
		pictures = append(pictures, &media.I420{
			Width: width, Height: height, StrideY: width, StrideU: width / 2, StrideV: width / 2,
			Y: raw[:luma], U: raw[luma : luma*5/4], V: raw[luma*5/4 : luma*3/2],
		})
	}
	return pictures
}
