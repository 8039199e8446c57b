package coordinator

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// shelf is a Coordinator without sockets, for what workers say of their libraries.
func shelf() *Coordinator {
	return &Coordinator{log: silentLog(), registry: newRegistry(), stats: newStats()}
}

// says hands a change to the coordinator as if the worker had sent it.
func (c *Coordinator) says(t *testing.T, w *workerLink, l signal.Library) []*workerLink {
	t.Helper()
	adopted, err := c.libraryFromWorker(w, l)
	if err != nil {
		t.Fatal(err)
	}
	return adopted
}

// full is the message with all games.
func full(list []signal.Game) signal.Library {
	return signal.Library{Digest: signal.LibraryDigest(list), Put: list}
}

// has says whether the worker's games are the list.
func (w *workerLink) has(list []signal.Game) bool {
	want := map[string]signal.Game{}
	for _, g := range list {
		want[g.ID] = g
	}
	return w.library != nil && reflect.DeepEqual(w.library.games, want)
}

// asked says whether the worker was told, by being accepted or later, to send
// all its games, and forgets that it was.
func asked(t *testing.T, w *workerLink) bool {
	t.Helper()
	w.sock.mu.Lock()
	defer w.sock.mu.Unlock()
	was := false
	for _, data := range w.sock.queue {
		e, err := signal.Decode(data, signal.MaxInternal)
		if err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case signal.TypeAccepted:
			was = was || read[signal.Accepted](t, e).Library
		case signal.TypeWant:
			was = true
		}
	}
	w.sock.queue = nil
	return was
}

// A thousand workers with one library: one is asked for it, it is kept once, and
// all have it as soon as that one has said it.
func TestLibraryIsKeptOnce(t *testing.T) {
	c := shelf()
	list := games("a", "b", "c")
	var all, told []*workerLink
	for i := range 1000 {
		w := link(fmt.Sprint(i), loose(), nil)
		c.registry.addWorker(w, signal.LibraryDigest(list), nil)
		all = append(all, w)
		if asked(t, w) {
			told = append(told, w)
		}
	}
	if len(told) != 1 {
		t.Fatalf("%d workers are asked for the same library", len(told))
	}
	if _, err := c.registry.candidates("a", "", nil); signal.AsError(err).Code != signal.CodeNoWorker {
		t.Errorf("before anything is known: %v", err)
	}
	if adopted := c.says(t, told[0], full(list)); len(adopted) != 1000 {
		t.Errorf("%d workers have it", len(adopted))
	}
	for _, w := range all {
		if w.library != all[0].library || !w.has(list) {
			t.Fatalf("%s has another copy", w.id)
		}
	}
	late := link("late", loose(), nil)
	c.registry.addWorker(late, signal.LibraryDigest(list), nil)
	if asked(t, late) || late.library != all[0].library {
		t.Error("who comes later does not share it")
	}
	if w, err := c.registry.candidates("b", "", nil); err != nil || len(w) != lookedAt {
		t.Errorf("%d candidates, %v", len(w), err)
	}
	for _, w := range append(all, late) {
		c.registry.removeWorker(w)
	}
	if l := c.registry.libraries; len(l.known)+len(l.wanted) != 0 {
		t.Errorf("left: %v %v", l.known, l.wanted)
	}
}

// The one that was asked goes away, says something wrong, or nothing: another is
// asked, and those that failed are not asked without end.
func TestLibraryOfAnotherWorker(t *testing.T) {
	list := games("a", "b")
	wrong := signal.Library{Digest: signal.LibraryDigest(list), Put: games("a")}
	for name, fail := range map[string]func(c *Coordinator, w *workerLink){
		"gone": func(c *Coordinator, w *workerLink) { c.registry.removeWorker(w) },
		"wrong": func(c *Coordinator, w *workerLink) {
			if _, err := c.libraryFromWorker(w, wrong); err == nil {
				t.Error("a library that is not what it says is taken")
			}
		},
		"silent": func(c *Coordinator, _ *workerLink) { c.registry.sweep(time.Now().Add(libraryPatience)) },
		"has another one by now": func(c *Coordinator, w *workerLink) {
			c.registry.announceLibrary(w, signal.LibraryDigest(games("z")), false)
			asked(t, w) // for that
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := shelf()
			one, two := link("one", loose(), nil), link("two", loose(), nil)
			c.registry.addWorker(one, signal.LibraryDigest(list), nil)
			c.registry.addWorker(two, signal.LibraryDigest(list), nil)
			if !asked(t, one) || asked(t, two) {
				t.Fatal("not the first is asked")
			}
			fail(c, one)
			if asked(t, one) || !asked(t, two) {
				t.Fatal("the other is not asked")
			}
			c.says(t, two, full(list))
			if !two.has(list) {
				t.Error("the games are not known")
			}
		})
	}
	t.Run("always wrong", func(t *testing.T) {
		c := shelf()
		w := link("w", loose(), nil)
		c.registry.addWorker(w, signal.LibraryDigest(list), nil)
		times := 0
		for asked(t, w) {
			times++
			_, _ = c.libraryFromWorker(w, wrong)
		}
		if times != libraryFaults {
			t.Errorf("asked %d times", times)
		}
		honest := link("h", loose(), nil)
		c.registry.addWorker(honest, signal.LibraryDigest(list), nil)
		if !asked(t, honest) {
			t.Error("the next one is not asked")
		}
	})
}

