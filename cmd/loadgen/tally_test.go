package loadgen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// waiting is a tally of so many pages that have been told their positions.
func waiting(n int) (*tally, []*page) {
	t := newTally(Options{})
	pages := make([]*page, n)
	for i := range pages {
		pages[i] = &page{}
		t.queued(pages[i], i+1)
	}
	t.look()
	return t, pages
}

// By how much somebody came too early, for the order in which places were given;
// a negative one gave up.
func TestOrdersOfGrants(t *testing.T) {
	for name, test := range map[string]struct {
		order []int
		want  int
	}{
		"as they came":              {[]int{1, 2, 3, 4, 5}, 0},
		"two changed":               {[]int{2, 1, 3, 4, 5}, 1},
		"the last is the first":     {[]int{5, 1, 2, 3, 4}, 4},
		"backwards":                 {[]int{5, 4, 3, 2, 1}, 4},
		"the first is the last":     {[]int{2, 3, 4, 5, 1}, 1},
		"the first gives up":        {[]int{-1, 2, 3, 4, 5}, 0},
		"all give up":               {[]int{-1, -2, -3, -4, -5}, 0},
		"the last gives up":         {[]int{-5, 1, 2, 3, 4}, 0},
		"all but the last":          {[]int{-1, -2, -3, -4, 5}, 0},
		"the third, before the two": {[]int{3}, 2},
	} {
		tally, pages := waiting(5)
		for _, at := range test.order {
			if !tally.unqueue(pages[max(at, -at)-1], at > 0) {
				t.Errorf("%s: %d does not wait", name, at)
			}
		}
		if n := tally.now(); n.overtaken != test.want || n.waiting != 5-len(test.order) || n.exact != 5 || n.mostWaits != 5 {
			t.Errorf("%s: %+v, want %d", name, n, test.want)
		}
	}
}

// Who came after the positions were exact is nobody who was overtaken, nor does
// he overtake.
func TestGrantsOfLatecomers(t *testing.T) {
	tally, _ := waiting(3)
	late := &page{}
	tally.queued(late, 4)
	if !tally.unqueue(late, true) {
		t.Error("he does not wait")
	}
	if n := tally.now(); n.overtaken != 0 || n.everWait != 4 || n.mostWaits != 4 || n.waiting != 3 {
		t.Errorf("%+v", n)
	}
	// As soon as more than before have exact positions, these count.
	for at := range 2 {
		tally.queued(&page{}, 4+at)
	}
	tally.look()
	if n := tally.now(); n.exact != 5 {
		t.Errorf("%+v", n)
	}
}

func TestPeaks(t *testing.T) {
	tally := newTally(Options{})
	for range 3 {
		tally.workerJoined(1)
		tally.idler(true)
	}
	tally.workerJoined(-1)
	tally.lostIdler("x")
	tally.idler(false)
	tally.roomOpened("a")
	tally.roomOpened("b")
	tally.roomClosed("a")
	tally.roomOpened("c")
	n := tally.now()
	if n.joined != 2 || n.mostJoined != 3 || n.idle != 2 || n.mostIdle != 3 || n.idleLost != 2 {
		t.Errorf("%+v", n)
	}
	if n.running != 2 || n.mostRuns != 2 || n.doubled != 0 {
		t.Errorf("%+v", n)
	}
	if got := tally.causes(); !slices.Equal(got, []Cause{{"lost: x", 1}}) {
		t.Errorf("%v", got)
	}
}

