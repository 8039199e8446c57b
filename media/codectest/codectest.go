// Package codectest holds every video encoder to the same contract: one access
// unit out for one picture in, key frames on demand and nowhere else, parameter
// sets with each of them, no reordering, a stream that another decoder (ffmpeg)
// turns into the pictures that went in, and a ceiling on the bitrate.
//
// It is used by tests only.
package codectest

import (
	"errors"
	"math"
	"testing"

	"github.com/cloudretro/cloudretro/media"
)

// Suite is an encoder under test.
type Suite struct {
	Open     func(media.VideoConfig) (media.VideoEncoder, error)
	Config   media.VideoConfig // Width, Height, FPS and Library; the tests set the rest
	Profiles []Profile         // each is tested
	MinPSNR  float64           // dB, luma, worst picture of Scene
	// MaxSceneRate bounds bit/s of Scene, so that a broken prediction is seen.
	MaxSceneRate int
}

// Profile is one profile to ask for and what must then stand in the SPS.
type Profile struct {
	Name        string
	Ask         media.Profile
	Profile     byte // profile_idc
	Constraints byte // constraint bits that must be set
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	for _, p := range s.Profiles {
		t.Run(p.Name, func(t *testing.T) {
			s := s
			s.Config.Profile = p.Ask
			t.Run("Stream", func(t *testing.T) { s.testStream(t, p) })
			t.Run("Decodes", s.testDecodes)
			t.Run("Ceiling", s.testCeiling)
		})
	}
	t.Run("Sizes", s.testSizes)
	t.Run("BadConfig", s.testBadConfig)
	t.Run("BadPicture", s.testBadPicture)
	t.Run("Close", s.testClose)
	t.Run("Allocs", s.testAllocs)
}

