package coordinator

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// of is what another coordinator says just now.
func (b *board) of(coordinator string, since ...int64) signal.Queue {
	return newBoard(coordinator, b.secret).sign(since)
}

// hears is that nothing is wrong with what b hears.
func (b *board) hears(t *testing.T, q signal.Queue) {
	t.Helper()
	if err := b.heard(q); err != nil {
		t.Errorf("%+v: %v", q, err)
	}
}

func TestBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard("m", secret)
		b.hears(t, b.of("m", 1)) // our own
		b.hears(t, b.of("a", 1, 5, 5))
		b.hears(t, b.of("z", 2, 5))
		for since, want := range map[int64]int{0: 0, 1: 1, 2: 1, 3: 2, 5: 4, 6: 5} {
			if n, all := b.ahead(since); n != want || all != 5 {
				t.Errorf("%d of %d are before %d, not %d", n, all, since, want)
			}
		}
		time.Sleep(time.Millisecond)
		b.hears(t, b.of("z"))
		if _, all := b.ahead(0); all != 3 {
			t.Errorf("%d wait after z has none", all)
		}
		time.Sleep(boardLife + 1)
		if !b.empty() {
			t.Error("who has died still waits")
		}
		for range 2 * maxElsewhere {
			b.hears(t, b.of(signal.NewID(), 1))
		}
		if n := len(b.queues); n != maxElsewhere {
			t.Errorf("%d are heard of", n)
		}
		time.Sleep(boardLife + clockSkew + 1)
		b.hears(t, b.of("a", 1))
		if n := len(b.queues); n != 1 {
			t.Errorf("%d are heard of when the others are long silent", n)
		}
	})
}

// TestListsRise: those that are made at the same moment are told apart.
func TestListsRise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newBoard("a", secret), newBoard("b", secret)
		first, second := a.sign([]int64{1}), a.sign(nil)
		b.hears(t, second)
		b.hears(t, first)
		if !b.empty() {
			t.Error("the first comes after the second")
		}
	})
}

// TestQueuesThatWorkersMakeUp: a worker carries what coordinators say, and has
// nothing to say of who waits at them: no list of its own, and no old one.
func TestQueuesThatWorkersMakeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard("m", secret)
		none, said := b.of("a"), b.of("a", 1, 2)
		for name, change := range map[string]func(*signal.Queue){
			"not signed":             func(q *signal.Queue) { q.MAC = "" },
			"signed by somebody":     func(q *signal.Queue) { *q = q.Sign("another secret") },
			"of another coordinator": func(q *signal.Queue) { q.Coordinator = "b" },
			"with one more":          func(q *signal.Queue) { q.Since = []int64{1, 2, 2} },
			"with none":              func(q *signal.Queue) { q.Since = nil },
			"of another time":        func(q *signal.Queue) { q.At++ },
		} {
			q := said
			change(&q)
			if err := b.heard(q); signal.AsError(err).Code != signal.CodeDenied || !b.empty() {
				t.Errorf("%s: %v", name, err)
			}
		}
		if (&board{self: "m", queues: map[string]elsewhere{}}).heard(newBoard("a", "").sign(nil)) == nil {
			t.Error("a list is signed with no secret")
		}
		waits := func(when string, want int) {
			t.Helper()
			if _, all := b.ahead(0); all != want {
				t.Errorf("%s: %d wait", when, all)
			}
		}
		ahead := newBoard("c", secret) // by its clock
		b.hears(t, signal.Queue{Coordinator: ahead.self, Since: []int64{1}, At: time.Now().Add(2 * clockSkew).UnixMilli()}.Sign(secret))
		waits("of the day after", 0)
		b.hears(t, said)
		b.hears(t, none) // of the same time
		waits("the list", 2)
		time.Sleep(boardLife - 1)
		b.hears(t, said)
		time.Sleep(2 * time.Nanosecond)
		waits("the same again does not hold longer", 0)
		b.hears(t, b.of("a", 1))
		b.hears(t, said)
		waits("the newer list", 1)
		time.Sleep(2 * (boardLife + clockSkew))
		b.hears(t, said)
		waits("long ago", 0)
	})
}
