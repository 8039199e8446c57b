package loadgen

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cloudretro/cloudretro/cmd/benchline"
)

// Times are durations in short.
type Times struct {
	Count              int
	P50, P90, P99, Max time.Duration
}

func newTimes(all []time.Duration) Times {
	if len(all) == 0 {
		return Times{}
	}
	sorted := slices.Sorted(slices.Values(all))
	at := func(p float64) time.Duration { return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))] }
	return Times{len(all), at(0.5), at(0.9), at(0.99), sorted[len(sorted)-1]}
}

// Cause is why something was refused, and how often.
type Cause struct {
	Why   string
	Count int
}

// Report is what a run has measured.
type Report struct {
	Name string
	Cut  bool // it was ended before it was over
	Took time.Duration

	Coordinators, Workers, Places, Browsers, Starts int // asked for; Places are those of all workers

	Idle     int // browsers that came
	Joined   int // links of workers to coordinators, at the most
	Started  int
	Granted  int // places given to pages
	Answered int
	Queued   int // pages that had to wait, ever
	MostRuns int // games at once at simulated workers, at the most
	Waiting  int // pages that waited at once, at the most
	// Positions is how many pages waited when they had been told all positions from
	// 1 to that number, each once; at the most. Overtaken is by how many positions
	// one of these was granted a place too early, at the most; workers that free
	// places at the same moment make a few.
	Positions, Overtaken int
	Doubled              int // places, or rooms, that were given twice
	Causes               []Cause

	Hello   Times // of a connection: dialing to greeting
	Grant   Times // start to place (or answer, which implies it), of pages that did not wait
	Wait    Times // the same of those that did
	Answer  Times // start to answer, waiting included
	Picture Times // answer to the first packets of pages with media

	Usage []Usage // of coordinators that could be looked at
}

// report is the report of what was done by now.
func (r *run) report(cut bool) *Report {
	n := r.tally.now()
	out := &Report{
		Name: r.o.Name, Cut: cut, Took: time.Since(r.began), Coordinators: len(r.o.Coordinators), Workers: r.o.Workers,
		Places: r.o.allPlaces(), Browsers: r.o.Browsers, Starts: r.o.Starts,
		Idle: n.mostIdle, Joined: n.mostJoined, Started: n.started, Granted: n.granted, Answered: n.answered, Queued: n.everWait,
		MostRuns: n.mostRuns, Waiting: n.mostWaits, Positions: n.exact, Overtaken: n.overtaken, Doubled: n.doubled,
		Causes: r.tally.causes(),
	}
	if r.o.Workers > 0 && n.mostRuns > out.Places {
		out.Doubled += n.mostRuns - out.Places
	}
	r.tally.measured(out)
	for _, p := range r.probes {
		out.Usage = append(out.Usage, p.usage(n.started))
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// print writes the report for people.
func (r *Report) print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	cut := ""
	if r.Cut {
		cut = "  (cut short)"
	}
	fmt.Fprintf(w, "%s: %.1f s%s\n", r.Name, r.Took.Seconds(), cut)
	fmt.Fprintf(w, "  coordinators\t%d\tlinks of workers\t%d of %d\n", r.Coordinators, r.Joined, r.Workers*r.Coordinators)
	fmt.Fprintf(w, "  idle browsers\t%d of %d\tplaces\t%d\n", r.Idle, r.Browsers, r.Places)
	fmt.Fprintf(w, "  starts\t%d of %d\tgranted\t%d\n", r.Started, r.Starts, r.Granted)
	fmt.Fprintf(w, "  answered\t%d\tgames at once\t%d\n", r.Answered, r.MostRuns)
	fmt.Fprintf(w, "  had to wait\t%d\tat once\t%d\n", r.Queued, r.Waiting)
	fmt.Fprintf(w, "  positions told exactly\t1 to %d\tovertaken by\t%d\n", r.Positions, r.Overtaken)
	fmt.Fprintf(w, "  given twice\t%d\n", r.Doubled)
	for _, c := range r.Causes {
		fmt.Fprintf(w, "  refused or lost\t%d\t%s\n", c.Count, c.Why)
	}
	fmt.Fprintf(w, "\n  ms\tcount\tp50\tp90\tp99\tmax\n")
	for _, t := range r.times() {
		if t.Count > 0 {
			fmt.Fprintf(w, "  %s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\n", t.name, t.Count,
				milliseconds(t.P50), milliseconds(t.P90), milliseconds(t.P99), milliseconds(t.Max))
		}
	}
	for _, u := range r.Usage {
		u.print(w)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}

// named are Times with what they are of.
type named struct {
	name string
	Times
}

func (r *Report) times() []named {
	return []named{
		{"connect and greeting", r.Hello},
		{"start to grant", r.Grant},
		{"start to grant, waiting", r.Wait},
		{"start to answer", r.Answer},
		{"answer to first picture", r.Picture},
	}
}

// printJSON writes a line for each figure.
func (r *Report) printJSON(w io.Writer) error {
	figure := func(what string, value float64, unit string) error {
		return benchline.Print(w, benchline.New("loadgen", r.Name+": "+what, value, 0, "", unit))
	}
	for _, n := range []struct {
		what  string
		value int
	}{
		{"idle browsers", r.Idle},
		{"links of workers", r.Joined},
		{"starts", r.Started},
		{"granted", r.Granted},
		{"answered", r.Answered},
		{"games at once", r.MostRuns},
		{"had to wait", r.Queued},
		{"waited at once", r.Waiting},
		{"positions told exactly", r.Positions},
		{"overtaken", r.Overtaken},
		{"given twice", r.Doubled},
	} {
		if err := figure(n.what, float64(n.value), "count"); err != nil {
			return err
		}
	}
	for _, c := range r.Causes {
		if err := figure("refused or lost: "+c.Why, float64(c.Count), "count"); err != nil {
			return err
		}
	}
	for _, t := range r.times() {
		if err := t.figures(figure); err != nil {
			return err
		}
	}
	for i, u := range r.Usage {
		if err := u.figures(fmt.Sprintf("coordinator %d", i+1), figure); err != nil {
			return err
		}
	}
	return nil
}

// figures are those of some Times, if there are any.
func (t named) figures(figure func(what string, value float64, unit string) error) error {
	if t.Count == 0 {
		return nil
	}
	for _, q := range []struct {
		name  string
		value time.Duration
	}{{"p50", t.P50}, {"p90", t.P90}, {"p99", t.P99}, {"max", t.Max}} {
		if err := figure(strings.Join([]string{t.name, q.name}, " "), milliseconds(q.value), "ms"); err != nil {
			return err
		}
	}
	return nil
}
