package engine

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/worker/engine/shm"
	"github.com/cloudretro/cloudretro/worker/engine/testcard"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

func (r *rig) save(t *testing.T) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	state, err := r.Save(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func (r *rig) load(t *testing.T, state []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Load(ctx, state); err != nil {
		t.Fatal(err)
	}
}

// card is the test card at a state of it: its counter.
func card(t *testing.T, state []byte) uint32 {
	t.Helper()
	c := testcard.New()
	if err := c.Unserialize(state); err != nil {
		t.Fatal(err)
	}
	return c.Counter()
}

// last is the newest event; there is one.
func (r *recorder) last() Event { return r.events[len(r.events)-1] }

// A saved state comes back, also in another core process, and is what a crash
// goes back to from then on.
func TestSaveAndLoad(t *testing.T) {
	r := startRig(t, Config{}, Spec{Kind: KindTestCard})
	r.frames(t, 30)
	state := r.save(t)
	saved := card(t, state)
	if saved < 25 {
		t.Errorf("saved at frame %d after 30 pictures", saved)
	}
	r.frames(t, 200)
	if err := syscall.Kill(r.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.rec.wait(t, "restarted", r.rec.has(EventRestarted))
	r.rec.wait(t, "pictures", func() bool { return r.rec.afterRestart > 150 }) // the second crash shall not be the snapshot's fault
	later := card(t, r.save(t))
	if later < saved+60 {
		t.Errorf("after the crash it is at frame %d", later)
	}
	r.load(t, state)
	if now := card(t, r.save(t)); now < saved || now >= later {
		t.Errorf("at frame %d after a load of frame %d, before of frame %d", now, saved, later)
	}
	r.load(t, state) // it must take the snapshot: none comes by itself until the kill
	if err := syscall.Kill(r.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.rec.wait(t, "restarted again", func() bool { return r.rec.last().Info.Generation == 2 && r.rec.last().Kind == EventRestarted })
	for {
		again, err := r.Save(t.Context())
		if errors.Is(err, ErrNotRunning) {
			continue // not ready yet
		}
		if err != nil {
			t.Fatal(err)
		}
		if now := card(t, again); now < saved || now >= later {
			t.Errorf("after a crash at frame %d, loaded was %d, before it was at %d", now, saved, later)
		}
		return
	}
}

func TestLoadsThatAreRefused(t *testing.T) {
	r := startRig(t, Config{SnapshotSize: 4096}, Spec{Kind: KindTestCard})
	if err := r.Load(t.Context(), []byte("early")); err != nil && !errors.Is(err, ErrNotRunning) {
		t.Errorf("before it runs: %v", err)
	}
	r.frames(t, 30)
	for name, state := range map[string][]byte{"nothing": nil, "foreign": []byte("foreign"), "huge": make([]byte, 4097)} {
		if err := r.Load(t.Context(), state); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if now := card(t, r.save(t)); now < 25 {
		t.Errorf("at frame %d after loads that were refused", now)
	}
	r.stop()
	if _, err := r.Save(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
	if s := r.Stats(); s.Restarts != 0 {
		t.Errorf("%d restarts", s.Restarts)
	}
}

// No room for a state: the player is told, and the game goes on.
func TestStateThatFindsNoRoom(t *testing.T) {
	t.Parallel()
	spec, ok := installedGame(t)
	if !ok {
		t.Skip("SKIPPED: no core for the built-in game: apt-get install libretro-nestopia")
	}
	r := startRig(t, Config{SnapshotSize: 4096}, spec)
	r.frames(t, 10)
	if _, err := r.Save(t.Context()); !errors.Is(err, ErrState) {
		t.Errorf("got %v", err)
	}
	r.frames(t, 30)
}

// Real cores: the state comes back to the byte, which a core that has moved on
// meanwhile shows.
func TestInstalledCoresSaveAndLoad(t *testing.T) {
	needCodecs(t)
	for _, core := range installedCores("*") {
		spec, ok := gameFor(t, core)
		if !ok {
			continue
		}
		t.Run(spec.Core, func(t *testing.T) {
			r := startRig(t, Config{}, spec)
			r.frames(t, 30)
			state := r.save(t)
			n := 0
			r.rec.wait(t, "a picture", func() bool { n = len(r.rec.frames); return n > 0 })
			r.frames(t, n+60)
			began := time.Now()
			r.load(t, state)
			t.Logf("%d bytes, loaded after %v", len(state), time.Since(began))
			if again := r.save(t); len(again) != len(state) {
				t.Errorf("a state of %d bytes, then of %d", len(state), len(again))
			}
			if s := r.Stats(); s.Restarts != 0 {
				t.Errorf("%d restarts", s.Restarts)
			}
		})
	}
}

// A core process that does not keep to the rules hurts nobody but itself.
func TestRogueOutcomes(t *testing.T) {
	for name, want := range map[string]error{
		"outcome-huge": ErrState, "outcome-sum": ErrState, "outcome-empty": ErrState, "outcome-text": ErrState,
		"outcome-short": ErrNotRunning, "outcome-exit": ErrNotRunning, "outcome-none": context.DeadlineExceeded,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rogueRig(t, name, Config{})
			r.rec.wait(t, "ready", r.rec.has(EventReady))
			limit := patience
			if errors.Is(want, context.DeadlineExceeded) {
				limit = 200 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			if _, err := r.Save(ctx); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
}

// hearer is a Sink that is told events.
type hearer struct {
	nowhere
	event func(Event)
}

func (h hearer) Event(ev Event) { h.event(ev) }

// Who hears that the game runs may save it, and need not try again.
func TestSaveFromReadyOn(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	ctx, end := context.WithCancel(t.Context())
	var e *Engine
	var saved error
	e, err := New(Config{
		Command: []string{testBinary(t), rogueCommand, "outcome-none"}, LoadTimeout: patience,
	}, Spec{Kind: KindLibretro, Core: "rogue"}, hearer{event: func(ev Event) {
		if ev.Kind == EventReady {
			_, saved = e.Save(gone)
			end()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(ctx); err != nil {
		t.Error(err)
	}
	if !errors.Is(saved, context.Canceled) {
		t.Errorf("got %v, want what the context says", saved)
	}
}

// answerOrders is what a rogue does with the orders it gets. It shows signs of
// life: this is not about the watchdog.
func (r *rogue) answerOrders(what string) int {
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			r.memory.Advance()
		}
	}()
	reader := wire.NewReader(r.conn, wire.MaxMessage)
	for {
		t, payload, err := reader.Next()
		if err != nil {
			return 9
		}
		o, err := wire.ParseOrder(payload)
		if t != wire.TypeSave || err != nil {
			continue
		}
		out := wire.Outcome{Order: wire.Order{ID: o.ID, Size: 5, Sum: 1}}
		switch what {
		case "huge":
			out.Size = 1<<32 - 1
		case "empty":
			out.Size = 0
		case "text":
			out.Text = "no\x00way"
		case "short":
			r.send(wire.TypeOutcome, []byte("short"))
			return sleep()
		case "exit":
			return 7
		case "none":
			r.send(wire.TypeOutcome, wire.Outcome{Order: wire.Order{ID: o.ID + 1}}.Append(nil))
			continue
		}
		r.send(wire.TypeOutcome, out.Append(nil))
	}
}

func TestOrdersOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSession(t)
		e := s.engine
		if _, err := e.Save(t.Context()); !errors.Is(err, ErrNotRunning) {
			t.Errorf("nothing runs: %v", err)
		}
		core, file := stateMemory(t, e.cfg.SnapshotSize)
		e.orders.open(file)
		results := make(chan error, 1)
		go func() {
			state, err := e.Save(t.Context())
			if err == nil && string(state) != "state" {
				t.Errorf("saved %q", state)
			}
			results <- err
		}()
		synctest.Wait()
		if err := e.Load(t.Context(), []byte("other")); !errors.Is(err, ErrBusy) {
			t.Errorf("two at a time: %v", err)
		}
		if got := flushed(t, &e.commands); !slices.Equal(got, []wire.Type{wire.TypeSave}) {
			t.Errorf("sent %v", got)
		}
		size, sum, err := core.PutState(func(dst []byte) (int, error) { return copy(dst, "state"), nil })
		if err != nil {
			t.Fatal(err)
		}
		late := wire.Outcome{Order: wire.Order{ID: 77, Size: 1}}
		out := wire.Outcome{Order: wire.Order{ID: 1, Size: uint32(size), Sum: sum}}
		for _, o := range []wire.Outcome{late, out, out} {
			if err := s.dispatch(wire.TypeOutcome, o.Append(nil)); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-results; err != nil {
			t.Error(err)
		}
		go func() { results <- e.Load(t.Context(), []byte("state")) }()
		synctest.Wait()
		e.orders.close()
		if err := <-results; !errors.Is(err, ErrNotRunning) {
			t.Errorf("the process ended: %v", err)
		}
		var v VideoSpec
		e.commands.begin(&v)
		if got := flushed(t, &e.commands); got != nil {
			t.Errorf("another process is sent %v", got)
		}
	})
}

func stateMemory(t *testing.T, size int) (*shm.Memory, *os.File) {
	t.Helper()
	worker, file, err := shm.Create(size)
	if err != nil {
		t.Skip("SKIPPED: ", err)
	}
	core, err := shm.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(worker.Close(), core.Close(), file.Close()) })
	return core, file
}

// A large state gets through as it was.
func TestLargestState(t *testing.T) {
	const size = 32 << 20
	core, file := stateMemory(t, size)
	data := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	sum, err := shm.GiveState(file, size, data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := core.State(size, sum)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