func (s *Suite) open(t *testing.T, cfg media.VideoConfig) media.VideoEncoder {
	t.Helper()
	e, err := s.Open(cfg)
	if err != nil {
		t.Fatalf("Open(%+v): %v", cfg, err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

// testStream looks at the shape of each access unit.
func (s *Suite) testStream(t *testing.T, p Profile) {
	e := s.open(t, s.Config)
	pic := NewI420(s.Config.Width, s.Config.Height, 0, 128, 128)
	asked := map[int]bool{0: false, 7: true, 8: true, 90: true} // two in a row, too
	for n := range 100 {
		Scene(pic, n)
		if n >= 60 && n < 64 { // a hard cut is no reason for a key frame
			Noise(pic, 200, uint64(n))
		}
		data, key, err := e.Encode(nil, pic, asked[n])
		if err != nil {
			t.Fatalf("picture %d: %v", n, err)
		}
		if _, want := asked[n]; key != want {
			t.Fatalf("picture %d: key = %v, want %v", n, key, want)
		}
		checkUnit(t, n, data, key)
		if key {
			checkSPS(t, SplitAnnexB(data)[0], s.Config, p)
		}
	}
}

// checkUnit checks that data is one access unit of one picture.
func checkUnit(t *testing.T, n int, data []byte, key bool) {
	t.Helper()
	var types []int
	for _, unit := range SplitAnnexB(data) {
		types = append(types, int(unit[0]&31))
	}
	want := []int{NALSlice}
	if key {
		want = []int{NALSPS, NALPPS, NALIDR}
	}
	if len(types) != len(want) {
		t.Fatalf("picture %d: NAL unit types %v, want %v", n, types, want)
	}
	for i := range want {
		if types[i] != want[i] {
			t.Fatalf("picture %d: NAL unit types %v, want %v", n, types, want)
		}
	}
}

func checkSPS(t *testing.T, unit []byte, cfg media.VideoConfig, p Profile) {
	t.Helper()
	sps, err := ParseSPS(unit)
	if err != nil {
		t.Fatalf("SPS % x: %v", unit, err)
	}
	if sps.Profile != p.Profile || sps.Constraints&p.Constraints != p.Constraints {
		t.Errorf("profile %d, constraints %02x, want %d, %02x", sps.Profile, sps.Constraints, p.Profile, p.Constraints)
	}
	if sps.Width != cfg.Width || sps.Height != cfg.Height || sps.Interlaced {
		t.Errorf("size %dx%d, interlaced %v, want %dx%d", sps.Width, sps.Height, sps.Interlaced, cfg.Width, cfg.Height)
	}
	if sps.RefFrames != 1 || !sps.Restriction || sps.ReorderFrames != 0 || sps.DPBFrames > 1 {
		t.Errorf("the decoder may wait: %+v", sps)
	}
	if sps.FullRange || sps.Primaries != 1 || sps.Transfer != 13 || sps.Matrix != 6 {
		t.Errorf("colours: %+v, want sRGB by BT.601, limited", sps)
	}
}

// testDecodes compares what ffmpeg makes of the stream with what went in.
func (s *Suite) testDecodes(t *testing.T) {
	e := s.open(t, s.Config)
	const pictures = 90
	var stream []byte
	var in []*media.I420
	for n := range pictures {
		pic := NewI420(s.Config.Width, s.Config.Height, 0, 128, 128)
		Scene(pic, n)
		in = append(in, pic)
		var err error
		if stream, _, err = e.Encode(stream, pic, n == 40); err != nil {
			t.Fatalf("picture %d: %v", n, err)
		}
	}
	rate := int(float64(len(stream)) * 8 * s.Config.FPS / pictures)
	if s.MaxSceneRate > 0 && rate > s.MaxSceneRate {
		t.Errorf("%d bit/s, want at most %d", rate, s.MaxSceneRate)
	}
	out := Decode(t, stream, s.Config.Width, s.Config.Height)
	if len(out) != pictures {
		t.Fatalf("%d pictures out of %d", len(out), pictures)
	}
	worst := math.Inf(1)
	for n := range in {
		worst = min(worst, PSNR(in[n], out[n]))
	}
	t.Logf("%d kbit/s, worst PSNR %.1f dB", rate/1000, worst)
	if worst < s.MinPSNR {
		t.Errorf("worst PSNR %.1f dB, want %.1f", worst, s.MinPSNR)
	}
}

// testCeiling feeds noise, which takes whatever rate there is.
func (s *Suite) testCeiling(t *testing.T) {
	cfg := s.Config
	cfg.MaxBitrate = 3_000_000
	e := s.open(t, cfg)
	pic := NewI420(cfg.Width, cfg.Height, 0, 128, 128)
	seconds := func(n int) (bps int) {
		size := 0
		for i := range n * int(cfg.FPS) {
			Noise(pic, 160, uint64(i))
			data, _, err := e.Encode(nil, pic, false)
			if err != nil {
				t.Fatal(err)
			}
			size += len(data)
		}
		return size * 8 / n
	}
	for _, ceiling := range []int{3_000_000, 1_000_000, 6_000_000} {
		if err := e.SetMaxBitrate(ceiling); err != nil {
			t.Fatalf("SetMaxBitrate(%d): %v", ceiling, err)
		}
		seconds(1) // to settle
		got := seconds(2)
		t.Logf("ceiling %d, got %d bit/s", ceiling, got)
		if got > ceiling*13/10 || got < ceiling/2 {
			t.Errorf("%d bit/s under a ceiling of %d", got, ceiling)
		}
	}
	for _, bad := range []int{-1, 0, 1, math.MaxInt} {
		if err := e.SetMaxBitrate(bad); err == nil {
			t.Errorf("SetMaxBitrate(%d) = nil", bad)
		}
	}
}

// testSizes opens the sizes of real consoles, and the limits.
func (s *Suite) testSizes(t *testing.T) {
	for _, size := range [][2]int{{160, 144}, {240, 160}, {256, 224}, {384, 224}, {320, 288}, {512, 480}, {1280, 1024}, {1024, 1280}, {media.MaxWidth, media.MaxHeight}, {16, 16}, {18, 34}} {
		cfg := s.Config
		cfg.Width, cfg.Height = size[0], size[1]
		e := s.open(t, cfg)
		pic := NewI420(cfg.Width, cfg.Height, 0, 128, 128)
		for n := range 2 {
			if cfg.Width*cfg.Height <= 512*480 { // painting takes longer than encoding
				Scene(pic, n)
			}
			data, key, err := e.Encode(nil, pic, false)
			if err != nil || key != (n == 0) {
				t.Fatalf("%v: picture %d: key %v, %v", size, n, key, err)
			}
			checkUnit(t, n, data, key)
		}
	}
}

func (s *Suite) testBadConfig(t *testing.T) {
	tests := map[string]func(*media.VideoConfig){
		"no size":         func(c *media.VideoConfig) { c.Width, c.Height = 0, 0 },
		"negative":        func(c *media.VideoConfig) { c.Width = -256 },
		"odd width":       func(c *media.VideoConfig) { c.Width++ },
		"odd height":      func(c *media.VideoConfig) { c.Height++ },
		"huge":            func(c *media.VideoConfig) { c.Width = 1 << 30 },
		"too small":       func(c *media.VideoConfig) { c.Width = 2 },
		"no rate":         func(c *media.VideoConfig) { c.FPS = 0 },
		"NaN rate":        func(c *media.VideoConfig) { c.FPS = math.NaN() },
		"endless rate":    func(c *media.VideoConfig) { c.FPS = math.Inf(1) },
		"negative CRF":    func(c *media.VideoConfig) { c.CRF = -1 },
		"NaN CRF":         func(c *media.VideoConfig) { c.CRF = math.NaN() },
		"CRF 52":          func(c *media.VideoConfig) { c.CRF = 52 },
		"profile":         func(c *media.VideoConfig) { c.Profile = 17 },
		"negative rate":   func(c *media.VideoConfig) { c.MaxBitrate = -1 },
		"endless bitrate": func(c *media.VideoConfig) { c.MaxBitrate = math.MaxInt },
		"library":         func(c *media.VideoConfig) { c.Library = "../x264" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := s.Config
			change(&cfg)
			e, err := s.Open(cfg)
			if err == nil || e != nil {
				t.Fatalf("Open(%+v) = %v, %v, want nil and an error", cfg, e, err)
			}
		})
	}
}

func (s *Suite) testBadPicture(t *testing.T) {
	e := s.open(t, s.Config)
	w, h := s.Config.Width, s.Config.Height
	tests := map[string]func(*media.I420){
		"other size":  func(p *media.I420) { *p = *NewI420(w+2, h, 0, 0, 0) },
		"short Y":     func(p *media.I420) { p.Y = p.Y[:w*h/2] },
		"no U":        func(p *media.I420) { p.U = nil },
		"short V":     func(p *media.I420) { p.V = p.V[:w*h/8] },
		"narrow":      func(p *media.I420) { p.StrideY = w - 1 },
		"negative":    func(p *media.I420) { p.StrideU = -p.StrideU },
		"wide stride": func(p *media.I420) { p.StrideV = math.MaxInt / 2 },
	}
	for name, change := range tests {
		pic := NewI420(w, h, 0, 128, 128)
		change(pic)
		if data, _, err := e.Encode([]byte{1}, pic, true); err == nil || len(data) != 1 {
			t.Errorf("%s: %d bytes, error %v; want an error and nothing appended", name, len(data), err)
		}
	}
	if _, _, err := e.Encode(nil, nil, false); err == nil {
		t.Error("no picture: no error")
	}
	prefix := []byte("prefix")
	data, key, err := e.Encode(prefix, NewI420(w, h, 0, 128, 128), false)
	if err != nil || !key || string(data[:len(prefix)]) != "prefix" {
		t.Errorf("a good picture after bad ones: key %v, %v, begins with %q", key, err, data[:len(prefix)])
	}
}

func (s *Suite) testClose(t *testing.T) {
	e := s.open(t, s.Config)
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	pic := NewI420(s.Config.Width, s.Config.Height, 0, 128, 128)
	if _, _, err := e.Encode(nil, pic, false); err == nil {
		t.Error("Encode after Close: no error")
	}
	if err := e.SetMaxBitrate(1_000_000); err == nil {
		t.Error("SetMaxBitrate after Close: no error")
	}
}

func (s *Suite) testAllocs(t *testing.T) {
	e := s.open(t, s.Config)
	pic := NewI420(s.Config.Width, s.Config.Height, 0, 128, 128)
	dst := make([]byte, 0, 1<<20)
	var failed error
	n := 0
	allocs := testing.AllocsPerRun(100, func() {
		Scene(pic, n)
		n++
		if _, _, err := e.Encode(dst, pic, false); err != nil {
			failed = errors.Join(failed, err)
		}
	})
	if failed != nil || allocs != 0 {
		t.Errorf("%v allocations a picture, want 0; %v", allocs, failed)
	}
}
