package codectest

import (
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"testing"
)

// Parameter sets of known encoders.
const (
	chromiumSPS  = "6742c01f8c8d40501e900f08846a"                           // libwebrtc with openh264, 640x480
	withEscape   = "674d401fe8802802dd80b5010101400000030040000007a3c60ca8" // 1280x720
	notAnSPS     = "68ce3c80"
	cutShort     = "6764000d"
	endlessZeros = "6742c01f0000000000000000000000000000000000"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseSPS(t *testing.T) {
	tests := []struct {
		name, sps      string
		profile, level byte
		width, height  int
	}{
		{"libwebrtc", chromiumSPS, 66, 31, 640, 480},
		{"escaped zeros", withEscape, 77, 31, 1280, 720},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSPS(unhex(t, tt.sps))
			if err != nil {
				t.Fatal(err)
			}
			if got.Profile != tt.profile || got.Level != tt.level || got.Width != tt.width || got.Height != tt.height {
				t.Errorf("%+v, want profile %d, level %d, %dx%d", got, tt.profile, tt.level, tt.width, tt.height)
			}
		})
	}
}

func TestParseSPSRefuses(t *testing.T) {
	for _, sps := range []string{"", "67", notAnSPS, cutShort, endlessZeros} {
		if got, err := ParseSPS(unhex(t, sps)); !errors.Is(err, ErrSPS) {
			t.Errorf("%q: %+v, %v, want ErrSPS", sps, got, err)
		}
	}
}

func TestSplitAnnexB(t *testing.T) {
	tests := []struct {
		name string
		data []byte
		want [][]byte
	}{
		{"nothing", nil, nil},
		{"no start code", []byte{1, 2, 3}, nil},
		{"short codes", []byte{0, 0, 1, 7, 8, 0, 0, 1, 5}, [][]byte{{7, 8}, {5}}},
		{"long codes", []byte{0, 0, 0, 1, 7, 0, 0, 0, 1, 5}, [][]byte{{7}, {5}}},
		{"zeros inside", []byte{0, 0, 1, 7, 0, 0, 3, 1, 9}, [][]byte{{7, 0, 0, 3, 1, 9}}},
		{"empty units", []byte{0, 0, 1, 0, 0, 1, 0, 0, 1, 6}, [][]byte{{6}}},
		{"junk before", []byte{4, 0, 0, 1, 7}, [][]byte{{7}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := SplitAnnexB(tt.data); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func FuzzParseSPS(f *testing.F) {
	for _, s := range []string{chromiumSPS, withEscape, cutShort, endlessZeros} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, unit := range SplitAnnexB(append([]byte{0, 0, 1}, data...)) {
			_, _ = ParseSPS(unit)
		}
		_, _ = ParseSPS(data)
	})
}

func TestPSNR(t *testing.T) {
	a, b := NewI420(16, 16, 100, 0, 0), NewI420(16, 16, 100, 255, 255)
	if got := PSNR(a, b); !math.IsInf(got, 1) {
		t.Errorf("equal luma: %v dB, want +Inf", got)
	}
	for i := range b.Y {
		b.Y[i] = 101
	}
	if got, want := PSNR(a, b), 48.13; math.Abs(got-want) > 0.01 {
		t.Errorf("one step everywhere: %.2f dB, want %.2f", got, want)
	}
}

func TestPicturesAreWhole(t *testing.T) {
	p := NewI420(18, 34, 1, 2, 3)
	Scene(p, 5)
	Noise(p, 10, 1)
	for name, plane := range map[string]struct {
		data   []byte
		stride int
		w, h   int
	}{"Y": {p.Y, p.StrideY, 18, 34}, "U": {p.U, p.StrideU, 9, 17}, "V": {p.V, p.StrideV, 9, 17}} {
		if plane.stride < plane.w || len(plane.data) != plane.stride*plane.h {
			t.Errorf("%s: %d bytes in rows of %d, want %d rows of at least %d", name, len(plane.data), plane.stride, plane.h, plane.w)
		}
	}
}
