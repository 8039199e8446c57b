package engine

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

func TestFlowIsBounded(t *testing.T) {
	var f flow
	now := time.Hour
	for i := range messagesASecond {
		if !f.admit(now+time.Duration(i), 10) {
			t.Fatalf("message %d refused", i)
		}
	}
	if f.admit(now, 10) {
		t.Error("one too many passed")
	}
	if !f.admit(now+time.Second, 10) {
		t.Error("refused a second later")
	}
	if f.admit(now+time.Second, bytesASecond) {
		t.Error("too many bytes passed")
	}
	if f.total < bytesASecond {
		t.Errorf("counted %d bytes", f.total)
	}
}

func TestTimesAreChecked(t *testing.T) {
	now := monotonicNow()
	var last time.Duration
	for _, pts := range []time.Duration{now - time.Second, now - time.Second, now, now + time.Second} {
		if err := onTime(pts, &last); err != nil || last != pts {
			t.Errorf("%v: %v, last %v", pts, err, last)
		}
	}
	for _, pts := range []time.Duration{0, now, now + time.Minute, 1 << 62} {
		if err := onTime(pts, &last); !errors.Is(err, wire.ErrProtocol) {
			t.Errorf("%v passed: %v", pts, err)
		}
	}
}

// newSession returns a session without process whose sink is a recorder.
func newSession(t testing.TB) (*session, *recorder) {
	t.Helper()
	rec := newRecorder()
	e, err := New(Config{Logger: slog.New(slog.DiscardHandler)}, Spec{Kind: KindTestCard}, rec)
	if err != nil {
		t.Fatal(err)
	}
	return &session{engine: e, generation: 3}, rec
}

func TestDispatch(t *testing.T) {
	s, rec := newSession(t)
	now := monotonicNow()
	info := Info{Width: 4, Height: 4, EncodedWidth: 8, EncodedHeight: 8, Aspect: 1, FPS: 60, SampleRate: 48000}
	changed, _ := info.Append(nil)
	stats := wire.Stats{Frames: 7}
	messages := []struct {
		kind    wire.Type
		payload []byte
	}{
		{wire.TypeVideo, append(wire.AppendVideoHeader(nil, &media.Frame{PTS: now, Width: 8, Height: 8}), 1)},
		{wire.TypeAudio, append(wire.AppendAudioHeader(nil, &media.Packet{PTS: now, Duration: 1}), 1)},
		{wire.TypeChanged, changed},
		{wire.TypeMessage, []byte("hello")},
		{wire.TypeStats, stats.Append(nil)},
	}
	for _, m := range messages {
		if err := s.dispatch(m.kind, m.payload); err != nil {
			t.Errorf("message %d: %v", m.kind, err)
		}
	}
	if len(rec.frames) != 1 || len(rec.packets) != 1 || len(rec.events) != 2 || s.engine.Stats().Frames != 7 {
		t.Errorf("%d frames, %d packets, events %v", len(rec.frames), len(rec.packets), rec.events)
	}
	if ev := rec.events[1]; ev.Kind != EventMessage || ev.Text != "hello" || ev.Info.Generation != 3 || ev.Info.Width != 4 {
		t.Errorf("event %+v", ev)
	}
	if err := s.dispatch(wire.TypeEnded, nil); !errors.Is(err, ErrEnded) {
		t.Errorf("ended: %v", err)
	}
	if err := s.dispatch(wire.TypeFailed, []byte("why")); !errors.Is(err, ErrLoad) {
		t.Errorf("failed: %v", err)
	}
}

// Whatever a core process sends, the worker lives, and what reaches the sink is sane.
func FuzzDispatch(f *testing.F) {
	info := Info{Width: 4, Height: 4, EncodedWidth: 8, EncodedHeight: 8, Aspect: 1, FPS: 60, SampleRate: 48000}
	changed, _ := info.Append(nil)
	f.Add(byte(wire.TypeChanged), changed)
	f.Add(byte(wire.TypeVideo), append(wire.AppendVideoHeader(nil, &media.Frame{PTS: 1, Width: 8, Height: 8}), 1))
	f.Add(byte(wire.TypeAudio), append(wire.AppendAudioHeader(nil, &media.Packet{Duration: 1}), 1))
	f.Add(byte(wire.TypeStats), (&wire.Stats{}).Append(nil))
	f.Add(byte(wire.TypeFailed), []byte("\xff"))
	f.Add(byte(wire.TypeOutcome), wire.Outcome{Order: wire.Order{ID: 1, Size: 1 << 31}, Text: "\xff"}.Append(nil))
	f.Add(byte(0), []byte{})
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		s, rec := newSession(t)
		err := s.dispatch(wire.Type(kind), payload)
		if err == nil && wire.Type(kind) == wire.TypeChanged && (rec.events[0].Info.FPS < 1 || rec.events[0].Info.Width < 1) {
			t.Errorf("impossible info passed: %+v", rec.events[0])
		}
	})
}

func TestDispatchAllocatesNothing(t *testing.T) {
	s, _ := newSession(t)
	s.engine.sink = nowhere{}
	video := append(wire.AppendVideoHeader(nil, &media.Frame{PTS: monotonicNow(), Width: 8, Height: 8}), 1)
	audio := append(wire.AppendAudioHeader(nil, &media.Packet{PTS: monotonicNow(), Duration: 1}), 1)
	if n := testing.AllocsPerRun(100, func() {
		if err := errors.Join(s.dispatch(wire.TypeVideo, video), s.dispatch(wire.TypeAudio, audio)); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// nowhere is a Sink that takes no notice.
type nowhere struct{}

func (nowhere) Video(*media.Frame)  {}
func (nowhere) Audio(*media.Packet) {}
func (nowhere) Event(Event)         {}

func TestRunIsCalledOnce(t *testing.T) {
	r := rogueRig(t, "sleep", Config{})
	r.rec.wait(t, "ready", r.rec.has(EventReady))
	if err := r.Run(context.Background()); err == nil {
		t.Error("a second Run")
	}
}

func TestContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e, err := New(Config{Command: []string{testBinary(t), rogueCommand, "sleep"}}, Spec{Kind: KindLibretro, Core: "x"}, nowhere{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(ctx); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func TestEventKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for k := EventReady; k <= EventFailed; k++ {
		if name := k.String(); name == "unknown" || seen[name] {
			t.Errorf("kind %d is called %q", k, name)
		} else {
			seen[name] = true
		}
	}
	if EventKind(99).String() != "unknown" || EventKind(-1).String() != "unknown" {
		t.Error("kinds that do not exist have names")
	}
}

func TestMeanEncodeTime(t *testing.T) {
	if got := (Stats{}).MeanEncodeTime(); got != 0 {
		t.Errorf("before the first picture: %v", got)
	}
	s := Stats{Stats: wire.Stats{Frames: 4, ConvertTime: 4000, EncodeTime: 8000}}
	if got := s.MeanEncodeTime(); got != 3*time.Microsecond {
		t.Errorf("got %v", got)
	}
}
