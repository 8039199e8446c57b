package h264

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/media/codectest"
)

// need skips a test whose codec library is not there.
func need(t testing.TB, library string) {
	t.Helper()
	if err := Probe(library); err != nil {
		t.Skip("SKIPPED:", err)
	}
}

func config(library string) media.VideoConfig {
	return media.VideoConfig{Width: 256, Height: 240, FPS: 60.0988, Library: library}
}

func TestX264(t *testing.T) {
	need(t, LibraryX264)
	codectest.Run(t, codectest.Suite{
		Open:   Open,
		Config: config(LibraryX264),
		Profiles: []codectest.Profile{
			{Name: "baseline", Ask: media.ProfileBaseline, Profile: 66, Constraints: 0x40},
			{Name: "main", Ask: media.ProfileMain, Profile: 77},
			{Name: "high", Ask: media.ProfileHigh, Profile: 100},
		},
		MinPSNR:      35,
		MaxSceneRate: 2_000_000,
	})
}

func TestOpenH264(t *testing.T) {
	need(t, LibraryOpenH264)
	codectest.Run(t, codectest.Suite{
		Open:   Open,
		Config: config(LibraryOpenH264),
		Profiles: []codectest.Profile{
			{Name: "baseline", Ask: media.ProfileBaseline, Profile: 66, Constraints: 0x40},
			{Name: "high", Ask: media.ProfileHigh, Profile: 66, Constraints: 0x40},
		},
		MinPSNR:      33,
		MaxSceneRate: 4_000_000,
	})
}

func TestAutoTakesTheFirst(t *testing.T) {
	present := Libraries()
	if len(present) == 0 {
		t.Skip("SKIPPED: neither x264 nor openh264 can be loaded")
	}
	for _, name := range []string{"", LibraryAuto} {
		e, err := open(config(name))
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if e.Library() != present[0] {
			t.Errorf("%q opened %s, want %s", name, e.Library(), present[0])
		}
	}
}

// Encoders of both libraries work side by side and make what each makes alone.
func TestEncodersAreIndependent(t *testing.T) {
	present := Libraries()
	if len(present) == 0 {
		t.Skip("SKIPPED: neither x264 nor openh264 can be loaded")
	}
	encode := func(library string) ([]byte, error) {
		e, err := Open(config(library))
		if err != nil {
			return nil, err
		}
		defer e.Close()
		var stream []byte
		pic := codectest.NewI420(256, 240, 0, 128, 128)
		for n := 0; n < 40 && err == nil; n++ {
			codectest.Scene(pic, n)
			stream, _, err = e.Encode(stream, pic, n == 20)
		}
		return stream, err
	}
	type result struct {
		library string
		stream  []byte
		err     error
	}
	const each = 3
	results := make(chan result, each*len(present))
	for _, library := range present {
		for range each {
			go func() {
				stream, err := encode(library)
				results <- result{library, stream, err}
			}()
		}
	}
	first := map[string][]byte{}
	for range each * len(present) {
		r := <-results
		if r.err != nil {
			t.Fatal(r.err)
		}
		if first[r.library] == nil {
			first[r.library] = r.stream
		}
		if !bytes.Equal(first[r.library], r.stream) {
			t.Errorf("%s: two streams of the same pictures differ", r.library)
		}
	}
}

func TestProbe(t *testing.T) {
	if err := Probe("libx265"); !errors.Is(err, ErrConfig) {
		t.Errorf("unknown library: %v, want ErrConfig", err)
	}
	for _, name := range candidates(LibraryAuto) {
		err := Probe(name)
		if err != nil && (!errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), name)) {
			t.Errorf("%s: %v, want ErrUnavailable with the name", name, err)
		}
	}
}

func TestComplete(t *testing.T) {
	cfg, err := complete(config(""))
	if err != nil || cfg.CRF != DefaultCRF || cfg.MaxBitrate != DefaultMaxBitrate {
		t.Errorf("complete = %+v, %v, want the defaults", cfg, err)
	}
	bad := config("")
	bad.CRF = math.Inf(1)
	if _, err := complete(bad); !errors.Is(err, ErrConfig) {
		t.Errorf("CRF +Inf: %v, want ErrConfig", err)
	}
}

func TestErrorsAreKinds(t *testing.T) {
	e := &Encoder{width: 16, height: 16}
	if _, _, err := e.Encode(nil, nil, false); !errors.Is(err, ErrClosed) {
		t.Errorf("Encode of a closed encoder: %v", err)
	}
	if _, err := Open(media.VideoConfig{}); !errors.Is(err, ErrConfig) {
		t.Errorf("Open of nothing: %v", err)
	}
}

// Times of one thread for the picture of a NES that scrolls.
func BenchmarkEncode(b *testing.B) {
	profiles := []struct {
		name    string
		profile media.Profile
	}{{"baseline", media.ProfileBaseline}, {"main", media.ProfileMain}, {"high", media.ProfileHigh}}
	for _, library := range []string{LibraryX264, LibraryOpenH264} {
		for _, p := range profiles {
			for scale := 1; scale <= 2; scale++ {
				b.Run(fmt.Sprintf("%s/%s/%dx", library, p.name, scale), func(b *testing.B) {
					need(b, library)
					cfg := config(library)
					cfg.Profile = p.profile
					benchmarkEncode(b, cfg, scale)
				})
				if library == LibraryOpenH264 && scale == 2 {
					return // it has one profile
				}
			}
		}
	}
}

func benchmarkEncode(b *testing.B, cfg media.VideoConfig, scale int) {
	var scene []*media.I420
	for n := range 120 {
		pic := codectest.NewI420(cfg.Width, cfg.Height, 0, 128, 128)
		codectest.Scene(pic, n)
		scene = append(scene, enlarge(pic, scale))
	}
	cfg.Width, cfg.Height = scene[0].Width, scene[0].Height
	e, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	var dst []byte
	size := 0
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if dst, _, err = e.Encode(dst[:0], scene[i%len(scene)], false); err != nil {
			b.Fatal(err)
		}
		size += len(dst)
		i++
	}
	b.ReportMetric(float64(size)*8*cfg.FPS/float64(i)/1000, "kbit/s")
}

// enlarge repeats each sample of a picture.
func enlarge(p *media.I420, scale int) *media.I420 {
	out := codectest.NewI420(p.Width*scale, p.Height*scale, 0, 0, 0)
	plane := func(dst, src []byte, dstStride, srcStride, w, h int) {
		for y := range h {
			for x := range w {
				dst[y*dstStride+x] = src[y/scale*srcStride+x/scale]
			}
		}
	}
	plane(out.Y, p.Y, out.StrideY, p.StrideY, out.Width, out.Height)
	plane(out.U, p.U, out.StrideU, p.StrideU, out.Width/2, out.Height/2)
	plane(out.V, p.V, out.StrideV, p.StrideV, out.Width/2, out.Height/2)
	return out
}
