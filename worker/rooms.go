package worker

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/uplink"
	"github.com/cloudretro/cloudretro/worker/admission"
	"github.com/cloudretro/cloudretro/worker/room"
)

// desk decides about the places of this worker.
type desk = admission.Desk[*uplink.Link]

// rooms is the table of what is played, and of the places for it. Its methods
// may be called from any goroutine.
type rooms struct {
	changed func() // what coordinators are told of the places is not true any more
	over    func() // a room has ended

	mu      sync.Mutex
	limit   int
	retired bool // the worker has been told to end
	desk    *desk
	told    admission.Counts // when changed was called last
	byID    map[string]*running
	pulse   chan struct{} // closed and replaced when a room has ended
	closing bool
	group   sync.WaitGroup
	due     chan struct{} // the desk's next moment may be another; capacity 1
}

// roomPatience is how long a start waits for rooms that are ending: longer than
// a core process that is told to end takes.
const roomPatience = 700 * time.Millisecond

// maxEnding is how many rooms may still be ending beside those that play.
const maxEnding = 2

// running is a room and how to end it.
type running struct {
	*room.Room
	cancel context.CancelCauseFunc // nil: the worker does not want it any more
	since  time.Time               // opened
	pace   paceFunc
	paced  pace // as it was last looked at; of Worker.watch
}

func (t *rooms) init(limit int, known func(game string) bool, changed, over func()) {
	t.limit, t.changed, t.over, t.byID = limit, changed, over, map[string]*running{}
	t.pulse, t.due = make(chan struct{}), make(chan struct{}, 1)
	t.desk = admission.New[*uplink.Link](admission.Config{Places: limit, Known: known})
	t.told = t.desk.Counts(time.Now())
}

// decide does something at the desk and delivers what it answers, in the order
// of deciding. f must not block.
func (t *rooms) decide(f func(d *desk, now time.Time)) {
	t.mu.Lock()
	now := time.Now()
	f(t.desk, now)
	for _, a := range t.desk.Answers() {
		deliver(a)
	}
	counts := t.desk.Counts(now)
	changed := t.told != counts
	t.told = counts
	t.mu.Unlock()
	mark(t.due)
	if changed {
		t.changed()
	}
}

// mark notes that something is to be done; once is enough.
func mark(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run lets places run out until ctx ends.
func (t *rooms) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.due:
		case <-timer.C:
			t.decide((*desk).Advance)
		}
		t.mu.Lock()
		now := time.Now()
		at, ok := t.desk.Next(now)
		t.mu.Unlock()
		wait := time.Hour
		if ok {
			wait = at.Sub(now)
		}
		timer.Reset(wait)
	}
}

func (t *rooms) gone(l *uplink.Link) { t.decide(func(d *desk, now time.Time) { d.Gone(now, l) }) }

// refresh says that the library has changed.
func (t *rooms) refresh() { t.decide((*desk).Refresh) }

// drain has the desk grant nothing, or go on; not once the worker was told to end.
func (t *rooms) drain(on bool) {
	t.decide(func(d *desk, now time.Time) { d.Drain(now, on || t.retired) })
}

// retire is drain for good.
func (t *rooms) retire() {
	t.decide(func(d *desk, now time.Time) {
		t.retired = true
		d.Drain(now, true)
	})
}

// resize changes how many places there are. Rooms that are too many stay.
func (t *rooms) resize(places int) {
	t.decide(func(d *desk, now time.Time) {
		t.limit = places
		d.Resize(now, places)
	})
}

func (t *rooms) overload(on bool) { t.decide(func(d *desk, now time.Time) { d.Overload(now, on) }) }

func (t *rooms) counts() admission.Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.desk.Counts(time.Now())
}

// take gives the place that is held for a ticket to the room with an id. Empty
// rooms whose place that was end. The error is a *signal.Error.
func (t *rooms) take(ticket, id string) error {
	var refused *signal.Error
	t.decide(func(d *desk, now time.Time) {
		var evict []string
		evict, refused = d.Take(now, ticket, id)
		for _, other := range evict {
			if r := t.byID[other]; r != nil {
				r.cancel(signal.Errorf(signal.CodeNotFound, "the room was empty and made room for another one"))
			}
		}
	})
	if refused != nil {
		return refused
	}
	return nil
}

