package admission

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// rig is a desk and a clock; said is what it told since the last look, like
// "a:1 held 15s" or "b:2 full".
type rig struct {
	t    *testing.T
	desk *Desk[string]
	now  time.Time
}

func newRig(t *testing.T, places int) *rig {
	known := func(game string) bool { return game != "unknown" }
	return &rig{t, New[string](Config{Places: places, Known: known}), time.Unix(1_700_000_000, 0)}
}

func (r *rig) ask(from, id, ticket string, since int64, wait bool) {
	r.desk.Reserve(r.now, from, id, signal.Reserve{Ticket: ticket, Game: "game", Since: since, Wait: wait})
}

func (r *rig) pass(d time.Duration) {
	r.now = r.now.Add(d)
	r.desk.Advance(r.now)
}

func (r *rig) want(said ...string) {
	r.t.Helper()
	var got []string
	for _, a := range r.desk.Answers() {
		text := fmt.Sprintf("%s:%s held %v", a.To, a.ID, a.Hold)
		if a.Err != nil {
			text = fmt.Sprintf("%s:%s %s", a.To, a.ID, a.Err.Code)
		}
		got = append(got, text)
	}
	if strings.Join(got, ", ") != strings.Join(said, ", ") {
		r.t.Errorf("said %q, want %q", got, said)
	}
}

func (r *rig) counts(want Counts) {
	r.t.Helper()
	if want.State == "" {
		want.State = signal.StateReady
	}
	if got := r.desk.Counts(r.now); got != want {
		r.t.Errorf("counts %+v, want %+v", got, want)
	}
}

func (r *rig) take(ticket, room string, evict ...string) {
	r.t.Helper()
	got, err := r.desk.Take(r.now, ticket, room)
	if err != nil || strings.Join(got, " ") != strings.Join(evict, " ") {
		r.t.Errorf("take = %v, %v; want %v", got, err, evict)
	}
}

func TestReserveTakeEnd(t *testing.T) {
	r := newRig(t, 2)
	r.ask("a", "1", "t1", 1, false)
	r.ask("a", "2", "t2", 2, true)
	r.ask("b", "3", "t3", 3, false)
	r.want("a:1 held 15s", "a:2 held 15s", "b:3 full")
	r.take("t1", "room1")
	r.counts(Counts{Places: 2, Taken: 1, Held: 1})
	r.ask("b", "4", "t1", 1, true)
	r.want("b:4 expired") // its place has been taken
	r.desk.End(r.now, "room1")
	r.ask("b", "5", "t3", 3, false)
	r.want("b:5 held 15s")
	r.desk.End(r.now, "room that nobody knows")
	r.counts(Counts{Places: 2, Held: 2})
}

func TestPlacesRunOut(t *testing.T) {
	r := newRig(t, 1)
	r.ask("a", "1", "t1", 1, false)
	r.ask("a", "2", "t2", 2, true)
	r.want("a:1 held 15s")
	r.pass(DefaultHold - time.Millisecond)
	r.want()
	if at, ok := r.desk.Next(r.now); !ok || at.Sub(r.now) != time.Millisecond {
		t.Errorf("due at %v, %v", at, ok)
	}
	r.pass(time.Millisecond)
	r.want("a:2 held 15s")
	if _, err := r.desk.Take(r.now, "t1", "room"); err == nil || err.Code != signal.CodeExpired {
		t.Errorf("a place that has run out is taken: %v", err)
	}
	r.pass(DefaultHold)
	if _, ok := r.desk.Next(r.now); ok {
		t.Error("something is due at an empty desk")
	}
	r.counts(Counts{Places: 1})
}

// TestOrder: by time of asking and then by ticket, over all coordinators.
func TestOrder(t *testing.T) {
	r := newRig(t, 1)
	r.ask("a", "0", "t0", 0, false)
	r.ask("a", "1", "z", 30, true)
	r.ask("b", "2", "y", 10, true)
	r.ask("a", "3", "x", 20, true)
	r.ask("b", "4", "w", 20, true)
	r.want("a:0 held 15s")
	for i, next := range []string{"b:2 held 15s", "b:4 held 15s", "a:3 held 15s", "a:1 held 15s"} {
		r.pass(DefaultHold)
		r.want(next)
		r.counts(Counts{Places: 1, Held: 1, Standing: 3 - i})
	}
}

// TestThousandAtTwo: Shows 1, at one worker.
func TestThousandAtTwo(t *testing.T) {
	r := newRig(t, 200)
	for i := range 1000 {
		from, wait := []string{"a", "b"}[i%2], i < 600
		r.ask(from, fmt.Sprint(i), fmt.Sprintf("t%03d", i), int64(i), wait)
	}
	held, full := 0, 0
	for _, a := range r.desk.Answers() {
		if a.Err == nil {
			held++
		} else if a.Err.Code == signal.CodeFull {
			full++
		}
	}
	if held != 200 || full != 400 {
		t.Errorf("%d held, %d refused", held, full)
	}
	r.counts(Counts{Places: 200, Held: 200, Standing: 400})
}

