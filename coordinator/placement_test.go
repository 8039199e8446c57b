package coordinator

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// zoned is a standing in a zone.
func zoned(zone string, places, free, rooms int) standing {
	return standing{zone: zone, places: places, free: free, rooms: rooms}
}

func TestPlace(t *testing.T) {
	near := map[string]int{"eu": 20, "us": 90, "eu2": 35, "eu3": 36}
	for name, test := range map[string]struct {
		latencies map[string]int
		in        map[string]standing
		want      []string
	}{
		"nobody": {nil, nil, nil},
		"by share": {nil, map[string]standing{
			"a": zoned("", 4, 2, 2), "b": zoned("", 4, 3, 1), "c": zoned("", 16, 14, 2),
		}, []string{"c", "b", "a"}},
		"asked and not answered": {nil, map[string]standing{
			"a": zoned("", 4, 4-2, 0), "b": zoned("", 4, 3, 1),
		}, []string{"b", "a"}},
		"by rooms": {nil, map[string]standing{
			"a": zoned("", 4, 2, 2), "b": zoned("", 2, 1, 1),
		}, []string{"b", "a"}},
		"full last": {nil, map[string]standing{
			"a": zoned("", 4, 0, 4), "b": zoned("", 4, 1, 3), "c": zoned("", 4, -1, 4),
		}, []string{"b", "a", "c"}},
		"no places": {nil, map[string]standing{
			"a": zoned("", 0, 0, 0), "b": zoned("", 4, 1, 3),
		}, []string{"b", "a"}},
		"nearest before least loaded": {near, map[string]standing{
			"eu": zoned("eu", 4, 1, 3), "us": zoned("us", 4, 4, 0),
		}, []string{"eu", "us"}},
		"one class": {near, map[string]standing{
			"eu": zoned("eu", 4, 1, 3), "eu2": zoned("eu2", 4, 4, 0),
		}, []string{"eu2", "eu"}},
		"the next class": {near, map[string]standing{
			"eu3": zoned("eu3", 4, 4, 0), "eu": zoned("eu", 4, 1, 3),
		}, []string{"eu", "eu3"}},
		"unmeasured last": {near, map[string]standing{
			"asia": zoned("asia", 4, 4, 0), "none": zoned("", 4, 3, 1), "us": zoned("us", 4, 1, 3),
		}, []string{"us", "asia", "none"}},
		"full in the near zone after free in a far one": {near, map[string]standing{
			"eu": zoned("eu", 4, 0, 4), "asia": zoned("asia", 4, 1, 3),
		}, []string{"asia", "eu"}},
		"of full ones the nearest": {near, map[string]standing{
			"us": zoned("us", 4, 0, 4), "eu": zoned("eu", 4, -2, 4),
		}, []string{"eu", "us"}},
	} {
		t.Run(name, func(t *testing.T) {
			var ids []string
			for id := range test.in {
				ids = append(ids, id)
			}
			for range 5 {
				rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				var all []standing
				for _, id := range ids {
					all = append(all, test.in[id])
				}
				var got []string
				for _, at := range place(all, test.latencies, rand.Uint64) {
					got = append(got, ids[at])
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("%v, want %v", got, test.want)
				}
			}
		})
	}
}

func TestClasses(t *testing.T) {
	for _, test := range []struct {
		in         map[string]int
		want       map[string]int
		unmeasured int
	}{
		{nil, map[string]int{}, 0},
		{map[string]int{"a": 0}, map[string]int{"a": 0}, 1},
		{map[string]int{"a": 10, "b": 25, "c": 26, "d": 41, "e": 42}, map[string]int{"a": 0, "b": 0, "c": 1, "d": 1, "e": 2}, 3},
	} {
		got, unmeasured := classes(test.in)
		if !reflect.DeepEqual(got, test.want) || unmeasured != test.unmeasured {
			t.Errorf("%v: %v, %d", test.in, got, unmeasured)
		}
	}
	many := map[string]int{}
	for i := range 200 {
		many[fmt.Sprint(i)] = i * 100
	}
	if got, unmeasured := classes(many); len(got) != 64 || unmeasured != 64 {
		t.Errorf("%d zones, %d", len(got), unmeasured)
	}
}

