package packetize_test

import (
	"bytes"
	"testing"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/packetizetest"
)

// fuzzSplit feeds anything to one codec. What is taken must come back from the
// strict depacketizer, within the limit, and the same from a frame that was used
// before; pion's depacketizer must agree unless tolerant says that it cannot.
func fuzzSplit(f *testing.F, codec packetize.Codec, tolerant func(data []byte) bool) {
	for _, n := range []int{10, 130, 1200, 4000} {
		f.Add(picture(codec, n, true), 1200, uint16(1))
		f.Add(picture(codec, n, false), packetize.MinLimit, uint16(0x7fff))
	}
	f.Add([]byte{}, 1200, uint16(0))
	old := picture(codec, 1000, true)
	f.Fuzz(func(t *testing.T, data []byte, limit int, id uint16) {
		before := bytes.Clone(data)
		var frame, used packetize.Frame
		if err := used.Split(codec, old, 1200, 0); err != nil {
			t.Fatal(err)
		}
		err := frame.Split(codec, data, limit, id)
		if again := used.Split(codec, data, limit, id); (err == nil) != (again == nil) {
			t.Fatalf("%v first, %v then", err, again)
		}
		if !bytes.Equal(before, data) {
			t.Fatal("the data were written to")
		}
		if err != nil {
			if frame.Len() != 0 {
				t.Fatalf("%d payloads with %v", frame.Len(), err)
			}
			return
		}
		wantPayloads(t, &used, payloads(&frame)...)
		for i, p := range payloads(&frame) {
			if len(p) == 0 || len(p) > limit {
				t.Fatalf("payload %d has %d bytes, the limit is %d", i, len(p), limit)
			}
		}
		want, err := packetizetest.Canonical(codec, data)
		if err != nil {
			t.Fatal(err)
		}
		got, err := packetizetest.Join(codec, payloads(&frame))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, got) {
			t.Fatalf("%x\ncomes back as\n%x", want, got)
		}
		if tolerant != nil && tolerant(data) {
			return
		}
		other, err := pionJoin(codec, &frame)
		if err != nil {
			t.Fatalf("pion: %v", err)
		}
		if !bytes.Equal(want, other) {
			t.Fatalf("%x\ncomes back from pion as\n%x", want, other)
		}
	})
}

func FuzzH264(f *testing.F) {
	f.Add([]byte{0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 0x80, 0, 0}, 1200, uint16(0))
	fuzzSplit(f, packetize.H264, func(data []byte) bool {
		// pion takes a payload of one byte for no head.
		for _, u := range packetizetest.Units(data) {
			if len(u) < 2 {
				return true
			}
		}
		return false
	})
}

func FuzzVP8(f *testing.F) { fuzzSplit(f, packetize.VP8, nil) }

func FuzzVP9(f *testing.F) {
	f.Add([]byte{0x88}, 128, uint16(0))
	f.Add([]byte{0xb4, 0}, 128, uint16(0))
	fuzzSplit(f, packetize.VP9, nil)
}

func FuzzAV1(f *testing.F) {
	f.Add(join(obuBytes(2, nil), obuBytes(3, noise(9)), obuBytes(4, noise(200)), obuBytes(4, noise(3)), obuBytes(4, noise(127))), 128, uint16(0))
	f.Add([]byte{0x36, 0x48, 2, 0x30, 1}, 128, uint16(0))
	fuzzSplit(f, packetize.AV1, nil)
}

func FuzzOpus(f *testing.F) { fuzzSplit(f, packetize.Opus, nil) }
