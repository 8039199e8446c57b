package packetize_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// benchPicture is the size of a picture at 20 Mbit/s and 60 per second.
const benchPicture = 41_667

// TestNoAllocation cuts pictures of all codecs, large after small, without the
// help of the allocator once the frame has seen the largest.
func TestNoAllocation(t *testing.T) {
	var f packetize.Frame
	for _, codec := range append(videoCodecs(), packetize.Opus) {
		sizes := []int{100, benchPicture, 1100}
		if codec == packetize.Opus {
			sizes = []int{1, 160, 1100}
		}
		var pictures [][]byte
		for _, n := range sizes {
			pictures = append(pictures, picture(codec, max(n, 30), true), picture(codec, max(n, 30), false))
		}
		round := func() {
			for i, p := range pictures {
				if err := f.Split(codec, p, 1200, uint16(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		round()
		if n := testing.AllocsPerRun(100, round); n != 0 {
			t.Errorf("%v: %v allocations for %d pictures", codec, n, len(pictures))
		}
	}
}

// escape gives an H.264 picture as many zero bytes as encoded pictures have, and
// the emulation prevention that they then need: the search for start codes must
// not live from their absence.
func escape(codec packetize.Codec, data []byte) []byte {
	if codec != packetize.H264 {
		return data
	}
	r := rand.New(rand.NewPCG(2, 2))
	out := data[:5:5]
	for _, b := range data[5:] {
		if b = b ^ byte(r.IntN(256)); b < 4 && bytes.HasSuffix(out, []byte{0, 0}) {
			out = append(out, 3)
		}
		out = append(out, b)
	}
	return append(out, 0x80)
}

// BenchmarkSplit cuts inter pictures of 20 Mbit/s at 60 per second (Opus: packets
// of 160 bytes).
func BenchmarkSplit(b *testing.B) {
	for _, codec := range append(videoCodecs(), packetize.Opus) {
		size := benchPicture
		if codec == packetize.Opus {
			size = 160
		}
		data := escape(codec, picture(codec, size, false))
		b.Run(codec.String(), func(b *testing.B) {
			var f packetize.Frame
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := f.Split(codec, data, 1200, uint16(i)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(f.Len()), "packets")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*f.Len()), "ns/packet")
		})
	}
}

// BenchmarkPion is what BenchmarkSplit is to be held against.
func BenchmarkPion(b *testing.B) {
	for codec, p := range map[packetize.Codec]rtp.Payloader{
		packetize.H264: &codecs.H264Payloader{},
		packetize.VP8:  &codecs.VP8Payloader{EnablePictureID: true},
		packetize.VP9:  &codecs.VP9Payloader{},
		packetize.AV1:  &codecs.AV1Payloader{},
	} {
		data := escape(codec, picture(codec, benchPicture, false))
		b.Run(codec.String(), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			var packets int
			for b.Loop() {
				packets = len(p.Payload(1200, data))
			}
			b.ReportMetric(float64(packets), "packets")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*packets), "ns/packet")
		})
	}
}

// BenchmarkCopy is the floor: the data copied once.
func BenchmarkCopy(b *testing.B) {
	from, to := noise(benchPicture), make([]byte, benchPicture)
	b.SetBytes(benchPicture)
	for b.Loop() {
		copy(to, from)
	}
}
