package coordinator

import (
	"cmp"
	"maps"
	"slices"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Round trips to zones that are this close are taken for equal: within them the
// load decides.
const latencyClass = 15 // ms

// Of more workers than exactUpTo that are as near, each is drawn with a chance of
// one in drawOf, and those go first. The least loaded of all would be the choice
// of every coordinator until it says that it is not any more; of two draws the
// same worker is seldom the best.
const (
	exactUpTo = 16
	drawOf    = 4
)

// standing is how a worker stands just now.
type standing struct {
	zone   string
	places int
	free   int // less what is asked and not answered; may be negative
	rooms  int
}

// share is the used part of the worker, 1 and above is full, in parts of 1<<15;
// at most two.
func (s standing) share() uint64 {
	if s.places <= 0 {
		return 1 << 15
	}
	return uint64(max(0, min(2<<15-1, (s.places-s.free)<<15/s.places)))
}

// classes are the latency classes of zones, by name: 0 is the nearest. A zone
// that was not measured is not in it.
func classes(latencies map[string]int) (class map[string]int, unmeasured int) {
	names := slices.SortedFunc(maps.Keys(latencies), func(a, b string) int {
		return cmp.Or(cmp.Compare(latencies[a], latencies[b]), cmp.Compare(a, b))
	})
	class = make(map[string]int, len(names))
	n, first := -1, 0
	for _, name := range names[:min(len(names), signal.MaxZones)] {
		if n < 0 || latencies[name]-first > latencyClass {
			n, first = n+1, latencies[name]
		}
		class[name] = n
	}
	return class, n + 1
}

// maxPlaced is how many workers can be put in order.
const maxPlaced = 1 << indexBits

// place answers in which order to ask the workers, by their indices in all: those
// with a free place first, of these the nearest first, of these the least loaded
// by share and then by rooms, of equals any (as random says). Full ones come last
// rather than never, as what is known of them may be old and they decide
// themselves.
func place(all []standing, latencies map[string]int, random func() uint64) []int {
	all = all[:min(len(all), maxPlaced)]
	class, unmeasured := classes(latencies)
	ranks := make([]uint64, len(all))
	var crowd [signal.MaxZones + 1]int
	for i, s := range all {
		c, ok := class[s.zone]
		if !ok {
			c = unmeasured
		}
		rank := uint64(c)<<classShift | s.share()<<shareShift | uint64(min(max(s.rooms, 0), 1<<roomsBits-1))<<roomsShift
		if s.free <= 0 {
			rank |= 1 << fullShift
		} else {
			crowd[c]++
		}
		ranks[i] = rank
	}
	for i, rank := range ranks {
		draw := random()
		if full := rank>>fullShift == 1; !full && crowd[rank>>classShift] > exactUpTo && draw>>32%drawOf != 0 {
			rank |= 1 << drawShift
		}
		ranks[i] = rank | draw&(1<<chanceBits-1)<<chanceShift | uint64(i)
	}
	slices.Sort(ranks)
	order := make([]int, len(ranks))
	for i, rank := range ranks {
		order[i] = int(rank & (1<<indexBits - 1))
	}
	return order
}

// A worker's rank is one number, the lowest is asked first. From the top: is it
// full, its latency class, was it not drawn, its share, its rooms, chance, and
// which one it is.
const (
	indexBits   = 16
	chanceShift = indexBits
	chanceBits  = 10
	roomsShift  = chanceShift + chanceBits
	roomsBits   = 12
	shareShift  = roomsShift + roomsBits
	drawShift   = shareShift + 16
	classShift  = drawShift + 1
	fullShift   = classShift + 7 // a class is at most signal.MaxZones
)
