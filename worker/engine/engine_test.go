package engine

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/media"
)

// TestMain makes the test binary a core process, or a misbehaving one, when it
// is started as such.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case CoreCommand:
			os.Exit(CoreMain())
		case workerCommand:
			os.Exit(workerMain())
		case rogueCommand:
			os.Exit(rogueMain(os.Args[2]))
		}
	}
	os.Exit(m.Run())
}

// recorder is a Sink that remembers.
type recorder struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each call
	events  []Event
	frames  []media.Frame // without Data
	key     []byte        // stream since the last key frame
	packets []media.Packet
	forget  bool            // count and measure only
	count   int             // of frames
	delays  []time.Duration // from when a frame was due to here

	afterRestart int // frames since a restart
	restartFrame int // index of the first of them
}

func newRecorder() *recorder { return &recorder{changed: make(chan struct{})} }

func (r *recorder) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorder) Video(f *media.Frame) {
	r.note(func() {
		if r.count++; r.forget {
			r.delays = append(r.delays, monotonicNow()-f.PTS)
			return
		}
		if f.Key {
			r.key = r.key[:0]
		}
		r.key = append(r.key, f.Data...)
		copied := *f
		copied.Data = nil
		r.frames = append(r.frames, copied)
		if len(r.events) > 0 && r.events[len(r.events)-1].Info.Generation > 0 {
			if r.afterRestart++; r.afterRestart == 1 {
				r.restartFrame = len(r.frames) - 1
			}
		}
	})
}

func (r *recorder) Audio(p *media.Packet) {
	r.note(func() {
		copied := *p
		copied.Data = nil
		r.packets = append(r.packets, copied)
	})
}

func (r *recorder) Event(ev Event) { r.note(func() { r.events = append(r.events, ev) }) }

// patience ends what a test waits for in vain. A busy host may stop all of us
// for seconds, so nothing is judged by how long it took.
const patience = 2 * time.Minute

// wait returns once cond, called with the lock held, is true.
func (r *recorder) wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		ok, changed := cond(), r.changed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("waited %v for %s: %d frames, %d packets, events %v", patience, what, len(r.frames), len(r.packets), r.events)
		}
	}
}

// event returns the first event of a kind.
func (r *recorder) event(kind EventKind) (Event, bool) {
	for _, ev := range r.events {
		if ev.Kind == kind {
			return ev, true
		}
	}
	return Event{}, false
}

func (r *recorder) has(kind EventKind) func() bool {
	return func() bool { _, ok := r.event(kind); return ok }
}

// logBuffer is a writer for several goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func debugLogger(l *logBuffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// rig is an engine that runs in a test.
type rig struct {
	*Engine
	rec  *recorder
	log  *logBuffer
	done chan error
	stop func()
}

// startRig runs an engine until the test ends. A host that is too busy for a core
// process makes it look neither hung nor broken, unless cfg says so.
func startRig(t testing.TB, cfg Config, spec Spec) *rig {
	t.Helper()
	if spec.Kind == KindTestCard {
		needCodecs(t)
	}
	r := &rig{rec: newRecorder(), log: &logBuffer{}, done: make(chan error, 1)}
	cfg.Logger = debugLogger(r.log)
	if cfg.Command == nil {
		cfg.Command = []string{testBinary(t), CoreCommand}
	}
	setDefault(&cfg.LoadTimeout, patience)
	setDefault(&cfg.HangTimeout, patience)
	e, err := New(cfg, spec, r.rec)
	if err != nil {
		t.Fatal(err)
	}
	r.Engine = e
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.done <- e.Run(ctx)
	}()
	r.stop = func() { cancel(); <-ended }
	t.Cleanup(func() {
		r.stop()
		if pid := e.Pid(); pid != 0 {
			t.Errorf("core process %d is left", pid)
		}
		if t.Failed() {
			t.Log("log of the engine:\n" + r.log.String())
		}
	})
	return r
}

// info is what the first core process said when it was ready.
func (r *rig) info(t testing.TB) Info {
	t.Helper()
	r.rec.wait(t, "ready", r.rec.has(EventReady))
	r.rec.mu.Lock()
	defer r.rec.mu.Unlock()
	ev, _ := r.rec.event(EventReady)
	return ev.Info
}

func (r *rig) result(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(patience):
		t.Fatalf("Run did not return within %v", patience)
		return nil
	}
}

func testBinary(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func needCodecs(t testing.TB) {
	t.Helper()
	if err := Available(); err != nil {
		t.Skip("SKIPPED, core processes cannot run here: ", err)
	}
}

func TestTestCardRuns(t *testing.T) {
	r := startRig(t, Config{}, Spec{Kind: KindTestCard})
	r.rec.wait(t, "120 frames and 200 packets", func() bool { return len(r.rec.frames) >= 120 && len(r.rec.packets) >= 200 })
	r.rec.mu.Lock()
	ev := r.rec.events[0]
	r.rec.mu.Unlock()
	want := Info{
		Width: 256, Height: 240, EncodedWidth: 512, EncodedHeight: 480, Aspect: 256.0 / 240, FPS: 60,
		SampleRate: 48000, Library: ev.Info.Library, CoreName: "Test card", Unconfined: ev.Info.Unconfined,
	}
	if ev.Kind != EventReady || ev.Info != want {
		t.Errorf("first event %v, want ready with %+v", ev, want)
	}
	r.stop()
	if err := r.result(t); err != nil {
		t.Errorf("Run returned %v after its context ended", err)
	}
	checkTimeline(t, r.rec)
}

// checkTimeline checks that pictures lie whole 1/60 s and packets 10 ms apart, but
// where a busy host took the processor for so long that the clock was set anew.
func checkTimeline(t *testing.T, r *recorder) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.frames) == 0 || len(r.packets) == 0 {
		t.Fatalf("%d frames, %d packets", len(r.frames), len(r.packets))
	}
	if d := r.packets[0].PTS - r.frames[0].PTS; !r.frames[0].Key || d > 0 || d < -time.Second {
		t.Errorf("the first frame is %+v, sound begins %v later", r.frames[0], d)
	}
	stalls := 0
	gap := func(what string, i int, d, period time.Duration) {
		off := (d + period/2) % period // half a period if d is a whole number of them
		switch {
		case d > 150*time.Millisecond:
			stalls++
		case d < period/2 || off < period/2-50*time.Microsecond || off > period/2+50*time.Microsecond:
			t.Errorf("%s %d comes %v after the one before", what, i, d)
		}
	}
	for i := 1; i < len(r.packets); i++ {
		if d := r.packets[i].PTS - r.packets[i-1].PTS; d > 11*time.Millisecond && d < 150*time.Millisecond {
			t.Errorf("packet %d comes %v after the one before", i, d)
		} else {
			gap("packet", i, d, 10*time.Millisecond)
		}
	}
	for i := 1; i < len(r.frames); i++ {
		gap("frame", i, r.frames[i].PTS-r.frames[i-1].PTS, time.Second/60)
	}
	if stalls > 0 {
		t.Logf("the host was too busy: the clock was set anew, which left %d gaps", stalls)
	}
}