// free gives back the place of a room.
func (t *rooms) free(id string) { t.decide(func(d *desk, now time.Time) { d.End(now, id) }) }

// comeBack keeps the place of a room for somebody who is about to enter it. The
// error, a *signal.Error, says that it was given away.
func (t *rooms) comeBack(id string) error {
	var refused *signal.Error
	t.decide(func(d *desk, now time.Time) { refused = d.Return(now, id) })
	if refused != nil {
		return refused
	}
	return nil
}

// visited says that somebody has entered or left a room.
func (t *rooms) visited(r *room.Room) {
	t.decide(func(d *desk, now time.Time) {
		if since, idle := r.Idle(); idle {
			d.Vacate(now, r.ID(), since)
		} else {
			d.Occupy(now, r.ID())
		}
	})
}

// find is the room with an id, nil if there is none.
func (t *rooms) find(id string) *room.Room {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.byID[id]; r != nil {
		return r.Room
	}
	return nil
}

// start runs a room that has taken a place. The error is a *signal.Error if too
// many others are still ending, and stay so until ctx ends.
func (t *rooms) start(ctx context.Context, log *slog.Logger, r *running, run runRoom) error {
	for {
		t.mu.Lock()
		full, pulse := len(t.byID) >= 2*t.limit+maxEnding, t.pulse
		if t.closing {
			t.mu.Unlock()
			return signal.Errorf(signal.CodeDraining, "the worker is going down")
		}
		if !full {
			defer t.mu.Unlock()
			t.add(log, r, run)
			return nil
		}
		t.mu.Unlock()
		select {
		case <-pulse:
		case <-ctx.Done():
			return signal.Errorf(signal.CodeFull, "too many rooms of the worker are ending; try again in a moment")
		}
	}
}

// add runs a room. t.mu is held.
func (t *rooms) add(log *slog.Logger, r *running, run runRoom) {
	ctx, cancel := context.WithCancelCause(context.Background())
	r.cancel, r.since = cancel, time.Now()
	t.byID[r.ID()] = r
	t.group.Go(func() {
		defer cancel(nil)
		if err := run(ctx, r.Room); err != nil {
			log.Warn("game ended", "error", err)
		}
		t.mu.Lock()
		delete(t.byID, r.ID())
		close(t.pulse)
		t.pulse = make(chan struct{})
		t.mu.Unlock()
		t.free(r.ID())
		t.over()
	})
}

// empty returns when no room is there any more, or ctx ends.
func (t *rooms) empty(ctx context.Context) {
	for {
		t.mu.Lock()
		n, pulse := len(t.byID), t.pulse
		t.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-pulse:
		case <-ctx.Done():
			return
		}
	}
}

// close ends all rooms and returns when they have ended; no new one starts.
func (t *rooms) close() {
	t.decide((*desk).Close)
	t.mu.Lock()
	t.closing = true
	for _, r := range t.byID {
		r.cancel(nil)
	}
	close(t.pulse)
	t.pulse = make(chan struct{})
	t.mu.Unlock()
	t.group.Wait()
}

func (t *rooms) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}

// running are the rooms that are there, in no order.
func (t *rooms) running() []*running {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*running, 0, len(t.byID))
	for _, r := range t.byID {
		out = append(out, r)
	}
	return out
}

// list is what coordinators are told.
func (t *rooms) list() []signal.Room {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]signal.Room, 0, len(t.byID))
	for id, r := range t.byID {
		players, viewers := r.Count()
		out = append(out, signal.Room{
			ID: id, Game: r.Game().ID, Players: players, Viewers: viewers, Seats: r.Seats(), Closed: r.Closed(),
			Since: r.since.UnixMilli(),
		})
	}
	slices.SortFunc(out, func(a, b signal.Room) int { return strings.Compare(a.ID, b.ID) })
	return out
}
