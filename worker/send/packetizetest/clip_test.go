package packetizetest_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/packetizetest"
)

func smallClip(codec packetize.Codec) packetizetest.Clip {
	return packetizetest.Clip{
		Codec: codec, Width: 320, Height: 240, Rate: 60,
		Pictures: [][]byte{{1, 2, 3}, {4}, bytes.Repeat([]byte{5}, 1000)},
	}
}

func TestIVF(t *testing.T) {
	for _, codec := range []packetize.Codec{packetize.VP8, packetize.VP9, packetize.AV1} {
		want := smallClip(codec)
		got, err := packetizetest.ReadIVF(bytes.NewReader(want.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %+v, want %+v", codec, got, want)
		}
	}
	empty := packetizetest.Clip{Codec: packetize.VP8, Rate: 1}
	if got, err := packetizetest.ReadIVF(bytes.NewReader(empty.Bytes())); err != nil || !reflect.DeepEqual(got, empty) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestIVFRefuses(t *testing.T) {
	good := smallClip(packetize.VP9).Bytes()
	with := func(at int, b ...byte) []byte {
		bad := bytes.Clone(good)
		copy(bad[at:], b)
		return bad
	}
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":              {nil, io.EOF},
		"half a header":        {good[:20], io.ErrUnexpectedEOF},
		"another container":    {with(0, []byte("RIFF")...), packetizetest.ErrClip},
		"short header":         {with(6, 31), packetizetest.ErrClip},
		"header past the end":  {with(6, 0xff, 0xff), io.EOF},
		"another codec":        {with(8, []byte("H264")...), packetizetest.ErrClip},
		"half a picture":       {good[:len(good)-1], io.ErrUnexpectedEOF},
		"half a picture head":  {good[:32+5], io.ErrUnexpectedEOF},
		"picture of gigabytes": {with(32, 0xff, 0xff, 0xff, 0xff), packetizetest.ErrClip},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := packetizetest.ReadIVF(bytes.NewReader(c.data)); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

func FuzzReadIVF(f *testing.F) {
	f.Add(smallClip(packetize.VP8).Bytes())
	f.Add([]byte("DKIF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		clip, err := packetizetest.ReadIVF(bytes.NewReader(data))
		if err != nil {
			return
		}
		again, err := packetizetest.ReadIVF(bytes.NewReader(clip.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(clip.Pictures, again.Pictures) || clip.Codec != again.Codec {
			t.Error("written and read again, it is another")
		}
	})
}

// TestSplitAnnexB tells access units apart by each of the rules.
func TestSplitAnnexB(t *testing.T) {
	const first, later = 0x80, 0x40 // of a slice: first_mb_in_slice is 0, or not
	unit := func(kind byte, rest ...byte) []byte { return append([]byte{0, 0, 0, 1, kind}, rest...) }
	idr, slice := unit(0x65, first, 1), unit(0x41, first, 2)
	for name, want := range map[string][][]byte{
		"one":    {idr},
		"slices": {idr, slice, slice},
		"more slices": {
			join(idr, unit(0x65, later)), join(slice, unit(0x41, later), unit(0x41, later)), slice,
		},
		"parameter sets": {join(unit(0x67, 1), unit(0x68, 2), idr), slice, join(unit(0x67, 1), unit(0x68, 2), unit(6, 3), idr)},
		"delimiters":     {join(unit(9, 0xf0), slice), join(unit(9, 0xf0), slice, unit(12, 0xff)), join(unit(9, 0xf0), idr)},
		"short codes":    {idr, {0, 0, 1, 0x41, first}, join([]byte{0, 0, 1, 0x41, first}, []byte{0, 0, 1, 0x41, later})},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := packetizetest.SplitAnnexB(join(want...))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%x, %v, want %x", got, err, want)
			}
		})
	}
	for _, data := range [][]byte{nil, {1, 2, 3}, {0, 0, 1}, {0, 0, 1, 0, 0, 1, 0}} {
		if _, err := packetizetest.SplitAnnexB(data); !errors.Is(err, packetizetest.ErrClip) {
			t.Errorf("%x: %v", data, err)
		}
	}
}

func FuzzSplitAnnexB(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 0x80, 0, 0, 0, 0, 1, 0x41, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		pictures, err := packetizetest.SplitAnnexB(data)
		if err != nil {
			return
		}
		if !bytes.Equal(join(pictures...), data) {
			t.Error("the pictures are not the stream")
		}
		var units [][]byte
		for _, p := range pictures {
			units = append(units, packetizetest.Units(p)...)
		}
		if !reflect.DeepEqual(units, packetizetest.Units(data)) {
			t.Error("the pictures do not have the units of the stream")
		}
	})
}

func TestSums(t *testing.T) {
	got := packetizetest.Sums([]byte("#format: frame checksums\n#0, 1\n0,          0,   0, 1,  115200, aa\n0, 1, 1, 1, 115200, bb\n"))
	if !reflect.DeepEqual(got, []string{"aa", "bb"}) {
		t.Errorf("%q", got)
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