// TestTicketMoves: a page that resumes at another coordinator keeps its one place.
func TestTicketMoves(t *testing.T) {
	r := newRig(t, 1)
	r.ask("a", "1", "t1", 1, false)
	r.ask("a", "2", "t2", 2, true)
	r.want("a:1 held 15s")
	r.pass(10 * time.Second)
	r.ask("a", "3", "t1", 1, true)
	r.want("a:3 held 5s") // it has it already
	r.ask("b", "4", "t1", 1, true)
	r.want("b:4 held 15s")
	r.desk.Cancel(r.now, "a", "t1") // not its any more
	r.counts(Counts{Places: 1, Held: 1, Standing: 1})
	r.ask("b", "5", "t2", 2, true)
	r.want("a:2 expired")
	r.desk.Cancel(r.now, "a", "t2")
	r.desk.Gone(r.now, "a")
	r.counts(Counts{Places: 1, Held: 1, Standing: 1})
	r.ask("a", "6", "t2", 2, false) // asks without waiting: what stands goes on
	r.want("a:6 full")
	r.desk.Cancel(r.now, "b", "t1")
	r.want("b:5 held 15s")
}

func TestCancelAndGone(t *testing.T) {
	r := newRig(t, 1)
	r.ask("a", "1", "t1", 1, false)
	r.ask("a", "2", "t2", 2, true)
	r.ask("b", "3", "t3", 3, true)
	r.ask("b", "4", "t4", 4, true)
	r.want("a:1 held 15s")
	r.desk.Cancel(r.now, "a", "t2")
	r.desk.Gone(r.now, "a") // what it holds stays: its page may have the answer
	r.counts(Counts{Places: 1, Held: 1, Standing: 2})
	r.take("t1", "room")
	r.desk.Gone(r.now, "b")
	r.desk.End(r.now, "room")
	r.want()
	r.counts(Counts{Places: 1})
}

func TestStandingIsBounded(t *testing.T) {
	r := newRig(t, 1)
	r.ask("a", "0", "t", 0, false)
	r.want("a:0 held 15s")
	for i := range MaxStanding {
		r.ask("a", "x", fmt.Sprintf("t%d", i), 1, true)
	}
	r.want()
	r.ask("a", "more", "tmore", 0, true)
	r.want("a:more full")
	r.ask("b", "other", "tother", 0, true) // is not hit by it
	r.want()
	r.ask("a", "again", "t5", 0, true) // replaces its own
	r.want("a:x expired")
	r.counts(Counts{Places: 1, Held: 1, Standing: MaxStanding + 1})
}

func TestGames(t *testing.T) {
	there := true
	r := newRig(t, 1)
	r.desk = New[string](Config{Places: 1, Hold: time.Second, Known: func(string) bool { return there }})
	r.ask("a", "1", "t1", 1, false)
	r.ask("a", "2", "t2", 2, true)
	r.want("a:1 held 1s")
	r.desk.Refresh(r.now)
	r.want()
	there = false
	r.desk.Refresh(r.now)
	r.want("a:2 not-found")
	r.ask("b", "3", "t3", 3, true)
	r.want("b:3 not-found")
	r.take("t1", "room") // what was granted holds
}

func TestDrain(t *testing.T) {
	r := newRig(t, 2)
	r.ask("a", "1", "t1", 1, false)
	r.ask("a", "2", "t2", 1, false)
	r.ask("a", "3", "t3", 3, true)
	r.want("a:1 held 15s", "a:2 held 15s")
	r.desk.Overload(r.now, true)
	r.desk.Drain(r.now, true)
	r.want("a:3 draining")
	r.counts(Counts{State: signal.StateDraining, Places: 2, Held: 2})
	r.ask("a", "4", "t4", 4, true)
	r.want("a:4 draining")
	r.take("t1", "room") // was granted before
	r.desk.End(r.now, "room")
	r.desk.Drain(r.now, false)
	r.counts(Counts{State: signal.StateOverloaded, Places: 2, Held: 1})
	r.desk.Close(r.now)
	if _, err := r.desk.Take(r.now, "t2", "room"); err == nil || err.Code != signal.CodeDraining {
		t.Errorf("a closed desk gives places: %v", err)
	}
	r.desk.Drain(r.now, false) // for good is for good
	r.counts(Counts{State: signal.StateDraining, Places: 2, Held: 1})
}

// TestOverload: who waits goes on waiting, and is first when it is over.
func TestOverload(t *testing.T) {
	r := newRig(t, 2)
	r.desk.Overload(r.now, true)
	r.ask("a", "1", "t1", 5, false)
	r.ask("a", "2", "t2", 5, true)
	r.want("a:1 overloaded")
	r.counts(Counts{State: signal.StateOverloaded, Places: 2, Standing: 1})
	r.desk.Overload(r.now, false)
	r.want("a:2 held 15s")
	r.ask("a", "3", "t3", 1, false)
	r.want("a:3 held 15s")
}

