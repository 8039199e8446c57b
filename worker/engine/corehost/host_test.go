package corehost

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/engine/testcard"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// host runs a whole core process in this process, on real time.
func host(t *testing.T, f *fakes, start []byte) (net.Conn, *wire.Reader, chan int) {
	t.Helper()
	_, memory := newMemory(t)
	ours, theirs := net.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(Config{Conn: theirs, Memory: memory, Logger: slog.New(slog.DiscardHandler)}, monotonic{}, f.codecs())
		theirs.Close()
	}()
	t.Cleanup(func() { ours.Close() })
	if _, err := ours.Write(start); err != nil {
		t.Fatal(err)
	}
	return ours, wire.NewReader(ours, wire.MaxMessage), code
}

func startMessage(t *testing.T, spec wire.Spec) []byte {
	t.Helper()
	s := wire.Start{Spec: spec, Restore: true}
	payload, err := s.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := wire.AppendMessage(nil, wire.TypeStart, payload)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func TestHostRunsAndStops(t *testing.T) {
	conn, r, code := host(t, &fakes{}, startMessage(t, wire.Spec{Kind: wire.KindTestCard}))
	kind, payload, err := r.Next()
	if err != nil || kind != wire.TypeReady {
		t.Fatalf("message %d, %v", kind, err)
	}
	if info, err := wire.ParseInfo(payload); err != nil || info.CoreName != testcard.Name || info.FPS != 60 || info.Snapshot != 0 {
		t.Errorf("%+v, %v", info, err)
	}
	for seen := map[wire.Type]int{}; seen[wire.TypeVideo] < 5 || seen[wire.TypeAudio] < 5; seen[kind]++ {
		if kind, _, err = r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	stop, _ := wire.AppendMessage(nil, wire.TypeStop, nil)
	go func() {
		for err := error(nil); err == nil; { // it may be writing
			_, _, err = r.Next()
		}
	}()
	if _, err := conn.Write(stop); err != nil {
		t.Fatal(err)
	}
	if got := <-code; got != ExitOK {
		t.Errorf("exit code %d", got)
	}
}

func TestHostEndsWithItsWorker(t *testing.T) {
	conn, r, code := host(t, &fakes{}, startMessage(t, wire.Spec{Kind: wire.KindTestCard}))
	if _, _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	select {
	case <-code:
	case <-time.After(time.Minute):
		t.Fatal("it goes on without a worker")
	}
}

func TestHostRefuses(t *testing.T) {
	key, _ := wire.AppendMessage(nil, wire.TypeKeyFrame, nil)
	tests := map[string]struct {
		fakes fakes
		start []byte
		code  int
		text  string // of the failed message
	}{
		"not start":     {fakes{}, key, ExitFailed, ""},
		"empty spec":    {fakes{}, startMessage(t, wire.Spec{}), ExitFailed, ""},
		"missing core":  {fakes{}, startMessage(t, wire.Spec{Kind: wire.KindLibretro, Core: "/no/core.so"}), ExitLoad, "core"},
		"no built-in":   {fakes{}, startMessage(t, wire.Spec{Kind: wire.KindLibretro, Core: "/no/core.so", Builtin: "nope"}), ExitLoad, "nope"},
		"missing codec": {fakes{openErr: errors.New("no x264")}, startMessage(t, wire.Spec{Kind: wire.KindTestCard}), ExitLoad, "no x264"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, r, code := host(t, &test.fakes, test.start)
			kind, payload, err := r.Next()
			if test.text != "" && (kind != wire.TypeFailed || !strings.Contains(string(payload), test.text)) {
				t.Errorf("message %d %q, %v", kind, payload, err)
			}
			if got := <-code; got != test.code {
				t.Errorf("exit code %d, want %d", got, test.code)
			}
		})
	}
}

// realRig is a rig with the test card and the codecs of the product.
func realRig(tb testing.TB, scale int) *rig {
	tb.Helper()
	worker, core := newMemory(tb)
	spec := wire.Spec{Kind: wire.KindTestCard, Video: wire.VideoSpec{Scale: scale}}.WithDefaults()
	m, err := open(&spec, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	e, err := newEncoders(&spec, m.traits(), builtinCodecs())
	if err != nil {
		tb.Skip("SKIPPED: ", err)
	}
	tb.Cleanup(e.close)
	v := &virtual{t: time.Hour}
	tk := &ticker{
		machine: m, memory: core, handoff: newHandoff(), clock: v, log: slog.New(slog.DiscardHandler),
		schedule: schedule{fps: testcard.FPS, anchor: v.t}, nextSnapshot: v.t,
	}
	r := &rig{ticker: tk, encoders: e, out: &capture{}, worker: worker, clock: v}
	e.handoff, e.wishes, e.out, e.log, e.clock = tk.handoff, &wishes{}, r.out, tk.log, v
	t := m.traits()
	e.info = e.describe(&t)
	return r
}

// step runs a frame through the whole process.
func (r *rig) step(tb testing.TB) {
	runFrames(tb, r.ticker, 1)
	<-r.encoders.handoff.wake
	for r.encoders.handoff.take(&r.encoders.batch) {
		if err := r.encoders.encode(&r.encoders.batch); err != nil {
			tb.Fatal(err)
		}
	}
	r.out.data = r.out.data[:0]
}

func TestFrameAllocatesNothing(t *testing.T) {
	r := realRig(t, 2)
	for range 120 {
		r.step(t)
	}
	if n := testing.AllocsPerRun(240, func() { r.step(t) }); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func BenchmarkFrame(b *testing.B) {
	for name, scale := range map[string]int{"1x": 1, "2x": 2} {
		b.Run(name, func(b *testing.B) {
			r := realRig(b, scale)
			b.ReportAllocs()
			for b.Loop() {
				r.step(b)
			}
		})
	}
}
