package corehost

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/shm"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
	"github.com/cloudretro/cloudretro/worker/library/builtin"
)

// brokenConverter converts nothing.
type brokenConverter struct{}

var errConvert = errors.New("converter broke")

func (brokenConverter) Convert(*media.Picture) (*media.I420, error) { return nil, errConvert }

func TestVideoStageThatCannotBegin(t *testing.T) {
	small := traits{width: 4, height: 4, fps: 60}
	noConverter := errors.New("no converter")
	tests := map[string]struct {
		change func(*codecs)
		want   error
	}{
		"no converter": {func(c *codecs) {
			c.converter = func(int, int, int) (converter, error) { return nil, noConverter }
		}, noConverter},
		"broken converter": {func(c *codecs) {
			c.converter = func(int, int, int) (converter, error) { return brokenConverter{}, nil }
		}, errConvert},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := (&fakes{}).codecs()
			test.change(&c)
			if _, err := newVideoStage(wire.VideoSpec{Scale: 1}, c, small); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestEncodersThatCannotBeginLeaveNothingOpen(t *testing.T) {
	spec := wire.Spec{Kind: wire.KindTestCard}.WithDefaults()
	missing := errors.New("missing")
	for name, change := range map[string]func(*codecs){
		"audio":     func(c *codecs) { c.audio = func(wire.AudioSpec) (media.AudioEncoder, error) { return nil, missing } },
		"resampler": func(c *codecs) { c.resampler = func(float64) (resampler, error) { return nil, missing } },
	} {
		f := &fakes{}
		c := f.codecs()
		change(&c)
		if _, err := newEncoders(&spec, traits{width: 4, height: 4, fps: 60, sampleRate: 48000}, c); !errors.Is(err, missing) {
			t.Errorf("%s: %v", name, err)
		}
		if f.closed != 1 {
			t.Errorf("%s: %d of 1 video encoders closed", name, f.closed)
		}
	}
}

func TestEncoderThatCannotBeOpenedAnew(t *testing.T) {
	m := &fakeMachine{onStep: func(_ *[shm.Ports]shm.Pad, out *output) error { out.picture = picture(4, 4, 1); return nil }}
	r := newRig(t, m, &fakes{})
	r.frames(t, 1)
	r.openErr = errors.New("gone")
	r.encoders.wishes.profile.Store(int32(media.ProfileHigh) + 1)
	runFrames(t, r.ticker, 1)
	r.encoders.handoff.take(&r.encoders.batch)
	if err := r.encoders.encode(&r.encoders.batch); !errors.Is(err, r.openErr) {
		t.Errorf("got %v", err)
	}
}

// The game keeps its pace while nobody takes what it makes, and goes on with
// the newest picture when somebody does.
func TestNobodyListening(t *testing.T) {
	worker, memory := newMemory(t)
	ours, theirs := net.Pipe()
	code := make(chan int, 1)
	go func() {
		cfg := Config{Conn: theirs, Memory: memory, Logger: slog.New(slog.DiscardHandler)}
		code <- run(cfg, monotonic{}, (&fakes{}).codecs())
		theirs.Close()
	}()
	t.Cleanup(func() {
		ours.Close()
		<-code
	})
	if _, err := ours.Write(startMessage(t, wire.Spec{Kind: wire.KindTestCard})); err != nil {
		t.Fatal(err)
	}
	r := wire.NewReader(ours, wire.MaxMessage)
	if kind, _, err := r.Next(); err != nil || kind != wire.TypeReady {
		t.Fatalf("message %d, %v", kind, err)
	}
	const frames = 90
	waitProgress(t, worker, frames)
	var stats wire.Stats
	for stats.Ticks < frames {
		kind, payload, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if kind != wire.TypeStats {
			continue
		}
		if err := wire.ParseStats(payload, &stats); err != nil {
			t.Fatal(err)
		}
	}
	if stats.DroppedPictures < frames/2 || stats.Frames+stats.DroppedPictures+2 < stats.Ticks {
		t.Errorf("%+v: want nearly all of %d pictures dropped and counted", stats, frames)
	}
}

// waitProgress returns when the machine has run so many frames.
func waitProgress(t *testing.T, m *shm.Memory, frames uint64) {
	t.Helper()
	var c monotonic
	for deadline := c.now() + time.Minute; m.Progress() < frames; c.sleepUntil(c.now() + time.Millisecond) {
		if c.now() > deadline {
			t.Fatalf("the machine stands at frame %d", m.Progress())
		}
	}
}

// A restarted process goes on from what the one before it left.
func TestHostGoesOnFromSnapshot(t *testing.T) {
	_, memory := newMemory(t)
	m, err := open(&wire.Spec{Kind: wire.KindTestCard}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if err := m.step(&[shm.Ports]shm.Pad{}, &output{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := memory.WriteSnapshot(m.serialize); err != nil {
		t.Fatal(err)
	}
	next, err := open(&wire.Spec{Kind: wire.KindTestCard}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	tk := &ticker{machine: next, memory: memory, log: slog.New(slog.DiscardHandler)}
	if seq := tk.restore(); seq != 1 || next.(*card).Counter() != 1000 {
		t.Errorf("sequence %d, frame %d", seq, next.(*card).Counter())
	}
}

func TestBuiltinGames(t *testing.T) {
	for _, want := range builtin.Games() {
		g, err := builtinGame(want.ID)
		if err != nil || string(g.Data) != string(want.ROM) || !strings.HasSuffix(g.Path, "."+want.System) {
			t.Errorf("%s: %d bytes as %q, %v", want.ID, len(g.Data), g.Path, err)
		}
	}
	for _, id := range []string{"", "../x", "COMET-COURT"} {
		if _, err := builtinGame(id); err == nil {
			t.Errorf("%q was found", id)
		}
	}
}

func TestUnknownMachine(t *testing.T) {
	if _, err := open(&wire.Spec{Kind: "toaster"}, slog.New(slog.DiscardHandler)); !errors.Is(err, wire.ErrSpec) {
		t.Errorf("got %v", err)
	}
}
