package loadgen

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
)

// nowhere is a run of pages that cannot connect, at once and without a network:
// each is counted when it came.
func nowhere(o Options) *run {
	tally := newTally(o)
	endpoints := []discovery.Endpoint{{URL: "ws://%zz"}}
	return &run{o: o, tally: tally, endpoints: endpoints, dialer: newDialer(endpoints, o)}
}

// arrived is how many pages have come by now.
func (r *run) arrived() int {
	synctest.Wait()
	n := 0
	for _, c := range r.tally.causes() {
		n += c.Count
	}
	return n
}

// Idle pages come one after the other, all of them within the ramp.
func TestRamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := nowhere(Options{Browsers: 10, Ramp: 10 * time.Second})
		var pages sync.WaitGroup
		pages.Go(func() { r.idlers(t.Context(), &pages) })
		for second := range 10 {
			if n := r.arrived(); n != second+1 {
				t.Errorf("%d have come after %d s", n, second)
			}
			time.Sleep(time.Second)
		}
		pages.Wait()
		if n := r.tally.now(); n.idleLost != 10 || n.idle != 0 {
			t.Errorf("%+v", n)
		}
	})
}

func TestRampIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := nowhere(Options{Browsers: 1000, Ramp: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var pages sync.WaitGroup
		pages.Go(func() { r.idlers(ctx, &pages) })
		pages.Wait()
		if n := r.arrived(); n != 17 { // one each 3.6 s, the first at once
			t.Errorf("%d have come within a minute", n)
		}
	})
}

// Starts come at their rate, or all at once.
func TestRateOfStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := nowhere(Options{Starts: 6, Rate: 2})
		began := time.Now()
		var all sync.WaitGroup
		all.Go(func() { r.starts(t.Context()) })
		for n := range 6 {
			if got := r.arrived(); got != n+1 {
				t.Errorf("%d starts after %v", got, time.Since(began))
			}
			time.Sleep(time.Second / 2)
		}
		all.Wait()
		r = nowhere(Options{Starts: 60})
		began = time.Now()
		r.starts(t.Context())
		if n := r.arrived(); n != 60 || time.Since(began) != 0 {
			t.Errorf("%d starts within %v", n, time.Since(began))
		}
	})
}

func TestStartsAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := nowhere(Options{Starts: 600, Rate: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 9500*time.Millisecond)
		defer cancel()
		r.starts(ctx)
		if n := r.arrived(); n != 10 {
			t.Errorf("%d starts", n)
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if !wait(t.Context(), time.Hour) || time.Since(began) != time.Hour {
			t.Error("an hour")
		}
		if !wait(t.Context(), 0) || !wait(t.Context(), -1) || time.Since(began) != time.Hour {
			t.Error("no time")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if wait(ctx, time.Hour) || wait(ctx, 0) || time.Since(began) != time.Hour+time.Minute {
			t.Error("it did not end with its context")
		}
	})
}

// Workers and pages that do not come are waited for, and not for ever.
func TestComingIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Workers: 1, Coordinators: []string{"a:1"}, Ramp: time.Minute}
		r := nowhere(o)
		r.fleet = &fleet{tally: r.tally}
		began := time.Now()
		var pages sync.WaitGroup
		r.come(t.Context(), t.Context(), &pages)
		if got := time.Since(began); got != o.Ramp+joinPatience {
			t.Errorf("it is waited for %v", got)
		}
		r.tally.workerJoined(1)
		r.fleet.asked.Add(1) // a library that was not given is waited for, too
		var done sync.WaitGroup
		done.Go(func() { r.come(t.Context(), t.Context(), &pages) })
		began = time.Now()
		time.Sleep(time.Second)
		r.fleet.given.Add(1)
		done.Wait()
		pages.Wait()
		if got := time.Since(began); got > 2*time.Second {
			t.Errorf("it is waited for %v", got)
		}
	})
}

// Who is stopped in whatever phase has a report of it, and nobody is at fault.
func TestStoppedInEachPhase(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(o *Options)
		until   string // progress that ends it
		started int
	}{
		"workers come":     {func(o *Options) { o.Workers, o.Ramp = 100, time.Hour }, "links of workers 1 ", 0},
		"pages come":       {func(o *Options) { o.Browsers, o.Ramp = 100, time.Hour }, "idle pages 1/100", 0},
		"nothing happens":  {func(o *Options) { o.Calm = time.Hour }, "idle pages 3/3", 0},
		"starts come":      {func(o *Options) { o.Rate, o.Starts = 0.001, 3 }, "starts 1/3: 1 answered", 1},
		"pages wait, play": {func(o *Options) { o.Places = 1 }, "starts 2/2: 1 answered, 1 waiting", 2},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := Options{
				Coordinators: doors(t, 1), Secret: secret, Workers: 1, Browsers: 3, Starts: 2, Hold: time.Hour,
				Ramp: time.Millisecond, Calm: time.Millisecond, Progress: &until{text: test.until, then: cancel},
			}
			test.change(&o)
			r, err := Measure(ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			if !r.Cut || r.Started != test.started || r.Doubled != 0 {
				t.Errorf("%+v", r)
			}
			for _, c := range r.Causes {
				if c.Why != "given up at the end" {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

// Who is stopped before it began has a report of nothing, or an error.
func TestStoppedAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := Measure(ctx, Options{Coordinators: []string{"127.0.0.1:1"}, Browsers: 10, Starts: 10, Media: 10, Game: "pong"})
	if err == nil && (!r.Cut || r.Idle+r.Started != 0) {
		t.Errorf("%+v", r)
	}
}

// More sockets than any system allows are refused, by a message that helps.
func TestFileLimit(t *testing.T) {
	err := raiseFiles(1 << 40)
	if err == nil {
		t.Skip("this system has no limit")
	}
	if !strings.Contains(err.Error(), "ulimit -n 1099511627776") {
		t.Error(err)
	}
	if err := raiseFiles(1); err != nil {
		t.Errorf("what there is already: %v", err)
	}
}
