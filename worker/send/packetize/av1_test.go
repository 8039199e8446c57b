package packetize_test

import (
	"bytes"
	"testing"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/packetizetest"
)

func TestAV1(t *testing.T) {
	delimiter := obuBytes(2, nil)
	sequence := []byte{0, 0, 0, 0x4a}
	key := append([]byte{0x10}, noise(9)...)
	inter := append([]byte{0x30}, noise(9)...)
	long := append([]byte{0x30}, noise(297)...)
	element := func(kind byte, payload []byte) []byte { return append([]byte{kind << 3}, payload...) }
	small := []byte{9}
	for name, c := range map[string]struct {
		data []byte
		want [][]byte
	}{
		"inter frame": {
			join(delimiter, obuBytes(6, inter)),
			[][]byte{join([]byte{0x10}, element(6, inter))},
		},
		"key frame": {
			join(delimiter, obuBytes(1, sequence), obuBytes(6, key)),
			[][]byte{join([]byte{0x28, 5}, element(1, sequence), element(6, key))},
		},
		"key frame not shown": {
			join(delimiter, obuBytes(1, sequence), obuBytes(6, []byte{0, 1, 2})),
			[][]byte{join([]byte{0x20, 5}, element(1, sequence), element(6, []byte{0, 1, 2}))},
		},
		"key frame repeated": {
			join(delimiter, obuBytes(1, sequence), obuBytes(3, []byte{0x80})),
			[][]byte{join([]byte{0x20, 5}, element(1, sequence), element(3, []byte{0x80}))},
		},
		"key frame behind another": {
			join(obuBytes(1, sequence), obuBytes(6, inter), obuBytes(6, key)),
			[][]byte{join([]byte{0x30, 5}, element(1, sequence), []byte{11}, element(6, inter), element(6, key))},
		},
		"key frame without sequence header": {
			join(delimiter, obuBytes(6, key)),
			[][]byte{join([]byte{0x10}, element(6, key))},
		},
		"still picture": {
			join(delimiter, obuBytes(1, []byte{0x18, 0}), obuBytes(6, []byte{0xff})),
			[][]byte{join([]byte{0x28, 3}, element(1, []byte{0x18, 0}), element(6, []byte{0xff}))},
		},
		"frame header and tiles": {
			join(delimiter, obuBytes(1, sequence), obuBytes(3, key), obuBytes(4, small)),
			[][]byte{join([]byte{0x38, 5}, element(1, sequence), []byte{11}, element(3, key), element(4, small))},
		},
		"four elements": {
			join(obuBytes(3, inter), obuBytes(4, small), obuBytes(4, small), obuBytes(4, small)),
			[][]byte{join([]byte{0x00, 11}, element(3, inter), []byte{2, 32, 9, 2, 32, 9, 2, 32, 9})},
		},
		"dropped between": {
			join(delimiter, obuBytes(15, noise(30)), obuBytes(6, inter), obuBytes(8, noise(7)), obuBytes(15, nil)),
			[][]byte{join([]byte{0x10}, element(6, inter))},
		},
		"extension": {
			join([]byte{0x36, 0x48, 2}, []byte{0x30, 1}),
			[][]byte{{0x10, 0x34, 0x48, 0x30, 1}},
		},
		"no size field": {
			join(delimiter, element(6, inter)),
			[][]byte{join([]byte{0x10}, element(6, inter))},
		},
		"long form of a size": {
			join([]byte{0x32, 0x8a, 0x80, 0x00}, inter),
			[][]byte{join([]byte{0x10}, element(6, inter))},
		},
		// 299 bytes at 127 a packet: 100, 100, 99.
		"fragments": {
			join(delimiter, obuBytes(6, long)),
			[][]byte{
				join([]byte{0x50}, element(6, long)[:100]),
				join([]byte{0xd0}, element(6, long)[100:200]),
				join([]byte{0x90}, element(6, long)[200:]),
			},
		},
		// 1 + 5 + 299 bytes: 102, 102, 101.
		"fragments of a key frame": {
			join(delimiter, obuBytes(1, sequence), obuBytes(6, long)),
			[][]byte{
				join([]byte{0x60, 5}, element(1, sequence), element(6, long)[:96]),
				join([]byte{0xd0}, element(6, long)[96:198]),
				join([]byte{0x90}, element(6, long)[198:]),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			wantPayloads(t, split(t, packetize.AV1, c.data, 128), c.want...)
		})
	}
}

// TestAV1Layouts walks units of all sizes around the limits of payloads and of
// the one-octet size, in all numbers that change the layout: what comes back is
// what went in, no payload exceeds the limit, and all but the last are full as
// far as sizes allow.
func TestAV1Layouts(t *testing.T) {
	for _, limit := range []int{140, 400} {
		for units := 1; units <= 16; units++ {
			for size := 1; size < 300; size++ {
				testAV1Layout(t, limit, units, size)
			}
		}
	}
}

func testAV1Layout(t *testing.T, limit, units, size int) {
	t.Helper()
	var data []byte
	for i := range units {
		n := size
		if i%4 > 0 {
			n = 1 + (size+i)%7
		}
		data = append(data, obuBytes(6, noise(n))...)
	}
	f := split(t, packetize.AV1, data, limit)
	got, err := packetizetest.Join(packetize.AV1, payloads(f))
	if err != nil {
		t.Fatalf("%d units of %d: %v", units, size, err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("%d units of %d bytes come back otherwise", units, size)
	}
	full := (len(data) + limit - 1) / limit // fewer payloads than that are impossible
	if f.Len() > full+1 {
		t.Fatalf("%d units of %d bytes, %d in all, become %d payloads", units, size, len(data), f.Len())
	}
	for i := range f.Len() {
		n := len(f.Payload(i))
		if n > limit || i < f.Len()-1 && n < len(f.Payload(0))-2 {
			t.Fatalf("%d units of %d bytes at %d: payload %d of %d has %d bytes, the first %d",
				units, size, limit, i, f.Len(), n, len(f.Payload(0)))
		}
	}
}
