package loadgen

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/cloudretro/cloudretro/coordinator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a secret of the tests"

// doors are coordinators of this process.
func doors(t *testing.T, n int) []string {
	t.Helper()
	var addresses []string
	for range n {
		c, err := coordinator.New(coordinator.Config{
			Address: "127.0.0.1:0", Secret: secret, Web: fstest.MapFS{"index.html": {Data: []byte("page")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		addresses = append(addresses, c.Addr().String())
	}
	return addresses
}

// measure makes a run with short ways.
func measure(t *testing.T, o Options) *Report {
	t.Helper()
	o.Secret = secret
	if o.Ramp == 0 {
		o.Ramp = 100 * time.Millisecond
	}
	if o.Calm == 0 {
		o.Calm = time.Millisecond
	}
	r, err := Measure(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// nothingAmiss: nobody was refused, no place given twice.
func nothingAmiss(t *testing.T, r *Report) {
	t.Helper()
	if len(r.Causes) > 0 || r.Doubled > 0 || r.Cut {
		t.Errorf("refused %v, given twice %d, cut %v", r.Causes, r.Doubled, r.Cut)
	}
	if r.Idle != r.Browsers || r.Joined != r.Workers*r.Coordinators || r.Started != r.Starts {
		t.Errorf("idle %d of %d, links %d, started %d of %d", r.Idle, r.Browsers, r.Joined, r.Started, r.Starts)
	}
	if r.Granted != r.Starts || r.Answered != r.Starts || r.Answer.Count != r.Starts || r.Hello.Count != r.Starts+r.Browsers {
		t.Errorf("granted %d, answered %d of %d; %+v", r.Granted, r.Answered, r.Starts, r)
	}
}

// awake makes runs until the machine has not stood still in one, or the last is to
// be judged all the same. A coordinator gives a connection 5 s for its request, and
// a worker 2 s for its answer: standing still makes refusals of that, and waiting.
func awake(t *testing.T, o Options) (r *Report) {
	t.Helper()
	for range 5 {
		end := make(chan struct{})
		longest := make(chan time.Duration)
		go func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			gap := time.Duration(0)
			for last := time.Now(); ; {
				select {
				case <-tick.C:
					now := time.Now()
					gap, last = max(gap, now.Sub(last)), now
				case <-end:
					longest <- max(gap, time.Since(last))
					return
				}
			}
		}()
		r = measure(t, o)
		close(end)
		gap := <-longest
		if gap < time.Second {
			return r
		}
		t.Logf("stood still for %v", gap)
	}
	return r
}

func TestStartsAtARate(t *testing.T) {
	r := awake(t, Options{
		Coordinators: doors(t, 2), Workers: 5, Libraries: 2, Zones: 3, Browsers: 20, Starts: 30, Rate: 100, Hold: 100 * time.Millisecond,
	})
	nothingAmiss(t, r)
	if r.Places != 40 || r.MostRuns == 0 || r.MostRuns > 40 || r.Grant.Count != 30 || r.Queued != 0 {
		t.Errorf("%+v", r)
	}
}

// Two coordinators, three workers, more starts at once than there are places: as
// many are granted as there are places, the others wait in one line over both
// coordinators, whose positions they are told, and are granted in its order.
func TestAllAtOnce(t *testing.T) {
	t.Parallel() // most of it is waiting
	const places, starts = 25, 60
	r := measure(t, Options{
		Coordinators: doors(t, 2), Workers: 3, Total: places, Starts: starts, Hold: 15 * time.Second, Duration: 5 * time.Minute,
	})
	nothingAmiss(t, r)
	// Where both coordinators ask for the last places, some get in line and are
	// granted theirs the next moment.
	if r.Places != places || r.MostRuns != places || r.Grant.Count > places {
		t.Errorf("%d places, %d games at once, %d granted at once", r.Places, r.MostRuns, r.Grant.Count)
	}
	if r.Queued != starts-r.Grant.Count || r.Wait.Count != r.Queued || r.Positions == 0 {
		t.Errorf("%d had to wait, %d of them were granted, positions were told to %d", r.Queued, r.Wait.Count, r.Positions)
	}
	if r.Overtaken > places/2 {
		t.Errorf("somebody was granted a place %d positions too early", r.Overtaken)
	}
}

// However short the games are, who is to see a picture stays until it does.
func TestMedia(t *testing.T) {
	r := measure(t, Options{Coordinators: doors(t, 1), Workers: 2, Starts: 4, Media: 2, Rate: 20, Hold: time.Millisecond})
	nothingAmiss(t, r)
	if r.Picture.Count != 2 {
		t.Errorf("%d of 2 saw a picture: %+v", r.Picture.Count, r)
	}
}

// Who is stopped reports what was done until then.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	progress := &until{text: "2 games running", then: cancel}
	o := Options{
		Coordinators: doors(t, 1), Secret: secret, Workers: 1, Places: 2, Browsers: 3, Starts: 5, Hold: time.Minute,
		Ramp: time.Millisecond, Calm: time.Millisecond, Progress: progress,
	}
	var out bytes.Buffer
	if err := Run(ctx, o, false, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cut short", "3 of 3", "given up at the end"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}

// until calls then when a text was written.
type until struct {
	text string
	then func()
}

func (u *until) Write(b []byte) (int, error) {
	if strings.Contains(string(b), u.text) {
		u.then()
	}
	return len(b), nil
}

// The time is up in any case: nobody takes the starts, as the secret is wrong.
func TestTimeIsUp(t *testing.T) {
	r, err := Measure(t.Context(), Options{
		Coordinators: doors(t, 1), Secret: "another", Workers: 1, Starts: 1, Ramp: time.Millisecond, Duration: time.Second,
	})
	if err != nil || !r.Cut || r.Joined != 0 || r.Started != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestNoWorkers(t *testing.T) {
	r := measure(t, Options{Coordinators: doors(t, 1), Starts: 2, Media: 2, Game: "pong"})
	if len(r.Causes) != 1 || r.Causes[0] != (Cause{"start: no-worker", 2}) || r.Answered != 0 {
		t.Errorf("%+v", r)
	}
}

func TestNobodyThere(t *testing.T) {
	address, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	r := measure(t, Options{Coordinators: []string{address}, Browsers: 2, Duration: 5 * time.Second})
	if len(r.Causes) != 1 || r.Causes[0] != (Cause{"connect: connection refused", 2}) || r.Idle != 0 {
		t.Errorf("%+v", r)
	}
}

func TestReportAsJSON(t *testing.T) {
	r := &Report{
		Name: "x", Idle: 7, Causes: []Cause{{"start: full", 3}}, Grant: Times{4, time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond, 4 * time.Millisecond},
		Usage: []Usage{{Of: "pid 1", IdleRSS: 5 << 20, StartsCPU: 0.25}},
	}
	var out bytes.Buffer
	if err := r.printJSON(&out); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for line := range strings.Lines(out.String()) {
		var one struct {
			Bench, Case string
			Ours        float64
		}
		if err := json.Unmarshal([]byte(line), &one); err != nil || one.Bench != "loadgen" {
			t.Errorf("%q: %v", line, err)
		}
		got[one.Case] = one.Ours
	}
	for want, value := range map[string]float64{
		"x: idle browsers": 7, "x: refused or lost: start: full": 3, "x: start to grant p99": 3, "x: given twice": 0,
		"x: coordinator 1: resident when idle": 5, "x: coordinator 1: CPU with starts": 25,
	} {
		if v, ok := got[want]; !ok || v != value {
			t.Errorf("%s is %v (%v), want %v", want, v, ok, value)
		}
	}
}

func TestOptions(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"":                   func(*Options) {},
		"--workers is 10001": func(o *Options) { o.Workers = 10_001 },
		"--browsers is -1":   func(o *Options) { o.Browsers = -1 },
		"--rate":             func(o *Options) { o.Rate = -1 },
		"cannot have":        func(o *Options) { o.Total = 20_000 },
		"--hold":             func(o *Options) { o.Hold = 2 * MaxTime },
		"where to":           func(o *Options) { o.Coordinators = nil },
		"not both":           func(o *Options) { o.Spawn = 1 },
		"secrets.worker":     func(o *Options) { o.Secret = "" },
		"--game":             func(o *Options) { o.Workers, o.Starts = 0, 1 },
		"without media":      func(o *Options) { o.Workers, o.Starts, o.Game = 0, 1, "pong" },
	} {
		o := Options{Coordinators: []string{"localhost:8000"}, Workers: 1, Secret: secret}
		change(&o)
		err := o.Check()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if _, err := Measure(t.Context(), Options{}); err == nil {
		t.Error("nothing to load is no error")
	}
	if err := Run(t.Context(), Options{Coordinators: []string{"no port"}}, true, &bytes.Buffer{}); err == nil {
		t.Error("an address without a port is no error")
	}
}
