package coordinator

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func TestRefusalsByCause(t *testing.T) {
	s := newStats()
	for _, cause := range []string{"origin", "origin", string(signal.CodeSignIn), "made up by somebody", ""} {
		s.refuse(cause)
	}
	got := s.refusals()
	if got["origin"] != 2 || got["sign-in"] != 1 || got[causeOther] != 2 || got["full"] != 0 {
		t.Errorf("%v", got)
	}
	if len(got) != len(causes()) {
		t.Errorf("%d causes of %d: one is there twice, or strangers can make some", len(got), len(causes()))
	}
}

func TestHistogram(t *testing.T) {
	h := newHistogram()
	bounds := latencyBounds()
	if !slices.IsSorted(bounds) {
		t.Fatal("bounds do not rise")
	}
	h.add(-time.Second)
	h.add(bounds[0])
	h.add(bounds[0] + 1)
	h.add(24 * time.Hour)
	got := h.read()
	want := make([]uint64, len(bounds)+1)
	want[0], want[1], want[len(bounds)] = 2, 1, 1
	if !slices.Equal(got.Counts, want) || got.Sum != 2*bounds[0]+1+24*time.Hour {
		t.Errorf("%v, sum %v", got.Counts, got.Sum)
	}
}

func TestStatsAreCountedAtOnce(t *testing.T) {
	s := newStats()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				s.granted(time.Millisecond)
				s.answered(time.Second)
				s.refuse("full")
			}
		})
	}
	all.Wait()
	grants, answers := s.grants.read(), s.latencies.read()
	if grants.Counts[0] != 8000 || answers.Sum != 8000*time.Second || s.refusals()["full"] != 8000 {
		t.Errorf("%v %v %v", grants, answers, s.refusals()["full"])
	}
}

func TestStatsCostNoMemory(t *testing.T) {
	s := newStats()
	if n := testing.AllocsPerRun(100, func() { s.granted(time.Second); s.refuse("full"); s.answered(time.Hour) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestStatsOfACoordinator(t *testing.T) {
	d := start(t, nil)
	if s := d.Stats(); s.Pages != 0 || s.Workers[signal.StateReady] != 0 || len(s.Workers) < 4 {
		t.Errorf("%+v", s)
	}
	w := d.worker(func(r *signal.Register) {
		r.Load = signal.Load{State: signal.StateDraining, Places: 4, Free: 2, Sessions: 3}
		r.Rooms = []signal.Room{{ID: signal.NewID(), Game: "pong", Players: 2, Viewers: 1, Seats: 2}}
	})
	_ = w
	p := d.dial("/ws", nil)
	p.next(signal.TypeHello)
	until(t, "all counted", func() bool {
		s := d.Stats()
		return s.Pages == 1 && s.Roles == 1 && s.Sessions == 1 && s.Workers[signal.StateDraining] == 1 && s.Rooms == 1 && s.Players == 2 &&
			s.Viewers == 1 && s.Browsers == 3 && s.Places == 4 && s.Free == 2
	})
}
