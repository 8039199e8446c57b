package packetize_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pion/rtcp"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/packetizetest"
)

// ffmpegReceiver has ffmpeg listen for one stream, described by SDP, and print a
// checksum of each picture, or with -c copy of each packet.
func ffmpegReceiver(t *testing.T, media, rtpmap, fmtp string, options ...string) *receiver {
	t.Helper()
	path := packetizetest.Tool(t, "ffmpeg")
	return start(t, func(ctx context.Context, port int) *exec.Cmd {
		sdp := fmt.Sprintf("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"+
			"m=%s %d RTP/AVP %d\r\na=rtpmap:%d %s\r\n", media, port, livePayloadType, livePayloadType, rtpmap)
		if fmtp != "" {
			sdp += fmt.Sprintf("a=fmtp:%d %s\r\n", livePayloadType, fmtp)
		}
		file := filepath.Join(t.TempDir(), "stream.sdp")
		if err := os.WriteFile(file, []byte(sdp), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"-hide_banner", "-loglevel", "warning", "-nostdin", "-protocol_whitelist", "file,udp,rtp", "-i", file}
		args = append(args, options...)
		return exec.CommandContext(ctx, path, append(args, "-f", "framemd5", "pipe:1")...)
	})
}

// bye ends ffmpeg's reading (RFC 3550, section 6.6).
func bye(t *testing.T) []byte {
	t.Helper()
	b, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.ReceiverReport{SSRC: liveSSRC},
		&rtcp.Goodbye{Sources: []uint32{liveSSRC}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFFmpeg sends recorded streams over UDP to ffmpeg, whose pictures must be
// those of the original. FFmpeg 5.1 (Debian 12) has no AV1 over RTP: AV1 is
// checked by TestRecorded alone.
func TestFFmpeg(t *testing.T) {
	specs := recordings()
	for name, fmtp := range map[string]string{
		"x264":               "packetization-mode=1",
		"x264 slices":        "packetization-mode=1",
		"x264 b-frames, cbr": "packetization-mode=1",
		"vp8":                "", "vp8 alt-ref": "", "vp9": "", "vp9 superframes": "", "vp9 4:4:4": "",
	} {
		t.Run(name, func(t *testing.T) {
			clip := packetizetest.Record(t, specs[name])
			want := packetizetest.Decode(t, clip)
			r := ffmpegReceiver(t, "video", clip.Codec.String()+"/90000", fmtp, "-fps_mode", "passthrough")
			packets := rtpPackets(t, clip, 90000)
			r.play(t, packets, bye(t))
			got := packetizetest.Sums(r.end(t))
			if len(want) < 30 || !slices.Equal(want, got) {
				t.Fatalf("%d pictures in %d packets decode to %d:\n%v\n%v", len(want), len(packets), len(got), want, got)
			}
		})
	}
}

// opusClip is sound of constant bit rate, so that packets have one size and the
// container need not be read. Each "picture" is a packet of 20 ms.
func opusClip(t *testing.T) packetizetest.Clip {
	t.Helper()
	const packet = 160 // 64 kbit/s for 20 ms
	cmd := exec.CommandContext(t.Context(), packetizetest.Tool(t, "ffmpeg"), "-hide_banner", "-loglevel", "error",
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=1", "-c:a", "libopus", "-b:a", "64k",
		"-vbr", "off", "-frame_duration", "20", "-f", "data", "-map", "0:a", "pipe:1")
	stream, err := cmd.Output()
	if err != nil {
		t.Skipf("SKIPPED, NOT CHECKED: ffmpeg cannot encode Opus: %v", err)
	}
	if len(stream) < 40*packet || len(stream)%packet != 0 {
		t.Fatalf("%d bytes of Opus", len(stream))
	}
	return packetizetest.Clip{Codec: packetize.Opus, Rate: 50, Pictures: slices.Collect(slices.Chunk(stream, packet))}
}

// TestFFmpegOpus compares packets, not sound.
func TestFFmpegOpus(t *testing.T) {
	clip := opusClip(t)
	var want []string
	for _, p := range clip.Pictures {
		sum := md5.Sum(p)
		want = append(want, hex.EncodeToString(sum[:]))
	}
	r := ffmpegReceiver(t, "audio", "opus/48000/2", "", "-c", "copy")
	r.play(t, rtpPackets(t, clip, 48000), bye(t))
	if got := packetizetest.Sums(r.end(t)); !slices.Equal(want, got) {
		t.Fatalf("%d packets arrive as %d", len(want), len(got))
	}
}
