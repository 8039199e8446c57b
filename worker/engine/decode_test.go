package engine

import (
	"bytes"
	"os/exec"
	"strconv"
	"testing"

	"github.com/cloudretro/cloudretro/worker/engine/testcard"
)

// watermarks decodes a stream with ffmpeg and reads the watermark of each
// picture. The test is skipped without ffmpeg.
func watermarks(t *testing.T, stream []byte, width, height int) []testcard.Watermark {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("SKIPPED: reading the pictures needs ffmpeg: apt-get install ffmpeg")
	}
	cmd := exec.Command(path, "-loglevel", "error", "-f", "h264", "-i", "-", "-f", "rawvideo",
		"-fps_mode", "passthrough", "-pix_fmt", "gray", "-s", strconv.Itoa(width)+"x"+strconv.Itoa(height), "-")
	cmd.Stdin = bytes.NewReader(stream)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, stderr.String())
	}
	var marks []testcard.Watermark
	for size := width * height; len(raw) >= size; raw = raw[size:] {
		m, err := testcard.ReadWatermark(raw[:size], width, width)
		if err != nil {
			t.Fatalf("picture %d: %v", len(marks), err)
		}
		marks = append(marks, m)
	}
	return marks
}