// Whatever workers say, each is in the order once, and those that are full come last.
func FuzzPlace(f *testing.F) {
	f.Add(uint64(1), 3, 4, 4, 0)
	f.Add(uint64(9), 200, -1, 1<<40, 1<<40)
	f.Fuzz(func(t *testing.T, seed uint64, n, places, free, rooms int) {
		random := rand.New(rand.NewPCG(seed, 1))
		all := make([]standing, max(0, min(n, 300)))
		for i := range all {
			all[i] = standing{
				zone: fmt.Sprint(random.IntN(70)), places: places % 10_001, free: random.IntN(3) * (free % 10_001), rooms: rooms,
			}
		}
		latencies := map[string]int{}
		for i := range 70 {
			latencies[fmt.Sprint(i)] = random.IntN(60_000)
		}
		order := place(all, latencies, random.Uint64)
		seen := map[int]bool{}
		full := false
		for _, at := range order {
			if seen[at] || full && all[at].free > 0 {
				t.Fatalf("%v of %+v", order, all)
			}
			seen[at], full = true, all[at].free <= 0
		}
		if len(order) != len(all) {
			t.Fatalf("%d of %d are in the order", len(order), len(all))
		}
	})
}

// crowdTest: each of several coordinators places players by what workers said
// at the beginning of a round, besides what it has asked itself. The answer is
// how many players were sent to a full worker, and the rooms of the fullest.
func crowdTest(coordinators, workers, places, perRound, rounds int) (refused, fullest int) {
	random := rand.New(rand.NewPCG(7, 7))
	rooms := make([]int, workers)
	for range rounds {
		said := slices.Clone(rooms)
		for range coordinators {
			view := slices.Clone(said)
			for range perRound {
				all := make([]standing, workers)
				for i := range all {
					all[i] = standing{places: places, free: places - view[i], rooms: view[i]}
				}
				best := place(all, nil, random.Uint64)[0]
				view[best]++
				if rooms[best] >= places {
					refused++
					continue
				}
				rooms[best]++
			}
		}
	}
	return refused, slices.Max(rooms)
}

// Four coordinators with old views do not run to the same workers: of 1,000
// workers with 16 places each, and 8,000 players, none is near to full while the
// mean is 8; and when all but a few are full, few players are sent in vain.
func TestCoordinatorsDoNotHerd(t *testing.T) {
	refused, fullest := crowdTest(4, 200, 16, 20, 20)
	if refused != 0 || fullest > 12 {
		t.Errorf("%d were refused, the fullest has %d of 16 places taken, the mean is 8", refused, fullest)
	}
	// One coordinator alone, whose view is true, spreads them evenly.
	if refused, fullest = crowdTest(1, 200, 16, 1, 1600); refused != 0 || fullest > 10 {
		t.Errorf("of one coordinator %d were refused, the fullest has %d, the mean is 8", refused, fullest)
	}
	// To few workers it is exact.
	if refused, fullest = crowdTest(1, 10, 16, 1, 80); refused != 0 || fullest != 8 {
		t.Errorf("of few workers the fullest has %d, the mean is 8; %d were refused", fullest, refused)
	}
}

// One worker that is empty among many that are not: not every coordinator's next
// player goes there.
func TestEmptyWorkerIsNotOverrun(t *testing.T) {
	all := make([]standing, 100)
	for i := range all {
		all[i] = standing{places: 16, free: 4, rooms: 12}
	}
	all[42] = standing{places: 16, free: 16}
	first := 0
	for range 1000 {
		if place(all, nil, rand.Uint64)[0] == 42 {
			first++
		}
	}
	if first < 150 || first > 350 { // a quarter draws it
		t.Errorf("%d of 1000 go to the empty worker", first)
	}
}

func BenchmarkPlace(b *testing.B) {
	all := make([]standing, 1000)
	for i := range all {
		all[i] = standing{zone: fmt.Sprint(i % 5), places: 8, free: rand.IntN(9), rooms: rand.IntN(9)}
	}
	latencies := map[string]int{"0": 10, "1": 20, "2": 80, "3": 200}
	b.ReportAllocs()
	for b.Loop() {
		place(all, latencies, rand.Uint64)
	}
}

func BenchmarkCandidates(b *testing.B) {
	r := newRegistry()
	for i := range 1000 {
		r.enroll(link(fmt.Sprint(i), loose(), nil), games("pong"))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.candidates("pong", "", nil); err != nil {
			b.Fatal(err)
		}
	}
}
