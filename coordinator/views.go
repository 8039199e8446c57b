package coordinator

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// workerView is a worker as an admin sees it.
type workerView struct {
	ID, Name, Zone string
	Probe          string      // URL to measure the way to its zone, "" for none
	Load           signal.Load // as it said, without what it is being asked for
	Rooms          int
	Games          int       // 0 while they are not known
	Since          time.Time // connected
	Silent         bool      // it has not been heard of for so long that it is not asked
}

// roomView is a room as a list shows it.
type roomView struct {
	ID, Game, Title, Worker string
	System                  string
	Players, Viewers, Seats int
	Closed                  bool
	Since                   time.Time // opened; zero if its worker does not say
}

// totals are the numbers of what is connected.
type totals struct {
	Workers         map[string]int // by state: signal.StateReady and its like, and stateSilent
	Gates           int            // draining ones too
	Rooms           int
	Players         int
	Viewers         int
	Sessions        int // at the workers, whoever connects them
	Places, Free    int
	Libraries       int    // different ones
	LateAnswers     uint64 // of workers, that nobody waited for any more
	LibrariesWanted int    // announced and not yet known
}

// stateSilent is the state of a worker that says nothing, whatever it said.
const stateSilent = "silent"

// workersView are all workers by name and id.
func (r *registry) workersView() []workerView {
	now := time.Now()
	r.mu.Lock()
	views := make([]workerView, 0, len(r.workers))
	for _, w := range r.workers {
		view := workerView{
			ID: w.id, Name: w.name, Zone: w.zone, Probe: w.probe, Load: w.said(), Rooms: len(w.rooms), Since: w.since,
			Silent: w.sock.isSilent(now),
		}
		if w.library != nil {
			view.Games = len(w.library.games)
		}
		views = append(views, view)
	}
	r.mu.Unlock()
	slices.SortFunc(views, func(a, b workerView) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return views
}

// roomsView are all rooms by title and id.
func (r *registry) roomsView() []roomView {
	r.mu.Lock()
	views := make([]roomView, 0, len(r.rooms))
	for id, w := range r.rooms {
		if view, ok := w.roomView(id); ok {
			views = append(views, view)
		}
	}
	r.mu.Unlock()
	slices.SortFunc(views, func(a, b roomView) int { return cmp.Or(cmp.Compare(a.Title, b.Title), cmp.Compare(a.ID, b.ID)) })
	return views
}

// room is one room, false if there is none of that id.
func (r *registry) room(id string) (roomView, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.rooms[id]; w != nil {
		return w.roomView(id)
	}
	return roomView{}, false
}

// roomView is one of the worker's rooms, unless the worker has not yet said what
// is played there. The registry's mutex is held.
func (w *workerLink) roomView(id string) (roomView, bool) {
	room := w.rooms[id]
	if room.Game == "" {
		return roomView{}, false
	}
	view := roomView{
		ID: id, Game: room.Game, Title: room.Game, Worker: w.id,
		Players: room.Players, Viewers: room.Viewers, Seats: room.Seats, Closed: room.Closed,
	}
	if room.Since > 0 {
		view.Since = time.UnixMilli(room.Since)
	}
	if w.library != nil {
		if g, ok := w.library.games[room.Game]; ok {
			view.Title, view.System = g.Title, g.System
		}
	}
	return view, true
}

// totals counts.
func (r *registry) totals() totals {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	t := totals{
		Workers: map[string]int{signal.StateReady: 0, signal.StateDraining: 0, signal.StateOverloaded: 0, stateSilent: 0},
		Gates:   len(r.gates), Rooms: len(r.rooms),
		Libraries: len(r.libraries.known), LibrariesWanted: len(r.libraries.wanted), LateAnswers: r.late,
	}
	for w := range maps.Values(r.workers) {
		load := w.said()
		t.Sessions, t.Places, t.Free = t.Sessions+load.Sessions, t.Places+load.Places, t.Free+load.Free
		if w.sock.isSilent(now) {
			load.State = stateSilent
		}
		t.Workers[load.State]++
		for _, room := range w.rooms {
			t.Players, t.Viewers = t.Players+room.Players, t.Viewers+room.Viewers
		}
	}
	return t
}
