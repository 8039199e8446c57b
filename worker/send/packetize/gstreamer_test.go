package packetize_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/packetizetest"
)

// TestGStreamer sends recorded streams over UDP to GStreamer's depayloaders, which
// write each picture into a file of its own: the files must be the pictures. The
// AV1 depayloader is one of gst-plugins-rs, which Debian 12 does not have.
func TestGStreamer(t *testing.T) {
	specs := recordings()
	h264 := []string{"video/x-h264,stream-format=byte-stream,alignment=au", "!"}
	for _, c := range []struct {
		name, element string
		after         []string
	}{
		{"x264", "rtph264depay", h264},
		{"x264 slices", "rtph264depay", h264},
		{"x264 b-frames, cbr", "rtph264depay", h264},
		{"vp8", "rtpvp8depay", nil},
		{"vp8 alt-ref", "rtpvp8depay", nil},
		{"vp9", "rtpvp9depay", nil},
		{"vp9 superframes", "rtpvp9depay", nil},
		{"av1", "rtpav1depay", nil},
		{"opus", "rtpopusdepay", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			needElement(t, c.element)
			var clip packetizetest.Clip
			clock, media := 90000, "video"
			if c.name == "opus" {
				clip, clock, media = opusClip(t), 48000, "audio"
			} else {
				clip = packetizetest.Record(t, specs[c.name])
			}
			packets := rtpPackets(t, clip, clock)
			caps := fmt.Sprintf("application/x-rtp,media=%s,clock-rate=%d,payload=%d,encoding-name=%s",
				media, clock, livePayloadType, strings.ToUpper(clip.Codec.String()))
			folder := t.TempDir()
			r := start(t, func(ctx context.Context, port int) *exec.Cmd {
				args := []string{
					"-q", "udpsrc", "address=127.0.0.1", "port=" + strconv.Itoa(port),
					"num-buffers=" + strconv.Itoa(len(packets)), "caps=" + caps, "!", c.element, "!",
				}
				args = append(args, c.after...)
				args = append(args, "multifilesink", "location="+filepath.Join(folder, "%05d"))
				return exec.CommandContext(ctx, "gst-launch-1.0", args...)
			})
			r.play(t, packets, nil)
			r.end(t)
			compareFiles(t, folder, clip)
		})
	}
}

// needElement skips the test unless GStreamer has the element and a sink that
// writes one file per buffer.
func needElement(t *testing.T, element string) {
	t.Helper()
	inspect := packetizetest.Tool(t, "gst-inspect-1.0")
	packetizetest.Tool(t, "gst-launch-1.0")
	for _, e := range []string{element, "udpsrc", "multifilesink"} {
		if err := exec.CommandContext(t.Context(), inspect, "--exists", e).Run(); err != nil {
			t.Skipf("SKIPPED, NOT CHECKED: GStreamer here has no %s (%v)", e, err)
		}
	}
}

// compareFiles compares the files of a folder, in order, with the pictures.
func compareFiles(t *testing.T, folder string, clip packetizetest.Clip) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if len(names) != len(clip.Pictures) {
		t.Errorf("%d pictures come out as %d", len(clip.Pictures), len(names))
	}
	for i := range min(len(names), len(clip.Pictures)) {
		got, err := os.ReadFile(names[i])
		if err != nil {
			t.Fatal(err)
		}
		want, err := packetizetest.Canonical(clip.Codec, clip.Pictures[i])
		if err != nil {
			t.Fatal(err)
		}
		if clip.Codec == packetize.H264 {
			got, err = packetizetest.Canonical(clip.Codec, got)
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(want, got) {
			t.Fatalf("picture %d of %d bytes comes out with %d", i, len(want), len(got))
		}
	}
}
