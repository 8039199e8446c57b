package loadgen

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func TestPercentiles(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		all  []time.Duration
		want Times
	}{
		"none":      {nil, Times{}},
		"one":       {[]time.Duration{ms}, Times{1, ms, ms, ms, ms}},
		"two":       {[]time.Duration{2 * ms, ms}, Times{2, 2 * ms, 2 * ms, 2 * ms, 2 * ms}},
		"three":     {[]time.Duration{3, 1, 2}, Times{3, 2, 3, 3, 3}},
		"ten":       {[]time.Duration{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, Times{10, 5, 9, 9, 9}},
		"one slow":  {append(make([]time.Duration, 199), ms), Times{200, 0, 0, 0, ms}},
		"two slow":  {append(make([]time.Duration, 198), ms, ms), Times{200, 0, 0, ms, ms}},
		"all alike": {[]time.Duration{7, 7, 7, 7}, Times{4, 7, 7, 7, 7}},
	} {
		if got := newTimes(test.all); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
	given := []time.Duration{2, 1}
	if newTimes(given); given[0] != 2 {
		t.Error("what is given was sorted")
	}
}

// full is a report in which each figure differs from all others.
func full() *Report {
	times := func(n int) Times {
		return Times{n, time.Duration(n) * time.Second, time.Duration(n+1) * time.Second, time.Duration(n+2) * time.Second, time.Duration(n+3) * time.Second}
	}
	return &Report{
		Name: "all", Cut: true, Took: 1500 * time.Millisecond,
		Coordinators: 2, Workers: 3, Places: 24, Browsers: 70, Starts: 50,
		Idle: 68, Joined: 6, Started: 49, Granted: 48, Answered: 47, Queued: 29, MostRuns: 23, Waiting: 28, Positions: 27, Overtaken: 4, Doubled: 1,
		Causes: []Cause{{"start: full", 2}, {"connect: time-out", 1}},
		Hello:  times(110), Grant: times(210), Wait: times(310), Answer: times(410), Picture: times(510),
		Usage: []Usage{
			{Of: "pid 7", IdleRSS: 100 << 20, MostRSS: 200 << 20, IdleCPU: 0.01, StartsCPU: 0.5, CPUPerStart: 1500 * time.Microsecond, Sockets: 77, Grant: times(610)},
			{Of: "a:9090", Fault: "connection refused"},
		},
	}
}

func TestReportForPeople(t *testing.T) {
	var out strings.Builder
	if err := full().print(&out); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"all: 1.5 s (cut short)", "coordinators 2 links of workers 6 of 6", "idle browsers 68 of 70 places 24", "starts 49 of 50 granted 48",
		"answered 47 games at once 23", "had to wait 29 at once 28", "positions told exactly 1 to 27 overtaken by 4", "given twice 1",
		"refused or lost 2 start: full", "refused or lost 1 connect: time-out", "ms count p50 p90 p99 max",
		"connect and greeting 110 110000.0 111000.0 112000.0 113000.0", "start to grant 210 210000.0", "start to grant, waiting 310",
		"start to answer 410", "answer to first picture 510", "coordinator (pid 7)", "resident when idle 100 MiB at the most 200 MiB",
		"CPU when idle 1.0 % of a core with starts 50.0 %", "CPU for a start, all included 1.50 ms sockets 77",
		"its own start to grant, ms 610 p50 610000.0", "coordinator (a:9090) not always seen connection refused",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := (&Report{Name: "nothing"}).print(&out); err != nil {
		t.Fatal(err)
	}
	for _, no := range []string{"cut short", "refused", "greeting", "coordinator (", "not always"} {
		if strings.Contains(out.String(), no) {
			t.Errorf("a report of nothing has %q:\n%s", no, out.String())
		}
	}
}

// lines are the figures of a report as JSON.
func lines(t *testing.T, r *Report) map[string]string {
	t.Helper()
	var out bytes.Buffer
	if err := r.printJSON(&out); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(out.String()) {
		var one struct {
			Case, Unit string
			Ours       float64
		}
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		name := strings.TrimPrefix(one.Case, r.Name+": ")
		if _, twice := got[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		got[name] = fmt.Sprint(one.Ours, " ", one.Unit)
	}
	return got
}

func TestReportForMachines(t *testing.T) {
	got := lines(t, full())
	for name, want := range map[string]string{
		"idle browsers": "68 count", "links of workers": "6 count", "starts": "49 count", "granted": "48 count", "answered": "47 count",
		"games at once": "23 count", "had to wait": "29 count", "waited at once": "28 count", "positions told exactly": "27 count",
		"overtaken": "4 count", "given twice": "1 count", "refused or lost: start: full": "2 count",
		"connect and greeting p50": "110000 ms", "connect and greeting max": "113000 ms", "start to grant p90": "211000 ms",
		"start to grant, waiting p99": "312000 ms", "start to answer p50": "410000 ms", "answer to first picture max": "513000 ms",
		"coordinator 1: resident when idle": "100 MiB", "coordinator 1: resident at the most": "200 MiB", "coordinator 1: CPU when idle": "1 % of a core",
		"coordinator 1: CPU with starts": "50 % of a core", "coordinator 1: CPU for a start": "1.5 ms", "coordinator 1: sockets": "77 count",
		"coordinator 1: its own start to grant p50": "610000 ms", "coordinator 1: its own start to grant p99": "612000 ms",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	// Of what was not measured there is no line: 0 would be a figure.
	for name := range lines(t, &Report{Usage: []Usage{{Of: "a"}}}) {
		if strings.Contains(name, "p50") || strings.Contains(name, "coordinator") {
			t.Errorf("%s of nothing", name)
		}
	}
}

// brokenPipe fails after some bytes.
type brokenPipe struct{ left int }

var errPipe = errors.New("the pipe is broken")

func (p *brokenPipe) Write(b []byte) (int, error) {
	if p.left -= len(b); p.left < 0 {
		return 0, errPipe
	}
	return len(b), nil
}

func TestReportIntoABrokenPipe(t *testing.T) {
	var out bytes.Buffer
	if err := full().printJSON(&out); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < out.Len(); at += 97 { // in each of its parts
		if err := full().printJSON(&brokenPipe{at}); !errors.Is(err, errPipe) {
			t.Fatalf("after %d bytes: %v", at, err)
		}
	}
	if err := full().print(&brokenPipe{}); !errors.Is(err, errPipe) {
		t.Error(err)
	}
	if err := Run(t.Context(), Options{Coordinators: []string{"127.0.0.1:1"}, Ramp: 1, Calm: 1}, true, &brokenPipe{}); !errors.Is(err, errPipe) {
		t.Error(err)
	}
}

// A coordinator that granted nothing in the meantime has no times of it; one that
// was not seen at the beginning has no share of a start.
func TestUsageOfHalfAMeasure(t *testing.T) {
	at := func(seconds int, cpu time.Duration) sample {
		return sample{at: time.Unix(int64(seconds), 0), cpu: cpu, rss: 1, grant: buckets{{0.1, 5}, {math.Inf(1), 5}}}
	}
	quiet := &probe{marks: [phases]sample{at(0, 0), at(10, time.Second), at(20, 2*time.Second)}}
	if u := quiet.usage(10); u.Grant != (Times{}) || u.IdleCPU != 0.1 || u.StartsCPU != 0.1 || u.CPUPerStart != 100*time.Millisecond || u.Fault != "" {
		t.Errorf("%+v", u)
	}
	if u := quiet.usage(0); u.CPUPerStart != 0 {
		t.Errorf("no start costs %v", u.CPUPerStart)
	}
	late := &probe{marks: [phases]sample{{}, {}, at(20, time.Hour)}, fault: errors.New("gone\n" + strings.Repeat("x", 9000))}
	u := late.usage(10)
	if u.CPUPerStart != 0 || u.StartsCPU != 0 || u.IdleCPU != 0 || len(u.Fault) > signal.MaxText || strings.Contains(u.Fault, "\n") {
		t.Errorf("%+v", u)
	}
	lost := &probe{marks: [phases]sample{at(0, 0), at(10, time.Second), {}}}
	if u := lost.usage(10); u.CPUPerStart != 0 || u.StartsCPU != 0 || u.Grant != (Times{}) {
		t.Errorf("%+v", u)
	}
}

func TestDefaults(t *testing.T) {
	o := Options{Coordinators: []string{"a:1", "b:1"}, Workers: 3, Secret: secret, Browsers: 5, Starts: 7}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	if o.Places != 8 || o.Libraries != 1 || o.Hold != 2*time.Second || o.Ramp != 5*time.Second || o.Calm != 3*time.Second || o.Duration != 5*time.Minute {
		t.Errorf("%+v", o)
	}
	if o.Game != ourGame || o.Name != "5 browsers, 3 workers, 7 starts at 0/s" || o.Progress == nil || o.Logger == nil {
		t.Errorf("%+v", o)
	}
	before := o
	if err := o.complete(); err != nil || o.Name != before.Name || o.Places != before.Places {
		t.Errorf("again: %+v, %v", o, err)
	}
}

// Each flag has its bound, and the message names it.
func TestOptionsBounds(t *testing.T) {
	base := func() Options { return Options{Coordinators: []string{"a:1"}, Secret: secret, Game: "pong", Media: 5} }
	number := func(field func(*Options) *int) func(int) Options {
		return func(n int) Options { o := base(); *field(&o) = n; return o }
	}
	duration := func(field func(*Options) *time.Duration) func(int) Options {
		return func(n int) Options { o := base(); *field(&o) = time.Duration(n); return o }
	}
	for flag, test := range map[string]struct {
		max int
		at  func(int) Options
	}{
		"--workers":   {MaxWorkers, number(func(o *Options) *int { return &o.Workers })},
		"--places":    {signal.MaxRooms, number(func(o *Options) *int { return &o.Places })},
		"--libraries": {256, number(func(o *Options) *int { return &o.Libraries })},
		"--zones":     {signal.MaxZones, number(func(o *Options) *int { return &o.Zones })},
		"--browsers":  {MaxBrowsers, number(func(o *Options) *int { return &o.Browsers })},
		"--media":     {MaxMedia, number(func(o *Options) *int { return &o.Media })},
		"--hold":      {int(MaxTime), duration(func(o *Options) *time.Duration { return &o.Hold })},
		"--ramp":      {int(MaxTime), duration(func(o *Options) *time.Duration { return &o.Ramp })},
		"--calm":      {int(MaxTime), duration(func(o *Options) *time.Duration { return &o.Calm })},
		"--duration":  {int(MaxTime), duration(func(o *Options) *time.Duration { return &o.Duration })},
		"--spawn": {16, func(n int) Options {
			o := base()
			if o.Spawn = n; n > 0 && n <= 16 {
				o.Coordinators = nil
			}
			return o
		}},
		"--starts": {MaxStarts, func(n int) Options {
			o := base()
			o.Starts, o.Workers = n, 1
			return o
		}},
		"--total": {MaxWorkers * signal.MaxRooms, func(n int) Options {
			o := base()
			o.Total, o.Workers = n, MaxWorkers
			return o
		}},
		"--rate": {MaxRate, func(n int) Options { o := base(); o.Rate = float64(n); return o }},
	} {
		for _, n := range []int{0, 1, test.max} {
			if err := test.at(n).Check(); err != nil {
				t.Errorf("%s %d: %v", flag, n, err)
			}
		}
		for _, n := range []int{-1, test.max + 1} {
			if err := test.at(n).Check(); err == nil || !strings.Contains(err.Error(), flag) {
				t.Errorf("%s %d: %v", flag, n, err)
			}
		}
	}
	for _, rate := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -0.001} {
		o := base()
		if o.Rate = rate; o.Check() == nil {
			t.Errorf("a rate of %v is taken", rate)
		}
	}
}

// The places of all workers are as many as was said, and no worker has two more
// than another.
func TestPlacesAreSharedOut(t *testing.T) {
	for _, test := range []struct{ workers, total int }{{1, 1}, {3, 25}, {10, 9}, {7, 7}, {1000, 2500}, {3, 3 * signal.MaxRooms}} {
		o := Options{Workers: test.workers, Total: test.total, Places: 8}
		sum, least, most := 0, math.MaxInt, 0
		for n := range test.workers {
			places := o.placesOf(n)
			sum, least, most = sum+places, min(least, places), max(most, places)
		}
		if sum != test.total || most-least > 1 || o.allPlaces() != test.total {
			t.Errorf("%+v: %d in all, %d to %d", test, sum, least, most)
		}
	}
	o := Options{Workers: 5, Places: 3}
	if o.placesOf(4) != 3 || o.allPlaces() != 15 {
		t.Error("without a total each has its own")
	}
}

// So many sockets may be open at once.
func TestSockets(t *testing.T) {
	for name, test := range map[string]struct {
		o    Options
		want int
	}{
		"nothing":              {Options{Coordinators: []string{"a"}}, 200},
		"idle":                 {Options{Coordinators: []string{"a"}, Browsers: 100}, 300},
		"workers join all":     {Options{Coordinators: []string{"a", "b", "c"}, Workers: 10}, 230},
		"and those we start":   {Options{Spawn: 4, Workers: 10}, 240},
		"all starts at once":   {Options{Coordinators: []string{"a"}, Starts: 1000}, 1200},
		"those who play":       {Options{Coordinators: []string{"a"}, Starts: 1000, Rate: 10, Hold: 2 * time.Second}, 251},
		"no more than come":    {Options{Coordinators: []string{"a"}, Starts: 20, Rate: 10, Hold: time.Hour}, 220},
		"media has ports, too": {Options{Coordinators: []string{"a"}, Starts: 5, Media: 5}, 225},
	} {
		if got := test.o.sockets(); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