// Rooms and places that two have: each is one thing given twice.
func TestWhatIsGivenTwice(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(t *tally)
		want int
	}{
		"nothing":                   {func(*tally) {}, 0},
		"a room after the other":    {func(t *tally) { t.answer(0, "a"); t.leftRoom("a"); t.answer(0, "a") }, 0},
		"two rooms":                 {func(t *tally) { t.answer(0, "a"); t.answer(0, "b") }, 0},
		"one room":                  {func(t *tally) { t.answer(0, "a"); t.answer(0, "a"); t.answer(0, "a") }, 2},
		"a session at two workers":  {func(t *tally) { t.roomOpened("s"); t.roomOpened("s") }, 1},
		"one that goes on":          {func(t *tally) { t.roomOpened("s"); t.roomClosed("s"); t.roomOpened("s") }, 0},
		"more than a worker has":    {func(t *tally) { t.double() }, 1},
		"one more game than places": {func(t *tally) { t.roomOpened("a"); t.roomOpened("b"); t.roomOpened("c") }, 1},
	} {
		o := Options{Workers: 1, Places: 2}
		tally := newTally(o)
		test.do(tally)
		if got := (&run{o: o, tally: tally}).report(false); got.Doubled != test.want {
			t.Errorf("%s: %d, want %d", name, got.Doubled, test.want)
		}
	}
	// Places of real workers are not known.
	tally := newTally(Options{})
	tally.roomOpened("a")
	if got := (&run{tally: tally}).report(false); got.Doubled != 0 {
		t.Errorf("%+v", got)
	}
}

func TestTimesBySort(t *testing.T) {
	tally := newTally(Options{})
	tally.greeted(1)
	tally.grant(2, false)
	tally.grant(3, true)
	tally.answer(4, "a")
	tally.picture(5)
	r := (&run{tally: tally}).report(false)
	for n, got := range map[time.Duration]Times{1: r.Hello, 2: r.Grant, 3: r.Wait, 4: r.Answer, 5: r.Picture} {
		if got != (Times{1, n, n, n, n}) {
			t.Errorf("%+v, want %d", got, n)
		}
	}
	if r.Granted != 2 || r.Answered != 1 || tally.now().pictures != 1 {
		t.Errorf("%+v", r)
	}
}

func TestProgress(t *testing.T) {
	tally := newTally(Options{Browsers: 20, Starts: 10})
	tally.workerJoined(7)
	tally.idler(true)
	tally.start()
	tally.start()
	tally.queued(&page{}, 1)
	tally.answer(0, "a")
	tally.roomOpened("s")
	tally.refused(t.Context(), "a")
	tally.refused(t.Context(), "b")
	want := "links of workers 7   idle pages 1/20   starts 2/10: 1 answered, 1 waiting, 1 games running   refused or lost 2"
	if got := tally.progress(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	var out strings.Builder
	(&run{o: Options{Progress: &out}, tally: tally, began: time.Now()}).progress()
	if !strings.HasSuffix(out.String(), want+"\n") || !strings.HasPrefix(out.String(), "   0s") {
		t.Errorf("%q", out.String())
	}
}

// The most frequent causes come first, equal ones by their text; after the end
// of a run nothing is anybody's fault.
func TestOrderOfCauses(t *testing.T) {
	tally := newTally(Options{})
	for why, n := range map[string]int{"b": 2, "a": 2, "c": 3, "z": 1} {
		for range n {
			tally.refused(t.Context(), why)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 4 {
		tally.refused(ctx, "whatever")
	}
	want := []Cause{{"given up at the end", 4}, {"c", 3}, {"a", 2}, {"b", 2}, {"z", 1}}
	if got := tally.causes(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := cause(errors.New(strings.Repeat("x", 9000))); len(got) > signal.MaxText {
		t.Errorf("a cause of %d bytes", len(got))
	}
}

// All of it may be called by many at once.
func TestTallyOfMany(t *testing.T) {
	const pages, each = 8, 50
	tally := newTally(Options{})
	var group sync.WaitGroup
	for n := range pages {
		group.Go(func() {
			for i := range each {
				p, name := &page{}, fmt.Sprint(n, "-", i)
				tally.start()
				tally.queued(p, n+1)
				tally.look()
				_ = tally.progress()
				tally.grant(1, tally.unqueue(p, true))
				tally.roomOpened(name)
				tally.answer(1, name)
				tally.roomClosed(name)
				tally.leftRoom(name)
			}
		})
	}
	group.Wait()
	n := tally.now()
	if n.started != pages*each || n.granted != n.started || n.answered != n.started || n.everWait != n.started || n.waiting+n.running+n.doubled != 0 {
		t.Errorf("%+v", n)
	}
	if n.mostRuns < 1 || n.mostRuns > pages || n.mostWaits < 1 || n.mostWaits > pages {
		t.Errorf("%+v", n)
	}
}
