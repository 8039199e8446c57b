package corehost

import (
	"errors"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/shm"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// fakeVideo is a video encoder whose access units say what they are.
type fakeVideo struct {
	cfg    media.VideoConfig
	first  bool
	fail   *int // Encode fails so often
	closed *int
	maxBps *int
}

func (f *fakeVideo) Library() string { return "fake" }

func (f *fakeVideo) Encode(dst []byte, pic *media.I420, key bool) ([]byte, bool, error) {
	if *f.fail > 0 {
		*f.fail--
		return dst, false, errors.New("encoder broke")
	}
	if pic.Width != f.cfg.Width || pic.Height != f.cfg.Height {
		return dst, false, errors.New("wrong size")
	}
	key = key || f.first
	f.first = false
	return append(dst, byte(f.cfg.Profile), pic.Y[0]), key, nil
}

func (f *fakeVideo) SetMaxBitrate(bps int) error { *f.maxBps = bps; return nil }
func (f *fakeVideo) Close() error                { *f.closed++; return nil }

// fakeConverter makes planes whose first byte is the picture's.
type fakeConverter struct {
	scale int
	out   media.I420
}

func (f *fakeConverter) Convert(src *media.Picture) (*media.I420, error) {
	f.out = media.I420{Width: src.Width * f.scale, Height: src.Height * f.scale, Y: src.Data[:1]}
	return &f.out, nil
}

type fakeAudio struct{}

func (fakeAudio) Encode(dst []byte, pcm []int16) ([]byte, error) {
	return append(dst, byte(len(pcm)), byte(pcm[0])), nil
}
func (fakeAudio) Close() error { return nil }

// fakes are codecs without libraries, and what became of them.
type fakes struct {
	fail, closed, bps int
	opened            []media.VideoConfig
	openErr           error
}

func (f *fakes) codecs() codecs {
	return codecs{
		converter: func(_, _, scale int) (converter, error) { return &fakeConverter{scale: scale}, nil },
		video: func(cfg media.VideoConfig) (media.VideoEncoder, error) {
			f.opened = append(f.opened, cfg)
			if f.openErr != nil {
				return nil, f.openErr
			}
			return &fakeVideo{cfg: cfg, first: true, fail: &f.fail, closed: &f.closed, maxBps: &f.bps}, nil
		},
		audio:     func(wire.AudioSpec) (media.AudioEncoder, error) { return fakeAudio{}, nil },
		resampler: func(rate float64) (resampler, error) { return &linear{rate: rate}, nil },
	}
}

// sent is a message as the worker sees it.
type sent struct {
	kind    wire.Type
	payload []byte
}

// capture is what encoders write to in a test.
type capture struct{ data []byte }

func (c *capture) Write(p []byte) (int, error) { c.data = append(c.data, p...); return len(p), nil }

// messages takes what was written.
func (c *capture) messages(t testing.TB) []sent {
	t.Helper()
	r := wire.NewReader(strings.NewReader(string(c.data)), wire.MaxMessage)
	c.data = c.data[:0]
	var all []sent
	for {
		kind, payload, err := r.Next()
		if err != nil {
			return all
		}
		all = append(all, sent{kind, append([]byte{}, payload...)})
	}
}

func only(all []sent, kind wire.Type) (some []sent) {
	for _, m := range all {
		if m.kind == kind {
			some = append(some, m)
		}
	}
	return some
}

// rig is both halves of a core process in one goroutine on a virtual clock.
type rig struct {
	*fakes
	ticker   *ticker
	encoders *encoders
	out      *capture
	worker   *shm.Memory
	clock    *virtual
}

func newRig(t testing.TB, m *fakeMachine, f *fakes) *rig {
	t.Helper()
	tk, v, worker := newTicker(t, m)
	spec := wire.Spec{Kind: wire.KindTestCard, Video: wire.VideoSpec{Scale: 2}}.WithDefaults()
	e, err := newEncoders(&spec, m.now, f.codecs())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{fakes: f, ticker: tk, encoders: e, out: &capture{}, worker: worker, clock: v}
	e.handoff, e.wishes, e.out, e.log, e.clock = tk.handoff, &wishes{}, r.out, tk.log, v
	e.info = e.describe(&m.now)
	return r
}

// frames runs n frames and encodes each, and returns what was sent.
func (r *rig) frames(t testing.TB, n int) []sent {
	t.Helper()
	for range n {
		runFrames(t, r.ticker, 1)
		for r.encoders.handoff.take(&r.encoders.batch) {
			if err := r.encoders.encode(&r.encoders.batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r.out.messages(t)
}

func videos(t testing.TB, all []sent) (frames []media.Frame) {
	t.Helper()
	for _, m := range only(all, wire.TypeVideo) {
		var f media.Frame
		if err := wire.ParseVideo(m.payload, &f); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
	return frames
}

func TestEveryTickGivesAPicture(t *testing.T) {
	m := &fakeMachine{}
	m.onStep = func(_ *[shm.Ports]shm.Pad, out *output) error {
		out.picture = nil
		if m.steps%3 == 0 { // a game at 20 pictures a second
			out.picture = picture(4, 4, byte(m.steps))
		}
		out.sound = make([]int16, 1600)
		return nil
	}
	r := newRig(t, m, &fakes{})
	all := r.frames(t, 60)
	frames := videos(t, all)
	if len(frames) != 60 || len(only(all, wire.TypeAudio)) != 100 {
		t.Fatalf("%d pictures, %d packets in a second", len(frames), len(only(all, wire.TypeAudio)))
	}
	for i, f := range frames {
		if want := byte((i + 1) / 3 * 3); f.Data[1] != want || f.Key != (i == 0) || f.Width != 8 {
			t.Fatalf("picture %d: %+v, want %d", i, f, want)
		}
	}
	if s := r.encoders.stats; s.Repeated != 40 || s.Frames != 60 || s.KeyFrames != 1 || s.Packets != 100 {
		t.Errorf("stats %+v", s)
	}
}

func TestWishesAreHeeded(t *testing.T) {
	m := &fakeMachine{onStep: func(_ *[shm.Ports]shm.Pad, out *output) error { out.picture = picture(4, 4, 1); return nil }}
	r := newRig(t, m, &fakes{})
	r.frames(t, 5)
	r.encoders.wishes.key.Store(true)
	if f := videos(t, r.frames(t, 2)); !f[0].Key || f[1].Key {
		t.Error("a key frame was asked for")
	}
	r.encoders.wishes.profile.Store(int32(media.ProfileHigh) + 1)
	r.encoders.wishes.bitrate.Store(12345)
	f := videos(t, r.frames(t, 2))
	if !f[0].Key || f[0].Data[0] != byte(media.ProfileHigh) || f[1].Key || r.closed != 1 {
		t.Errorf("a new profile: %+v, closed %d", f, r.closed)
	}
	r.encoders.wishes.bitrate.Store(54321)
	r.frames(t, 1)
	if r.bps != 54321 || r.opened[1].MaxBitrate != 12345 && r.opened[1].MaxBitrate != 0 {
		t.Errorf("bitrate %d, opened with %+v", r.bps, r.opened)
	}
}

func TestGeometryAndTimingChange(t *testing.T) {
	m := &fakeMachine{}
	size := 4
	m.onStep = func(_ *[shm.Ports]shm.Pad, out *output) error { out.picture = picture(size, 4, 1); return nil }
	r := newRig(t, m, &fakes{})
	if all := r.frames(t, 10); len(only(all, wire.TypeChanged)) != 0 {
		t.Error("changed without a change")
	}
	size = 6
	all := r.frames(t, 2)
	changed := only(all, wire.TypeChanged)
	if len(changed) != 1 || all[0].kind != wire.TypeChanged {
		t.Fatalf("%d changes, first message %d", len(changed), all[0].kind)
	}
	info, err := wire.ParseInfo(changed[0].payload)
	if err != nil || info.Width != 6 || info.EncodedWidth != 12 || info.Library != "fake" {
		t.Errorf("%+v, %v", info, err)
	}
	if f := videos(t, all); !f[0].Key || f[0].Width != 12 || f[1].Key {
		t.Errorf("%+v", f)
	}
	m.now.fps, m.now.rotation = 50, 1
	all = r.frames(t, 2)
	changed = only(all, wire.TypeChanged)
	if len(changed) != 1 || !strings.Contains(string(changed[0].payload), `"fps":50`) || r.opened[len(r.opened)-1].FPS != 50 {
		t.Errorf("timing: %d changes, encoder %+v", len(changed), r.opened)
	}
}

func TestBrokenEncoderIsOpenedAnewOnce(t *testing.T) {
	m := &fakeMachine{onStep: func(_ *[shm.Ports]shm.Pad, out *output) error { out.picture = picture(4, 4, 1); return nil }}
	r := newRig(t, m, &fakes{})
	r.frames(t, 1)
	r.fail = 1
	if f := videos(t, r.frames(t, 1)); len(f) != 1 || !f[0].Key {
		t.Errorf("%+v", f)
	}
	r.fail = 2
	runFrames(t, r.ticker, 1)
	r.encoders.handoff.take(&r.encoders.batch)
	if err := r.encoders.encode(&r.encoders.batch); err == nil || !strings.Contains(err.Error(), "encoder broke") {
		t.Errorf("an encoder that stays broken: %v", err)
	}
}

func TestTextsAndStats(t *testing.T) {
	m := &fakeMachine{onStep: func(_ *[shm.Ports]shm.Pad, out *output) error {
		out.picture, out.messages = picture(4, 4, 1), []string{"disk\n2", "x"}
		return nil
	}}
	r := newRig(t, m, &fakes{})
	all := r.frames(t, 1)
	if texts := only(all, wire.TypeMessage); len(texts) != 2 || string(texts[0].payload) != "disk 2" {
		t.Errorf("%d texts", len(texts))
	}
	m.onStep = nil
	stats := only(r.frames(t, 180), wire.TypeStats)
	if len(stats) != 3 {
		t.Fatalf("%d reports in 3 s", len(stats))
	}
	var s wire.Stats
	if err := wire.ParseStats(stats[2].payload, &s); err != nil || s.Frames < 150 || s.Ticks != s.Frames {
		t.Errorf("%+v, %v", s, err)
	}
}