// TestEmptyRooms hold no place after a moment, and end when it is taken; the
// longest empty first.
func TestEmptyRooms(t *testing.T) {
	r := newRig(t, 3)
	for i := range 3 {
		ticket := fmt.Sprintf("t%d", i)
		r.ask("a", ticket, ticket, 1, false)
		r.take(ticket, fmt.Sprintf("room%d", i))
	}
	r.want("a:t0 held 15s", "a:t1 held 15s", "a:t2 held 15s")
	r.desk.Vacate(r.now, "room1", r.now)
	r.desk.Vacate(r.now, "room nobody knows", r.now)
	r.ask("b", "1", "s1", 1, true)
	r.want() // its player may only be loading the page anew
	r.pass(time.Second)
	r.desk.Vacate(r.now, "room0", r.now)
	r.pass(time.Second)
	r.want("b:1 held 15s")
	r.pass(time.Second)
	r.desk.Vacate(r.now, "room2", time.Time{}) // nobody was ever there: not spared
	r.counts(Counts{Places: 3, Held: 1})
	r.take("s1", "room3", "room2")
	r.ask("b", "2", "s2", 1, false)
	r.take("s2", "room4", "room1")
	if err := r.desk.Return(r.now, "room1"); err != nil {
		t.Errorf("a room that is not known: %v", err)
	}
	r.counts(Counts{Places: 3, Taken: 2})
}

// TestReturn: who comes back into an empty room needs its place again.
func TestReturn(t *testing.T) {
	r := newRig(t, 1)
	r.ask("a", "1", "t1", 1, false)
	r.take("t1", "room")
	r.desk.Vacate(r.now, "room", r.now)
	if err := r.desk.Return(r.now, "room"); err != nil {
		t.Error(err)
	}
	r.ask("b", "2", "t2", 1, true)
	r.pass(DefaultSpare) // is kept for longer than that
	if at, ok := r.desk.Next(r.now); !ok || at.Sub(r.now) != ReturnTime-DefaultSpare {
		t.Errorf("due at %v, %v", at, ok)
	}
	r.want("a:1 held 15s")
	r.desk.Occupy(r.now, "room")
	if err := r.desk.Return(r.now, "room"); err != nil { // one more, while somebody is there
		t.Error(err)
	}
	r.desk.Occupy(r.now, "room")
	r.desk.Vacate(r.now, "room", r.now)
	r.pass(ReturnTime - time.Millisecond)
	r.want()
	r.pass(time.Millisecond)
	r.want("b:2 held 15s")
	if err := r.desk.Return(r.now, "room"); err == nil || err.Code != signal.CodeFull {
		t.Errorf("return = %v", err)
	}
	r.desk.Cancel(r.now, "b", "t2")
	if err := r.desk.Return(r.now, "room"); err != nil {
		t.Errorf("return = %v", err)
	}
	r.counts(Counts{Places: 1, Taken: 1})
}

// TestOccupiedWithoutReturn: too many rooms grant nothing, and free no negative
// number of places.
func TestOccupiedWithoutReturn(t *testing.T) {
	r := newRig(t, 1)
	r.ask("a", "1", "t1", 1, false)
	r.take("t1", "room")
	r.desk.Vacate(r.now, "room", time.Time{})
	r.ask("a", "2", "t2", 1, false)
	r.desk.Occupy(r.now, "room")
	r.ask("a", "3", "t3", 1, false)
	r.want("a:1 held 15s", "a:2 held 15s", "a:3 full")
	r.counts(Counts{Places: 1, Taken: 1, Held: 1})
	if n := r.desk.Free(r.now); n != 0 {
		t.Errorf("%d free", n)
	}
}

func BenchmarkReserve(b *testing.B) {
	d := New[int](Config{Places: 16})
	now := time.Unix(0, 0)
	for i := range 16 {
		d.Reserve(now, 0, "", signal.Reserve{Ticket: fmt.Sprint(i)})
	}
	d.Answers()
	for i := range MaxStanding - 1 {
		d.Reserve(now, 0, "", signal.Reserve{Ticket: fmt.Sprintf("w%d", i), Since: int64(i), Wait: true})
	}
	for b.Loop() {
		d.Reserve(now, 0, "", signal.Reserve{Ticket: "x", Since: 5, Wait: true})
		d.Cancel(now, 0, "x")
	}
}

// Places come and go: who waits gets what there is more, and rooms that are too
// many stay.
func TestResize(t *testing.T) {
	r := newRig(t, 1)
	r.ask("a", "1", "t1", 1, true)
	r.ask("a", "2", "t2", 2, true)
	r.ask("b", "3", "t3", 3, true)
	r.want("a:1 held 15s")
	r.desk.Resize(r.now, 2)
	r.want("a:2 held 15s")
	r.take("t1", "room1")
	r.take("t2", "room2")
	r.desk.Resize(r.now, 1)
	r.counts(Counts{Places: 1, Taken: 2, Standing: 1})
	r.desk.End(r.now, "room1")
	r.want()
	r.desk.End(r.now, "room2")
	r.want("b:3 held 15s")
}
