package packetize_test

import (
	"testing"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

func TestVP8(t *testing.T) {
	key := vp8Picture(300, true)
	// 300 bytes at 124 a packet: three times 100.
	wantPayloads(t, split(t, packetize.VP8, key, 128),
		join([]byte{0x90, 0x80, 0x92, 0x34}, key[:100]),
		join([]byte{0x80, 0x80, 0x92, 0x34}, key[100:200]),
		join([]byte{0x80, 0x80, 0x92, 0x34}, key[200:]))
	small := vp8Picture(3, false)
	wantPayloads(t, split(t, packetize.VP8, small, 128), join([]byte{0x90, 0x80, 0x92, 0x34}, small))
}

func TestVP9(t *testing.T) {
	key := vp9Picture(295, true)
	// 300 bytes with the scalability structure, at 125 a packet: three times 100.
	wantPayloads(t, split(t, packetize.VP9, key, 128),
		join([]byte{0x8b, 0x92, 0x34, 0x10, 1, 64, 0, 240}, key[:95]),
		join([]byte{0x81, 0x92, 0x34}, key[95:195]),
		join([]byte{0x85, 0x92, 0x34}, key[195:]))
	inter := vp9Picture(200, false)
	wantPayloads(t, split(t, packetize.VP9, inter, 128),
		join([]byte{0xc9, 0x92, 0x34}, inter[:100]),
		join([]byte{0xc5, 0x92, 0x34}, inter[100:]))
	small := vp9Picture(9, true)
	wantPayloads(t, split(t, packetize.VP9, small, 128),
		join([]byte{0x8f, 0x92, 0x34, 0x10, 1, 64, 0, 240}, small))
}

// TestVP9Headers reads first octets of all kinds, by hand from the bitstream
// specification.
func TestVP9Headers(t *testing.T) {
	const predicted, structure = 0x40, 0x02
	for name, c := range map[string]struct {
		data          []byte
		want          byte // P and V
		width, height int
	}{
		"inter":              {data: []byte{0x86, 1}, want: predicted},
		"intra-only":         {data: []byte{0x84, 0xff}, want: predicted},
		"repetition, 1 byte": {data: []byte{0x88}, want: predicted},
		"repetition, prof 3": {data: []byte{0xb4, 0x00}, want: predicted},
		"key, profile 0": {
			data: []byte{0x82, 0x49, 0x83, 0x42, 0x20, 0x13, 0xf0, 0x0e, 0xf0}, want: structure, width: 320, height: 240,
		},
		// 10 10 00 1 0: profile 1; 001 0 000: colour space, range, 4:4:4
		"key, profile 1": {
			data: []byte{0xa2, 0x49, 0x83, 0x42, 0x20, 0x02, 0x7e, 0x01, 0xde}, want: structure, width: 320, height: 240,
		},
		// 10 01 00 1 0: profile 2; 1 001 0: 12 bit
		"key, profile 2": {
			data: []byte{0x92, 0x49, 0x83, 0x42, 0x90, 0x09, 0xf8, 0x07, 0x78}, want: structure, width: 320, height: 240,
		},
		// 10 1 1 0 0 0 1 0: one bit more; sync code shifted by one; 0 111 0: RGB
		"key, profile 3, RGB": {
			data: []byte{0xb1, 0x24, 0xc1, 0xa1, 0x38, 0x04, 0xfc, 0x03, 0xbc}, want: structure, width: 320, height: 240,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := split(t, packetize.VP9, c.data, 1200).Payload(0)
			if got := p[0] & (predicted | structure); got != c.want {
				t.Fatalf("first octet %#02x, want P and V as in %#02x", p[0], c.want)
			}
			if c.want&structure == 0 {
				return
			}
			width, height := int(p[4])<<8|int(p[5]), int(p[6])<<8|int(p[7])
			if width != c.width || height != c.height {
				t.Errorf("%dx%d, want %dx%d", width, height, c.width, c.height)
			}
		})
	}
}

// TestPictureID says that the number wraps at 15 bits and keeps its M bit.
func TestPictureID(t *testing.T) {
	for _, codec := range []packetize.Codec{packetize.VP8, packetize.VP9} {
		at := map[packetize.Codec]int{packetize.VP8: 2, packetize.VP9: 1}[codec]
		for id, want := range map[uint16]uint16{0: 0x8000, 1: 0x8001, 127: 0x807f, 128: 0x8080, 32767: 0xffff, 32768: 0x8000, 65535: 0xffff} {
			var f packetize.Frame
			if err := f.Split(codec, picture(codec, 50, false), 1200, id); err != nil {
				t.Fatal(err)
			}
			p := f.Payload(0)
			if got := uint16(p[at])<<8 | uint16(p[at+1]); got != want {
				t.Errorf("%v %d: %#04x, want %#04x", codec, id, got, want)
			}
		}
	}
}
