package loadgen

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Phases of a run, by what begins with them.
const (
	phaseIdle = iota // all have come, nothing happens
	phaseStarts
	phaseEnd
	phases
)

// Usage is what a coordinator used.
type Usage struct {
	Of          string // PID or ops address
	IdleRSS     int64  // bytes, when all had come; 0 = not known
	MostRSS     int64
	IdleCPU     float64 // share of one core while nothing happened
	StartsCPU   float64 // while games were started
	CPUPerStart time.Duration
	Sockets     int // open files or sockets at the most, 0 = not known
	Grant       Times
	Fault       string // why it could not be looked at the last time that it could not, "" = it could
}

// sample is what a process has used by a moment.
type sample struct {
	at      time.Time
	rss     int64
	cpu     time.Duration
	sockets int
	grant   buckets // nil = not told
}

// probe looks at one coordinator. Its methods may be called concurrently.
type probe struct {
	name string
	take func(ctx context.Context) (sample, error)

	mu    sync.Mutex
	most  sample
	marks [phases]sample
	fault error
}

// newProbes are those that the options name; that of a PID is taken at once, so
// that a wrong one is an error.
func newProbes(o Options) ([]*probe, error) {
	var out []*probe
	for _, pid := range o.PIDs {
		p := &probe{name: fmt.Sprintf("pid %d", pid), take: func(context.Context) (sample, error) { return processSample(pid) }}
		if _, err := processSample(pid); err != nil {
			return nil, fmt.Errorf("--pid %d: %w", pid, err)
		}
		out = append(out, p)
	}
	for _, address := range o.Ops {
		scraper, err := newScraper(address)
		if err != nil {
			return nil, fmt.Errorf("--ops %s: %w", address, err)
		}
		out = append(out, &probe{name: address, take: scraper.sample})
	}
	return out, nil
}

// look keeps the peaks.
func (p *probe) look(ctx context.Context) (s sample, ok bool) {
	s, err := p.take(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			p.fault = err
		}
		return s, false
	}
	p.most.rss, p.most.sockets = max(p.most.rss, s.rss), max(p.most.sockets, s.sockets)
	return s, true
}

// mark notes what was used when a phase began.
func (p *probe) mark(ctx context.Context, phase int) {
	s, ok := p.look(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok {
		p.marks[phase] = s
	}
}

// usage is what was measured; starts is how many were made.
func (p *probe) usage(starts int) Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle, begin, end := p.marks[phaseIdle], p.marks[phaseStarts], p.marks[phaseEnd]
	u := Usage{
		Of: p.name, IdleRSS: begin.rss, MostRSS: p.most.rss, Sockets: p.most.sockets,
		IdleCPU: share(idle, begin), StartsCPU: share(begin, end),
	}
	if !begin.at.IsZero() && end.at.After(begin.at) && starts > 0 {
		u.CPUPerStart = (end.cpu - begin.cpu) / time.Duration(starts)
	}
	if p.fault != nil {
		u.Fault = signal.Clip(p.fault.Error())
	}
	if end.grant != nil {
		u.Grant = end.grant.since(begin.grant).times()
	}
	return u
}

// share of a core between two samples.
func share(a, b sample) float64 {
	if a.at.IsZero() || !b.at.After(a.at) {
		return 0
	}
	return float64(b.cpu-a.cpu) / float64(b.at.Sub(a.at))
}

// print writes a usage for people.
func (u Usage) print(w io.Writer) {
	fmt.Fprintf(w, "\n  coordinator (%s)\n", u.Of)
	if u.Fault != "" {
		fmt.Fprintf(w, "  not always seen\t%s\n", u.Fault)
	}
	fmt.Fprintf(w, "  resident when idle\t%.0f MiB\tat the most\t%.0f MiB\n", mebi(u.IdleRSS), mebi(u.MostRSS))
	fmt.Fprintf(w, "  CPU when idle\t%.1f %% of a core\twith starts\t%.1f %%\n", 100*u.IdleCPU, 100*u.StartsCPU)
	fmt.Fprintf(w, "  CPU for a start, all included\t%.2f ms\tsockets\t%d\n", milliseconds(u.CPUPerStart), u.Sockets)
	if t := u.Grant; t.Count > 0 {
		fmt.Fprintf(w, "  its own start to grant, ms\t%d\tp50 %.1f\tp90 %.1f\tp99 %.1f\n",
			t.Count, milliseconds(t.P50), milliseconds(t.P90), milliseconds(t.P99))
	}
}

func mebi(n int64) float64 { return float64(n) / (1 << 20) }

// figures are the lines of JSON.
func (u Usage) figures(who string, figure func(what string, value float64, unit string) error) error {
	for _, f := range []struct {
		what  string
		value float64
		unit  string
	}{
		{"resident when idle", mebi(u.IdleRSS), "MiB"},
		{"resident at the most", mebi(u.MostRSS), "MiB"},
		{"CPU when idle", 100 * u.IdleCPU, "% of a core"},
		{"CPU with starts", 100 * u.StartsCPU, "% of a core"},
		{"CPU for a start", milliseconds(u.CPUPerStart), "ms"},
		{"sockets", float64(u.Sockets), "count"},
		{"its own start to grant p50", milliseconds(u.Grant.P50), "ms"},
		{"its own start to grant p99", milliseconds(u.Grant.P99), "ms"},
	} {
		if f.value == 0 {
			continue
		}
		if err := figure(who+": "+f.what, f.value, f.unit); err != nil {
			return err
		}
	}
	return nil
}
