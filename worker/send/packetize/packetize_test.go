package packetize_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// noise returns n bytes without the pattern of a start code.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + r.IntN(255))
	}
	return b
}

// h264Picture is a slice of n bytes: IDR with parameter sets before it, or not.
func h264Picture(n int, key bool) []byte {
	if !key {
		return append([]byte{0, 0, 0, 1, 0x41}, noise(n-1)...)
	}
	b := []byte{0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0, 1, 0x65}
	return append(b, noise(n-1)...)
}

// vp8Picture is a frame of n bytes with a valid header.
func vp8Picture(n int, key bool) []byte {
	b := noise(n)
	if key {
		copy(b, []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 1, 240, 0})
	} else {
		copy(b, []byte{0x11, 0, 0})
	}
	return b
}

// vp9Picture is a frame of n bytes with a valid header: 320x240, profile 0.
func vp9Picture(n int, key bool) []byte {
	b := noise(n)
	if key {
		// 10 0 0 0 0 1 0: marker, profile, no repetition, key, shown; sync code; then
		// colour space 2 (BT.709), studio range, 319, 239.
		copy(b, []byte{0x82, 0x49, 0x83, 0x42, 0x40 | 319>>12, 319 >> 4 & 0xff, 319 & 15 << 4, 239 >> 4, 239 & 15 << 4})
	} else {
		copy(b, []byte{0x86})
	}
	return b
}

// av1Picture is a temporal unit with one frame of n bytes: delimiter, for a key
// frame a sequence header, frame.
func av1Picture(n int, key bool) []byte {
	b := obuBytes(2, nil)
	frame := noise(n)
	frame[0] = 0x30 // inter frame, shown
	if key {
		b = append(b, obuBytes(1, []byte{0, 0, 0, 0x4a, 0xab, 0xbf})...)
		frame[0] = 0x10
	}
	return append(b, obuBytes(6, frame)...)
}

// obuBytes is a unit with its size.
func obuBytes(kind byte, payload []byte) []byte {
	b := []byte{kind<<3 | 2}
	n := len(payload)
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	b = append(b, byte(n))
	return append(b, payload...)
}

// picture returns about n bytes of any codec that Split takes.
func picture(codec packetize.Codec, n int, key bool) []byte {
	switch codec {
	case packetize.H264:
		return h264Picture(n, key)
	case packetize.VP8:
		return vp8Picture(n, key)
	case packetize.VP9:
		return vp9Picture(n, key)
	case packetize.AV1:
		return av1Picture(n, key)
	default:
		return noise(n)
	}
}

func videoCodecs() []packetize.Codec {
	return []packetize.Codec{packetize.H264, packetize.VP8, packetize.VP9, packetize.AV1}
}

func split(t *testing.T, codec packetize.Codec, data []byte, limit int) *packetize.Frame {
	t.Helper()
	var f packetize.Frame
	if err := f.Split(codec, data, limit, 0x1234); err != nil {
		t.Fatal(err)
	}
	return &f
}

// wantPayloads compares a frame with payloads byte by byte.
func wantPayloads(t *testing.T, f *packetize.Frame, want ...[]byte) {
	t.Helper()
	if f.Len() != len(want) {
		t.Fatalf("%d payloads, want %d", f.Len(), len(want))
	}
	for i, w := range want {
		if !bytes.Equal(f.Payload(i), w) {
			t.Errorf("payload %d is\n%x, want\n%x", i, f.Payload(i), w)
		}
	}
}

