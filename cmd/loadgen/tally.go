package loadgen

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// maxCauses are told apart; the others count together.
const maxCauses = 40

// tally is what has happened so far. Its methods may be called concurrently.
type tally struct {
	o Options

	mu       sync.Mutex
	done     bool // what ends now was ended by us
	counts   counts
	refusals map[string]int
	hellos   []time.Duration // from dialing to the greeting
	grants   []time.Duration // from start to place, of those who did not wait
	waits    []time.Duration // of those who did
	answers  []time.Duration // from start to answer
	pictures []time.Duration // from answer to the first packets

	sessions map[string]bool // that have a room at a simulated worker
	rooms    map[string]bool // that pages are in
	line     map[*page]int   // who waits, and the position told last
	settled  map[*page]int   // who waited when positions were exact, and at which
	gone     int             // of them, who wait no more
}

// counts are numbers of the moment, and peaks.
type counts struct {
	joined, mostJoined int // links of workers, over all coordinators
	idle, mostIdle     int
	idleLost           int
	started, answered  int
	granted, everWait  int
	running, mostRuns  int
	waiting, mostWaits int
	exact              int // who waited when all positions were told exactly, at the most
	overtaken          int // by how many places somebody came too early, at the most
	pictures           int
	doubled            int
}

func newTally(o Options) *tally {
	return &tally{
		o: o, refusals: map[string]int{}, sessions: map[string]bool{}, rooms: map[string]bool{}, line: map[*page]int{},
	}
}

func (t *tally) lock() func() {
	t.mu.Lock()
	return t.mu.Unlock
}

func (t *tally) now() counts {
	defer t.lock()()
	return t.counts
}

func (t *tally) ending() {
	defer t.lock()()
	t.done = true
}

func (t *tally) workerJoined(n int) {
	defer t.lock()()
	t.counts.joined += n
	t.counts.mostJoined = max(t.counts.mostJoined, t.counts.joined)
}

// idler counts an idle browser that came, or could not.
func (t *tally) idler(came bool) {
	defer t.lock()()
	if came {
		t.counts.idle++
		t.counts.mostIdle = max(t.counts.mostIdle, t.counts.idle)
	} else {
		t.counts.idleLost++
	}
}

// lostIdler counts an idle browser whose connection ended.
func (t *tally) lostIdler(why string) {
	defer t.lock()()
	if t.done {
		return
	}
	t.counts.idle--
	t.counts.idleLost++
	t.refuse("lost: " + why)
}

func (t *tally) greeted(took time.Duration) {
	defer t.lock()()
	t.hellos = append(t.hellos, took)
}

// refused counts what did not work. After the end of ctx nothing is anybody's fault.
func (t *tally) refused(ctx context.Context, why string) {
	defer t.lock()()
	if ctx.Err() != nil {
		why = "given up at the end"
	}
	t.refuse(why)
}

// refuse counts a cause. t.mu is held.
func (t *tally) refuse(why string) {
	if _, known := t.refusals[why]; !known && len(t.refusals) >= maxCauses {
		why = "other"
	}
	t.refusals[why]++
}

func (t *tally) start() {
	defer t.lock()()
	t.counts.started++
}

// grant counts a place that a page was given.
func (t *tally) grant(took time.Duration, waited bool) {
	defer t.lock()()
	t.counts.granted++
	if waited {
		t.waits = append(t.waits, took)
	} else {
		t.grants = append(t.grants, took)
	}
}

// answer counts a game that runs, in a room that nobody else may have been given.
func (t *tally) answer(took time.Duration, room string) {
	defer t.lock()()
	t.counts.answered++
	t.answers = append(t.answers, took)
	if t.rooms[room] {
		t.counts.doubled++
	}
	t.rooms[room] = true
}

func (t *tally) leftRoom(room string) {
	defer t.lock()()
	delete(t.rooms, room)
}

// roomOpened counts a room at a simulated worker: a session has but one, and all
// of them no more than the places that there are.
func (t *tally) roomOpened(session string) {
	defer t.lock()()
	if t.sessions[session] {
		t.counts.doubled++
	}
	t.sessions[session] = true
	t.counts.running++
	t.counts.mostRuns = max(t.counts.mostRuns, t.counts.running)
}

func (t *tally) roomClosed(session string) {
	defer t.lock()()
	delete(t.sessions, session)
	t.counts.running--
}

// double counts a place that was given twice.
func (t *tally) double() {
	defer t.lock()()
	t.counts.doubled++
}

func (t *tally) picture(took time.Duration) {
	defer t.lock()()
	t.counts.pictures++
	t.pictures = append(t.pictures, took)
}

// queued notes the position that a page was told.
func (t *tally) queued(p *page, position int) {
	defer t.lock()()
	if _, waits := t.line[p]; !waits {
		t.counts.everWait++
		t.counts.waiting++
		t.counts.mostWaits = max(t.counts.mostWaits, t.counts.waiting)
	}
	t.line[p] = position
}

// unqueue takes a page out of the line; false if it was not in it. Whoever is
// granted a place must not have been far from the head of those that waited when
// all positions were known.
func (t *tally) unqueue(p *page, granted bool) bool {
	defer t.lock()()
	if _, waits := t.line[p]; !waits {
		return false
	}
	delete(t.line, p)
	t.counts.waiting--
	if at, ok := t.settled[p]; ok {
		t.gone++
		delete(t.settled, p)
		if granted {
			t.counts.overtaken = max(t.counts.overtaken, at-t.gone)
		}
	}
	return true
}

// look sees whether those who wait have been told 1, 2, 3... to the last: then it
// is known in which order they must be granted.
func (t *tally) look() {
	defer t.lock()()
	n := len(t.line)
	if n <= t.counts.exact {
		return
	}
	seen := make([]bool, n+1)
	for _, at := range t.line {
		if at > n || seen[at] {
			return
		}
		seen[at] = true
	}
	t.counts.exact, t.gone = n, 0
	t.settled = make(map[*page]int, n)
	for p, at := range t.line {
		t.settled[p] = at
	}
}

// progress is the state for people who watch.
func (t *tally) progress() string {
	defer t.lock()()
	c := t.counts
	refused := 0
	for _, n := range t.refusals {
		refused += n
	}
	return fmt.Sprintf("links of workers %d   idle pages %d/%d   starts %d/%d: %d answered, %d waiting, %d games running   refused or lost %d",
		c.joined, c.idle, t.o.Browsers, c.started, t.o.Starts, c.answered, c.waiting, c.running, refused)
}

// causes are why something was refused, the most frequent first.
func (t *tally) causes() []Cause {
	defer t.lock()()
	var out []Cause
	for why, n := range t.refusals {
		out = append(out, Cause{why, n})
	}
	slices.SortFunc(out, func(a, b Cause) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Why, b.Why)
	})
	return out
}

// measured fills in the times of a report.
func (t *tally) measured(r *Report) {
	defer t.lock()()
	r.Hello, r.Grant, r.Wait = newTimes(t.hellos), newTimes(t.grants), newTimes(t.waits)
	r.Answer, r.Picture = newTimes(t.answers), newTimes(t.pictures)
}

// cause is an error in few words, so that the same ones count together.
func cause(err error) string {
	var refusal *signal.Error
	var closed *websocket.CloseError
	var number syscall.Errno
	switch {
	case errors.As(err, &refusal):
		return string(refusal.Code)
	case errors.As(err, &closed):
		return fmt.Sprintf("closed with %d %s", closed.Code, closed.Text)
	case errors.As(err, &number):
		return number.Error()
	case errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), "i/o timeout"):
		return "time-out"
	}
	return signal.Clip(err.Error())
}
