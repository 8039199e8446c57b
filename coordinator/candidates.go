package coordinator

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Of very many workers not all are looked at for each start: of those of a zone
// that have the same library a run of lookedAt, from anywhere on. If fewer than
// enoughFree of them have a free place, all are. Farther zones are looked at
// until there are so many, and more than a ticket stands at.
const (
	lookedAt   = 128
	enoughFree = 2 * maxAsked
)

// choice is the workers that are looked at for a start.
type choice struct {
	now   time.Time
	links []*workerLink
	all   []standing
	free  int // of them, that have a free place
}

// candidates are whom to ask for a place for the game, in this order: in the
// zone that is wished, if one is, else the nearest by the round trips that the
// page measured (in ms, by zone); see place. Workers that drain, are overloaded
// or silent are not among them, so that there may be none, and no error: then
// the player has to wait. An error, an *signal.Error, says what is missing.
func (r *registry) candidates(game, zone string, latencies map[string]int) ([]*workerLink, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	crowds, err := r.offering(game, zone, latencies)
	if err != nil {
		return nil, err
	}
	c := choice{now: time.Now()}
	for i, one := range crowds {
		if i > 0 && one.class > crowds[i-1].class && c.free >= enoughFree && len(c.links) > placesAsked {
			break // farther ones would come after all these
		}
		c.look(one.workers)
	}
	ordered := make([]*workerLink, 0, len(c.links))
	for _, at := range place(c.all, latencies, rand.Uint64) {
		ordered = append(ordered, c.links[at])
	}
	return ordered, nil
}

// nearby is the workers of one zone that have the same library.
type nearby struct {
	class   int // of latency
	workers []*workerLink
}

// offering are the workers that have a game, in the zone if one is wished, the
// nearest first. There is one at least. r.mu is held.
func (r *registry) offering(game, zone string, latencies map[string]int) ([]nearby, error) {
	if len(r.workers) == 0 {
		return nil, signal.Errorf(signal.CodeNoWorker,
			"no worker is connected; is the worker role running, and does its secrets.worker match?")
	}
	class, unmeasured := classes(latencies)
	known, crowds := false, []nearby(nil)
	for _, lib := range r.libraries.known {
		if _, ok := lib.games[game]; !ok {
			continue
		}
		known = true
		for name, users := range lib.users {
			if zone != "" && name != zone {
				continue
			}
			n, ok := class[name]
			if !ok {
				n = unmeasured
			}
			crowds = append(crowds, nearby{n, users})
		}
	}
	switch {
	case !known && len(r.libraries.wanted) > 0 && len(r.libraries.known) == 0:
		return nil, signal.Errorf(signal.CodeNoWorker, "the workers have just come and not yet said what games they have; try again in a moment")
	case !known:
		return nil, signal.Errorf(signal.CodeNotFound, "there is no game %q; choose one from the menu", game)
	case len(crowds) == 0:
		return nil, signal.Errorf(signal.CodeNoWorker, "no worker in the zone %q has this game; choose another zone", zone)
	}
	slices.SortFunc(crowds, func(a, b nearby) int { return cmp.Compare(a.class, b.class) })
	return crowds, nil
}

// look adds workers to the choice: a run of them, and the others if that does not
// bring enough.
func (c *choice) look(workers []*workerLink) {
	run := min(len(workers), lookedAt)
	first, before := 0, c.free
	if run < len(workers) {
		first = rand.IntN(len(workers))
	}
	c.links, c.all = slices.Grow(c.links, run), slices.Grow(c.all, run)
	for i := range workers {
		if i >= run && c.free-before >= enoughFree {
			return
		}
		w := workers[(first+i)%len(workers)]
		s, healthy := w.standing(c.now)
		if !healthy {
			continue
		}
		c.links, c.all = append(c.links, w), append(c.all, s)
		if s.free > 0 {
			c.free++
		}
	}
}