func TestErrors(t *testing.T) {
	var f packetize.Frame
	for name, c := range map[string]struct {
		codec packetize.Codec
		data  []byte
		limit int
		want  error
	}{
		"no data":                {packetize.H264, nil, 1200, packetize.ErrEmpty},
		"no sound":               {packetize.Opus, []byte{}, 1200, packetize.ErrEmpty},
		"no codec":               {0, []byte{1}, 1200, packetize.ErrCodec},
		"another codec":          {packetize.Opus + 1, []byte{1}, 1200, packetize.ErrCodec},
		"limit too small":        {packetize.VP8, vp8Picture(99, true), packetize.MinLimit - 1, packetize.ErrLimit},
		"limit negative":         {packetize.VP8, vp8Picture(99, true), -1, packetize.ErrLimit},
		"limit too large":        {packetize.VP8, vp8Picture(99, true), packetize.MaxLimit + 1, packetize.ErrLimit},
		"picture too large":      {packetize.VP8, vp8Picture(packetize.MaxData+1, true), 1200, packetize.ErrTooLarge},
		"sound too large":        {packetize.Opus, noise(1201), 1200, packetize.ErrTooLarge},
		"H.264, only delimiters": {packetize.H264, []byte{0, 0, 1, 9, 0x10, 0, 0, 1, 12, 0xff, 0x80}, 1200, packetize.ErrEmpty},
		"H.264, only codes":      {packetize.H264, []byte{0, 0, 1, 0, 0, 1, 0, 0, 0}, 1200, packetize.ErrEmpty},
		"H.264, no start code":   {packetize.H264, []byte{0, 0, 2, 0x65, 1}, 1200, packetize.ErrMalformed},
		"H.264, bytes before":    {packetize.H264, []byte{7, 0, 0, 1, 0x65, 1}, 1200, packetize.ErrMalformed},
		"H.264, forbidden bit":   {packetize.H264, []byte{0, 0, 1, 0xe5, 1}, 1200, packetize.ErrMalformed},
		"H.264, unit type 0":     {packetize.H264, []byte{0, 0, 1, 0x60, 1}, 1200, packetize.ErrMalformed},
		"H.264, type of a STAP":  {packetize.H264, []byte{0, 0, 1, 0x78, 1}, 1200, packetize.ErrMalformed},
		"H.264, bad second unit": {packetize.H264, append(h264Picture(5000, true), 0, 0, 1, 0x7c), 1200, packetize.ErrMalformed},
		"VP8, tag cut short":     {packetize.VP8, []byte{0x11, 0}, 1200, packetize.ErrMalformed},
		"VP8, key cut short":     {packetize.VP8, []byte{0x10, 0, 0, 0x9d, 1, 0x2a, 1, 1, 1}, 1200, packetize.ErrMalformed},
		"VP8, no start code":     {packetize.VP8, []byte{0x10, 0, 0, 0x9d, 1, 0x2b, 1, 1, 1, 1}, 1200, packetize.ErrMalformed},
		"VP8, long partition":    {packetize.VP8, []byte{0x11 | 2<<5, 0, 0, 1}, 1200, packetize.ErrMalformed},
		"VP9, frame marker":      {packetize.VP9, []byte{0x46, 0}, 1200, packetize.ErrMalformed},
		"VP9, reserved profile":  {packetize.VP9, []byte{0xb8, 0}, 1200, packetize.ErrMalformed},
		"VP9, no sync code":      {packetize.VP9, append([]byte{0x82, 0x49, 0x83, 0x43}, noise(20)...), 1200, packetize.ErrMalformed},
		"VP9, key cut short":     {packetize.VP9, vp9Picture(9, true)[:8], 1200, packetize.ErrMalformed},
		"VP9, RGB in profile 0":  {packetize.VP9, append([]byte{0x82, 0x49, 0x83, 0x42, 0xe0}, noise(20)...), 1200, packetize.ErrMalformed},
		"VP9, 65536 wide":        {packetize.VP9, []byte{0x82, 0x49, 0x83, 0x42, 0x4f, 0xff, 0xf0, 0, 0, 0, 0}, 1200, packetize.ErrMalformed},
		"VP9, 65536 high":        {packetize.VP9, []byte{0x82, 0x49, 0x83, 0x42, 0x40, 0, 0xff, 0xff, 0xf0, 0, 0}, 1200, packetize.ErrMalformed},
		"AV1, only delimiter":    {packetize.AV1, obuBytes(2, nil), 1200, packetize.ErrEmpty},
		"AV1, only padding":      {packetize.AV1, append(obuBytes(15, noise(5)), obuBytes(8, nil)...), 1200, packetize.ErrEmpty},
		"AV1, forbidden bit":     {packetize.AV1, []byte{0xb2, 0}, 1200, packetize.ErrMalformed},
		"AV1, no extension":      {packetize.AV1, []byte{0x36}, 1200, packetize.ErrMalformed},
		"AV1, no size":           {packetize.AV1, []byte{0x32}, 1200, packetize.ErrMalformed},
		"AV1, endless size":      {packetize.AV1, bytes.Repeat([]byte{0x92}, 12), 1200, packetize.ErrMalformed},
		"AV1, size too large":    {packetize.AV1, []byte{0x32, 3, 1, 2}, 1200, packetize.ErrMalformed},
		"AV1, second unit short": {packetize.AV1, append(av1Picture(5000, true), 0x32, 1), 1200, packetize.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if err := f.Split(packetize.VP8, vp8Picture(5000, true), 1200, 1); err != nil {
				t.Fatal(err)
			}
			if err := f.Split(c.codec, c.data, c.limit, 1); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if f.Len() != 0 {
				t.Errorf("%d payloads are left", f.Len())
			}
		})
	}
}

