// Package loadgen loads coordinators with simulated workers and pages, and
// reports how they bear it. The workers join by the very uplink of real ones and
// decide about their places as these do, but play no game; the pages say what a
// page says. A run is bounded in time and in number.
package loadgen

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
)

// Times of a run.
const (
	joinPatience = 30 * time.Second // for workers and idle browsers, after the ramp
	tickPeriod   = 250 * time.Millisecond
	findPatience = 10 * time.Second
)

// run is one run.
type run struct {
	o         Options
	endpoints []discovery.Endpoint
	tally     *tally
	fleet     *fleet
	dialer    *dialer
	offer     string // of pages without media
	probes    []*probe
	began     time.Time
}

// Run makes a run and prints its report: for people, or a line of JSON for each
// figure. When ctx ends, or the time is up, the report is of what was done by then.
// The error says that it could not be made, or that a place was given twice.
func Run(ctx context.Context, o Options, asJSON bool, out io.Writer) error {
	report, err := Measure(ctx, o)
	if err != nil {
		return fmt.Errorf("loadgen: %w", err)
	}
	if asJSON {
		err = report.printJSON(out)
	} else {
		err = report.print(out)
	}
	if err != nil {
		return fmt.Errorf("loadgen: %w", err)
	}
	if report.Doubled > 0 {
		return fmt.Errorf("loadgen: %d places were given twice", report.Doubled)
	}
	return nil
}

// Measure is Run without the printing.
func Measure(ctx context.Context, o Options) (*Report, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := raiseFiles(o.sockets()); err != nil {
		return nil, err
	}
	r := &run{o: o, offer: canned(offerLines), tally: newTally(o), began: time.Now()}
	spawned, err := spawn(ctx, &r.o)
	if err != nil {
		return nil, err
	}
	defer spawned.close()
	if r.probes, err = newProbes(r.o); err != nil {
		return nil, err
	}
	if r.endpoints, err = find(ctx, r.o); err != nil {
		return nil, err
	}
	r.dialer = newDialer(r.endpoints, r.o)
	r.fleet = newFleet(r.o, r.endpoints, r.tally)
	limited, cancel := context.WithTimeout(ctx, o.Duration)
	defer cancel()
	cut := r.all(limited)
	if err := spawned.fault(); err != nil {
		return nil, err
	}
	return r.report(cut), nil
}

// find is where the coordinators are: names are looked up once.
func find(ctx context.Context, o Options) ([]discovery.Endpoint, error) {
	addresses, err := discovery.New(o.Coordinators, o.Logger)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, findPatience)
	defer cancel()
	var found []discovery.Endpoint
	addresses.Watch(ctx, func(set []discovery.Endpoint) {
		if len(set) > 0 && found == nil {
			found = set
			cancel()
		}
	})
	if found == nil {
		return nil, fmt.Errorf("no coordinator is found by %v", o.Coordinators)
	}
	return found, nil
}

// all makes the run; the answer is whether it was cut. Workers stay until the last
// page has left.
func (r *run) all(ctx context.Context) (cut bool) {
	var workers, pages, watchers sync.WaitGroup
	watch, endWatch := context.WithCancel(context.WithoutCancel(ctx))
	watchers.Go(func() { r.watch(watch) })
	serve, endServe := context.WithCancel(context.WithoutCancel(ctx))
	workers.Go(func() { r.fleet.run(serve, ctx) })
	idle, endIdle := context.WithCancel(ctx)

	r.come(ctx, idle, &pages)
	if ctx.Err() == nil {
		r.mark(ctx, phaseIdle)
		wait(ctx, r.o.Calm)
		r.mark(ctx, phaseStarts)
		r.starts(ctx)
		r.mark(ctx, phaseEnd)
	}
	cut = ctx.Err() != nil
	r.tally.ending()
	endIdle()
	pages.Wait()
	endServe()
	workers.Wait()
	endWatch()
	watchers.Wait()
	return cut
}

// come waits for workers and idle browsers.
func (r *run) come(ctx, idle context.Context, pages *sync.WaitGroup) {
	late, cancel := context.WithTimeout(ctx, r.o.Ramp+joinPatience)
	defer cancel()
	pages.Go(func() { r.idlers(idle, pages) })
	tick := time.NewTicker(tickPeriod)
	defer tick.Stop()
	for late.Err() == nil {
		n := r.tally.now()
		if n.joined >= r.o.Workers*len(r.o.Coordinators) && n.idle+n.idleLost >= r.o.Browsers && r.fleet.known() {
			return
		}
		select {
		case <-late.Done():
		case <-tick.C:
		}
	}
}

// idlers lets the idle browsers come.
func (r *run) idlers(ctx context.Context, pages *sync.WaitGroup) {
	each := r.o.Ramp / time.Duration(max(1, r.o.Browsers))
	begin := time.Now()
	for i := range r.o.Browsers {
		if !wait(ctx, time.Until(begin.Add(time.Duration(i)*each))) {
			return
		}
		pages.Go(func() { r.idler(ctx, i) })
	}
}

// starts makes all starts and returns when the last page has left.
func (r *run) starts(ctx context.Context) {
	var pages, ready sync.WaitGroup
	together := make(chan struct{})
	ready.Add(r.o.Starts)
	begin := time.Now()
	for i := range r.o.Starts {
		if r.o.Rate > 0 && !wait(ctx, time.Until(begin.Add(time.Duration(float64(i)/r.o.Rate*float64(time.Second))))) {
			break
		}
		pages.Go(func() {
			p := r.newPage(r.o.Browsers+i, i < r.o.Media)
			here := p.come(ctx)
			ready.Done()
			if !here {
				return
			}
			if r.o.Rate == 0 {
				<-together
			}
			p.play(ctx)
		})
	}
	if r.o.Rate == 0 {
		ready.Wait()
		close(together)
	}
	pages.Wait()
}

// watch ticks until ctx ends: progress, queue and the coordinators' memory.
func (r *run) watch(ctx context.Context) {
	tick := time.NewTicker(tickPeriod)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			r.progress()
			return
		case <-tick.C:
		}
		r.tally.look()
		if n%4 != 0 {
			continue
		}
		for _, p := range r.probes {
			p.look(ctx)
		}
		r.progress()
	}
}

// progress writes where the run is.
func (r *run) progress() {
	fmt.Fprintf(r.o.Progress, "%4.0fs  %s\n", time.Since(r.began).Seconds(), r.tally.progress())
}

// mark notes what the coordinators have used when a phase begins.
func (r *run) mark(ctx context.Context, phase int) {
	for _, p := range r.probes {
		p.mark(ctx, phase)
	}
}

// wait waits; false if ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
