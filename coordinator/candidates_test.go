package coordinator

import (
	"fmt"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// populated is a registry with so many workers in each zone; free says which have a
// free place.
func populated(each map[string]int, free func(zone string, n int) bool) *registry {
	r := newRegistry()
	for zone, workers := range each {
		for i := range workers {
			r.enroll(link(fmt.Sprint(zone, i), loose(), func(reg *signal.Register) {
				reg.Zone = zone
				if !free(zone, i) {
					reg.Load.Free = 0
				}
			}), games("pong"))
		}
	}
	return r
}

func choose(t *testing.T, r *registry, zone string, latencies map[string]int) []*workerLink {
	t.Helper()
	order, err := r.candidates("pong", zone, latencies)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[*workerLink]bool{}
	for _, w := range order {
		if seen[w] {
			t.Fatalf("%s is named twice", w.id)
		}
		seen[w] = true
	}
	return order
}

// Of very many workers a few are looked at, and in time all of them.
func TestManyWorkersAreDrawnFrom(t *testing.T) {
	r := populated(map[string]int{"": 1000}, func(string, int) bool { return true })
	first := map[*workerLink]bool{}
	for range 200 {
		order := choose(t, r, "", nil)
		if len(order) != lookedAt {
			t.Fatalf("%d of 1000 are looked at", len(order))
		}
		first[order[0]] = true
	}
	if len(first) < 100 {
		t.Errorf("200 starts go to %d workers", len(first))
	}
}

// The few of many that have a place are found, wherever they are.
func TestLastPlacesAreFound(t *testing.T) {
	r := populated(map[string]int{"": 1000}, func(_ string, n int) bool { return n%300 == 7 })
	for range 20 {
		order := choose(t, r, "", nil)
		if len(order) != 1000 {
			t.Fatalf("%d are looked at", len(order))
		}
		for i, w := range order {
			if w.free() > 0 != (i < 4) {
				t.Fatalf("%s with %d free places is the %d-th", w.id, w.free(), i+1)
			}
		}
	}
}

// A near zone is not missed among many far workers, and these are not looked at
// if the near ones will do.
func TestFarZonesAreLookedAtLast(t *testing.T) {
	latencies := map[string]int{"near": 10, "far": 100, "farther": 200}
	count := func(order []*workerLink) map[string]int {
		out := map[string]int{}
		for _, w := range order {
			out[w.zone]++
		}
		return out
	}
	all := func(string, int) bool { return true }
	r := populated(map[string]int{"near": 5, "far": 1000, "farther": 1000}, all)
	order := choose(t, r, "", latencies)
	if n := count(order); n["near"] != 5 || n["far"] != lookedAt || n["farther"] != 0 {
		t.Errorf("looked at: %v", n)
	}
	for i, w := range order {
		if (w.zone == "near") != (i < 5) {
			t.Fatalf("%s is the %d-th", w.id, i+1)
		}
	}
	r = populated(map[string]int{"near": 100, "far": 100}, all)
	if n := count(choose(t, r, "", latencies)); n["near"] != 100 || n["far"] != 0 {
		t.Errorf("the near will do, and looked at are %v", n)
	}
	r = populated(map[string]int{"near": 100, "far": 100}, func(zone string, _ int) bool { return zone == "far" })
	if n := count(choose(t, r, "", latencies)); n["near"] != 100 || n["far"] != 100 {
		t.Errorf("the near are full, and looked at are %v", n)
	}
	if n := count(choose(t, r, "far", latencies)); n["near"] != 0 || n["far"] != 100 {
		t.Errorf("far is wished, and looked at are %v", n)
	}
}
