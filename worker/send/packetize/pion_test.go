package packetize_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/packetizetest"
)

// recordings are what real encoders make: each shape of stream that a room could
// produce, and some that only a recorded file has.
func recordings() map[string]packetizetest.Spec {
	base := packetizetest.Spec{Width: 320, Height: 240, Rate: 60, Pictures: 40, Bitrate: 4_000_000}
	with := func(c packetize.Codec, encoder string, options ...string) packetizetest.Spec {
		s := base
		s.Codec, s.Encoder, s.Options = c, encoder, options
		return s
	}
	return map[string]packetizetest.Spec{
		"x264":               with(packetize.H264, "", "-g", "20"),
		"x264 slices":        with(packetize.H264, "", "-x264-params", "slices=4:keyint=20:aud=1:repeat-headers=1"),
		"x264 b-frames, cbr": with(packetize.H264, "libx264", "-x264-params", "bframes=3:nal-hrd=cbr:vbv-bufsize=400:vbv-maxrate=4000:filler=1"),
		"vp8":                with(packetize.VP8, "", "-g", "20"),
		"vp8 alt-ref":        with(packetize.VP8, "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-cpu-used", "5"),
		"vp9":                with(packetize.VP9, "", "-g", "20"),
		"vp9 superframes":    with(packetize.VP9, "libvpx-vp9", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-cpu-used", "5"),
		"vp9 4:4:4":          with(packetize.VP9, "libvpx-vp9", "-pix_fmt", "yuv444p", "-cpu-used", "5"),
		"av1":                with(packetize.AV1, "", "-g", "20"),
		"av1 tiles, hidden":  with(packetize.AV1, "libaom-av1", "-cpu-used", "8", "-lag-in-frames", "16", "-tile-columns", "1"),
		"svt-av1":            with(packetize.AV1, "libsvtav1", "-preset", "12"),
	}
}

// depacketizer is pion's for one codec, in a form that gives whole pictures.
func depacketizer(codec packetize.Codec) rtp.Depacketizer {
	switch codec {
	case packetize.H264:
		return &codecs.H264Packet{}
	case packetize.VP8:
		return &codecs.VP8Packet{}
	case packetize.VP9:
		return &codecs.VP9Packet{}
	case packetize.AV1:
		return &codecs.AV1Depacketizer{}
	default:
		return &codecs.OpusPacket{}
	}
}

// pionJoin puts a frame together with pion's code.
func pionJoin(codec packetize.Codec, f *packetize.Frame) ([]byte, error) {
	var out []byte
	d := depacketizer(codec)
	for i := range f.Len() {
		part, err := d.Unmarshal(f.Payload(i))
		if err != nil {
			return nil, fmt.Errorf("payload %d of %d: %w", i, f.Len(), err)
		}
		if head := d.IsPartitionHead(f.Payload(i)); i == 0 && !head {
			return nil, fmt.Errorf("payload 0 of %d is not a head", f.Len())
		}
		out = append(out, part...)
	}
	return out, nil
}

func payloads(f *packetize.Frame) [][]byte {
	var all [][]byte
	for i := range f.Len() {
		all = append(all, f.Payload(i))
	}
	return all
}

// TestRecorded cuts what encoders made, at several limits, and puts it together
// with pion's depacketizers and with the strict ones of packetizetest. Both must
// give every byte, and the pictures must decode to what they were.
func TestRecorded(t *testing.T) {
	for name, spec := range recordings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clip := packetizetest.Record(t, spec)
			if len(clip.Pictures) < 30 {
				t.Fatalf("%d pictures", len(clip.Pictures))
			}
			for _, limit := range []int{packetize.MinLimit, 543, 1200, 9000, packetize.MaxLimit} {
				joined := clip
				joined.Pictures = nil
				var f packetize.Frame
				for i, picture := range clip.Pictures {
					got := splitAndJoin(t, &f, clip.Codec, picture, limit, uint16(i))
					joined.Pictures = append(joined.Pictures, got)
				}
				if limit != 1200 {
					continue
				}
				want, got := packetizetest.Decode(t, clip), packetizetest.Decode(t, joined)
				if len(want) < 30 || !slices.Equal(want, got) {
					t.Errorf("%d pictures decode to %d others", len(want), len(got))
				}
			}
		})
	}
}

// splitAndJoin fails the test unless both depacketizers give the picture back.
func splitAndJoin(t *testing.T, f *packetize.Frame, codec packetize.Codec, picture []byte, limit int, id uint16) []byte {
	t.Helper()
	want, err := packetizetest.Canonical(codec, picture)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Split(codec, picture, limit, id); err != nil {
		t.Fatal(err)
	}
	for i := range f.Len() {
		if n := len(f.Payload(i)); n == 0 || n > limit {
			t.Fatalf("payload %d has %d bytes, the limit is %d", i, n, limit)
		}
	}
	got, err := packetizetest.Join(codec, payloads(f))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Fatalf("picture %d at %d: %d bytes come back as %d", id, limit, len(want), len(got))
	}
	other, err := pionJoin(codec, f)
	if err != nil {
		t.Fatalf("pion: %v", err)
	}
	if !bytes.Equal(want, other) {
		t.Fatalf("picture %d at %d: %d bytes come back from pion as %d", id, limit, len(want), len(other))
	}
	return got
}