func TestCodecString(t *testing.T) {
	for codec, want := range map[packetize.Codec]string{
		0: "Codec(0)", packetize.H264: "H264", packetize.VP8: "VP8", packetize.VP9: "VP9",
		packetize.AV1: "AV1", packetize.Opus: "opus", 99: "Codec(99)",
	} {
		if got := codec.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestEqual says that the pieces of a picture have one size, that only the last is
// shorter, that none could be smaller with as many pieces, and that there are no
// more than the limit asks for. For H.264 that holds behind the parameter sets.
func TestEqual(t *testing.T) {
	overhead := map[packetize.Codec]int{packetize.H264: 2, packetize.VP8: 4, packetize.VP9: 3, packetize.AV1: 1}
	for _, codec := range videoCodecs() {
		for _, key := range []bool{false, true} {
			for _, limit := range []int{packetize.MinLimit, 600, 1200} {
				for n := 20; n < 9000; n = n*5/4 + 1 {
					f := split(t, codec, picture(codec, n, key), limit)
					all := payloads(f)
					if codec == packetize.H264 && key && len(all) > 1 {
						all = all[1:] // STAP-A
					}
					total := 0
					for i, p := range all {
						last := i == len(all)-1
						if len(p) > len(all[0]) || !last && len(p) < len(all[0]) {
							t.Fatalf("%v of %d bytes at %d: piece %d of %d has %d bytes, the first %d",
								codec, n, limit, i, len(all), len(p), len(all[0]))
						}
						total += len(p) - overhead[codec]
					}
					room := limit - overhead[codec]
					if pieces := (total + room - 1) / room; len(all) > max(pieces, 1) {
						t.Fatalf("%v of %d bytes at %d: %d pieces, %d would do", codec, n, limit, len(all), pieces)
					}
					if spare := len(all[0]) - len(all[len(all)-1]); spare >= len(all) {
						t.Fatalf("%v of %d bytes at %d: %d pieces, the last has %d bytes less",
							codec, n, limit, len(all), spare)
					}
				}
			}
		}
	}
}

// TestReuse says that a frame forgets what it held, and that it keeps no part of
// the data.
func TestReuse(t *testing.T) {
	var f packetize.Frame
	for i := range 20 {
		for _, codec := range append(videoCodecs(), packetize.Opus) {
			data := picture(codec, 40+i*50, i%3 == 0)
			if err := f.Split(codec, data, 1200, uint16(i)); err != nil {
				t.Fatal(err)
			}
			var fresh packetize.Frame
			if err := fresh.Split(codec, bytes.Clone(data), 1200, uint16(i)); err != nil {
				t.Fatal(err)
			}
			clear(data)
			wantPayloads(t, &f, payloads(&fresh)...)
		}
	}
}

// TestPayloadEnds says that appending to a payload does not reach the next.
func TestPayloadEnds(t *testing.T) {
	f := split(t, packetize.VP8, vp8Picture(3000, true), 1200)
	second := bytes.Clone(f.Payload(1))
	_ = append(f.Payload(0), 1, 2, 3)
	if !bytes.Equal(second, f.Payload(1)) {
		t.Error("a payload's capacity reaches into the next")
	}
}

// TestLargest cuts the largest pictures at the smallest limit: what they become
// fits into the range of sequence numbers.
func TestLargest(t *testing.T) {
	for _, codec := range videoCodecs() {
		data := picture(codec, packetize.MaxData-64, true)
		if f := split(t, codec, data, packetize.MinLimit); f.Len() < 30_000 || f.Len() > 1<<16 {
			t.Errorf("%v: %d payloads", codec, f.Len())
		}
	}
}