func TestLibraryDeltas(t *testing.T) {
	c := shelf()
	old, next := games("a", "b", "c"), append(games("b", "d"), signal.Game{ID: "a", Title: "Other", System: "gba"})
	one, two := link("one", loose(), nil), link("two", loose(), nil)
	c.registry.enroll(one, old)
	c.registry.enroll(two, old)
	delta := signal.Library{
		Base: signal.LibraryDigest(old), Digest: signal.LibraryDigest(next), Put: next, Gone: []string{"c", "never-there"},
	}
	if adopted := c.says(t, one, delta); !slices.Equal(adopted, []*workerLink{one}) || !one.has(next) || !two.has(old) {
		t.Errorf("%d adopted; %+v", len(adopted), one.library)
	}
	// The second says the same, in which nothing is looked at any more.
	c.says(t, two, signal.Library{Base: delta.Base, Digest: delta.Digest, Gone: []string{"a"}})
	if one.library != two.library {
		t.Error("two copies")
	}
	// What it is based on is not there any more: all of it, please; the worker
	// keeps what it had.
	last := games("x")
	c.says(t, one, signal.Library{Base: signal.LibraryDigest(old), Digest: signal.LibraryDigest(last), Put: last})
	if !asked(t, one) || !one.has(next) {
		t.Error("an unknown base is not asked about")
	}
	c.says(t, one, full(last))
	if !one.has(last) || !two.has(next) {
		t.Error("the whole list does not count")
	}
	// To nothing.
	c.says(t, one, signal.Library{Base: signal.LibraryDigest(last), Digest: signal.LibraryDigest(nil), Gone: []string{"x"}})
	if !one.has(nil) {
		t.Error("an empty library")
	}
}

func TestLibraryInParts(t *testing.T) {
	c := shelf()
	list := games("a", "b", "c", "d")
	w := link("w", loose(), nil)
	c.registry.addWorker(w, signal.LibraryDigest(list), nil)
	asked(t, w)
	part := func(more bool, put ...string) signal.Library {
		return signal.Library{Digest: signal.LibraryDigest(list), Put: games(put...), More: more}
	}
	// Parts of another change are forgotten when a new one begins.
	c.says(t, w, signal.Library{Digest: signal.LibraryDigest(games("q")), Put: games("p", "q"), More: true})
	c.says(t, w, part(true, "a", "b"))
	c.says(t, w, part(true, "c"))
	if w.library != nil {
		t.Error("a part counts")
	}
	c.says(t, w, part(false, "d"))
	if !w.has(list) || w.incoming.put != nil {
		t.Errorf("%+v, %+v", w.library, w.incoming)
	}
}

func TestLibraryIsBounded(t *testing.T) {
	c := shelf()
	w := link("w", loose(), nil)
	c.registry.addWorker(w, signal.LibraryDigest(nil), nil)
	digest := signal.LibraryDigest(games("never"))
	var err error
	sent := 0
	for ; err == nil && sent < 2*signal.MaxGames; sent += signal.LibraryPart {
		part := signal.Library{Digest: digest, More: true}
		for i := range signal.LibraryPart {
			part.Put = append(part.Put, signal.Game{ID: fmt.Sprint(sent + i), Title: "t", System: "s"})
		}
		_, err = c.libraryFromWorker(w, part)
	}
	if signal.AsError(err) == nil || signal.AsError(err).Code != signal.CodeTooLarge || sent < signal.MaxGames || w.incoming.put != nil {
		t.Errorf("after %d games: %v", sent, err)
	}
}

// Workers that come, go, come again and change their libraries at the same time
// leave nothing behind, and each has at any time what it announced last or
// nothing.
func TestLibrariesRace(t *testing.T) {
	c := shelf()
	lists := [][]signal.Game{games("a"), games("a", "b"), games("c"), nil}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 100 {
				list := lists[rand.IntN(len(lists))]
				w := link(fmt.Sprint(i%6), loose(), nil) // some have the same id
				c.registry.addWorker(w, signal.LibraryDigest(list), []signal.Room{{ID: signal.NewID(), Game: "a"}})
				_, _ = c.libraryFromWorker(w, full(list))
				next := lists[rand.IntN(len(lists))]
				_, _ = c.libraryFromWorker(w, signal.Library{Base: signal.LibraryDigest(list), Digest: signal.LibraryDigest(next), Put: next})
				_, _ = c.registry.candidates("a", "", nil)
				c.registry.games.Load()
				c.registry.sweep(time.Now())
				c.registry.removeWorker(w)
			}
		})
	}
	all.Wait()
	r := c.registry
	if len(r.workers)+len(r.rooms)+len(r.libraries.known)+len(r.libraries.wanted)+len(r.byZone.probes) != 0 {
		t.Errorf("left: %d workers, %d rooms, %v, %v, %v", len(r.workers), len(r.rooms), r.libraries.known, r.libraries.wanted, r.byZone.probes)
	}
}
