package coordinator

import (
	"cmp"
	"slices"
)

// load is how busy a worker is.
type load struct {
	worker   string // id
	rooms    int    // running, as the worker last said
	starting int    // asked for by this coordinator and not yet answered
	maxRooms int
}

// share is the used part of the worker; 1 and above is full.
func (l load) share() float64 {
	if l.maxRooms <= 0 {
		return 1
	}
	return float64(l.rooms+l.starting) / float64(l.maxRooms)
}

// place answers in which order to ask the workers for a room: the least loaded
// first, by share and then by number. Full ones come last rather than never,
// as what is known of them may be old and they decide themselves.
func place(loads []load) []load {
	order := slices.Clone(loads)
	slices.SortFunc(order, func(a, b load) int {
		return cmp.Or(
			cmp.Compare(a.share(), b.share()),
			cmp.Compare(a.rooms+a.starting, b.rooms+b.starting),
			cmp.Compare(a.worker, b.worker),
		)
	})
	return order
}
