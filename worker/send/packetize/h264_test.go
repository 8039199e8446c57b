package packetize_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestH264(t *testing.T) {
	long := append([]byte{0x65}, noise(300)...)
	sps, pps := []byte{0x67, 0x42, 0xc0}, []byte{0x28, 0xce}
	three, four := []byte{0, 0, 1}, []byte{0, 0, 0, 1}
	const limit = 128 // 300 bytes behind the header: three times 100
	fragments := [][]byte{
		join([]byte{0x7c, 0x85}, long[1:101]),
		join([]byte{0x7c, 0x05}, long[101:201]),
		join([]byte{0x7c, 0x45}, long[201:]),
	}
	stap := join([]byte{0x78, 0, 3}, sps, []byte{0, 2}, pps)
	for name, c := range map[string]struct {
		data []byte
		want [][]byte
	}{
		"one unit":               {join(four, []byte{0x41, 1, 2}), [][]byte{{0x41, 1, 2}}},
		"one byte":               {join(three, []byte{0x41}), [][]byte{{0x41}}},
		"many zeros":             {join([]byte{0, 0, 0}, four, []byte{0x41, 1}, []byte{0, 0, 0, 0}), [][]byte{{0x41, 1}}},
		"parameter sets":         {join(four, sps, three, pps), [][]byte{stap}},
		"start codes mixed":      {join(three, sps, four, pps, three, long), append([][]byte{stap}, fragments...)},
		"delimiter and filler":   {join(four, []byte{9, 0xf0}, four, sps, four, []byte{12, 0xff, 0x80}, four, pps), [][]byte{stap}},
		"fragments":              {join(four, long), fragments},
		"small behind fragments": {join(four, long, three, pps), append(fragments[:3:3], pps)},
		"emptiness between":      {join(four, sps, four, four, pps), [][]byte{stap}},
		"header of the STAP":     {join(four, []byte{0x06, 5}, four, []byte{0x41, 6}), [][]byte{{0x58, 0, 2, 6, 5, 0, 2, 0x41, 6}}},
		"emulation prevention":   {join(four, []byte{0x41, 0, 0, 3, 1, 0, 0, 3}), [][]byte{{0x41, 0, 0, 3, 1, 0, 0, 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			wantPayloads(t, split(t, packetize.H264, c.data, limit), c.want...)
		})
	}
}

// TestH264Edges walks units over the limits at which their form changes.
func TestH264Edges(t *testing.T) {
	const limit = 200
	for _, c := range []struct {
		first, second int    // sizes of units
		want          []int  // sizes of payloads
		head          []byte // their types
	}{
		{97, 98, []int{200}, []byte{24}}, // 1 + 2 + 97 + 2 + 98
		{98, 98, []int{98, 98}, []byte{1, 1}},
		{200, 1, []int{200, 1}, []byte{1, 1}},
		{1, 200, []int{1, 200}, []byte{1, 1}},
		{201, 1, []int{102, 102, 1}, []byte{28, 28, 1}},
		{1, 202, []int{1, 103, 102}, []byte{1, 28, 28}},
		{397, 397, []int{200, 200, 200, 200}, []byte{28, 28, 28, 28}}, // 1 + 2*198
		{398, 10, []int{135, 135, 133, 10}, []byte{28, 28, 28, 1}},
	} {
		one, two := noise(c.first), noise(c.second)
		one[0], two[0] = 0x41, 0x41
		f := split(t, packetize.H264, join([]byte{0, 0, 1}, one, []byte{0, 0, 0, 1}, two), limit)
		var sizes []int
		var heads []byte
		for _, p := range payloads(f) {
			sizes, heads = append(sizes, len(p)), append(heads, p[0]&31)
		}
		if !slices.Equal(sizes, c.want) || !bytes.Equal(heads, c.head) {
			t.Errorf("%d and %d bytes become %v of types %v, want %v of %v", c.first, c.second, sizes, heads, c.want, c.head)
		}
	}
}
