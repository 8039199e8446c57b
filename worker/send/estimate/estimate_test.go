package estimate

import (
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/estimatetest"
	"github.com/cloudretro/cloudretro/worker/send/feedback"
)

const ms = time.Millisecond

// run is a stream over a simulated path, in pictures of 60 Hz with feedback each
// 50 ms. The sender is a simple one: a picture leaves whole and at the rate of the
// estimate, or not at all where the one before still keeps the path busy.
type run struct {
	estimatetest.Path
	t        *testing.T
	estimate Estimate
	now      time.Duration
	number   uint16
	busy     time.Duration
	report   time.Duration
}

func newRun(t *testing.T, p estimatetest.Path) *run {
	return &run{Path: p, t: t, now: time.Hour, number: 65_000}
}

// result is what happened in a while.
type result struct {
	lowest          int64         // rate; 0 = there was no limit all the time
	free            time.Duration // without a limit
	pictures, whole int
	sent, lost      int // packets
}

func (r result) loss() float64 { return float64(r.lost) / float64(max(1, r.sent)) }

// play offers pictures of a rate for a while.
func (r *run) play(span time.Duration, rate int) (got result) {
	r.t.Helper()
	sent, lost := r.Sent, r.Lost
	for end := r.now + span; r.now < end; r.now += time.Second / 60 {
		if r.busy-r.now < 20*ms {
			got.pictures++
			if r.picture(rate / 8 / 60) {
				got.whole++
			}
		}
		if r.now >= r.report {
			r.report = r.now + 50*ms
			if b := r.Report(r.now); b != nil {
				r.feed(b)
			}
		}
		limit := r.estimate.Rate()
		if limit == 0 {
			got.free += time.Second / 60
		} else if got.lowest == 0 || limit < got.lowest {
			got.lowest = limit
		}
	}
	got.sent, got.lost = r.Sent-sent, r.Lost-lost
	return got
}

func (r *run) picture(size int) (whole bool) {
	whole = true
	limit := r.estimate.Rate()
	r.busy = max(r.busy, r.now)
	for at := r.now; size > 0; size -= 1200 {
		n := min(size, 1200)
		r.estimate.Sent(r.number, n, at)
		whole = r.Send(r.number, n, at) && whole
		r.number++
		if limit > 0 {
			took := time.Duration(int64(n) * 8 * int64(time.Second) / limit)
			r.busy += took
			at += took * 4 / 5
		}
	}
	return whole
}

func (r *run) feed(b []byte) {
	r.t.Helper()
	reader := feedback.Read(b)
	for reader.Next() {
		r.estimate.Feedback(&reader.Message, r.now)
	}
	if reader.Err() != nil {
		r.t.Fatal(reader.Err())
	}
}

// stalls is a receiver that is not run for so long at each of the times, and
// reads all that waits at once then.
func stalls(long, every time.Duration) func(time.Duration) time.Duration {
	return func(arrives time.Duration) time.Duration {
		if in := arrives % every; in < long {
			return arrives - in + long
		}
		return arrives
	}
}

// TestNoLimit sends over paths that carry what is sent, and to receivers that do
// not always read at once.
func TestNoLimit(t *testing.T) {
	tests := map[string]estimatetest.Path{
		"nothing in the way":       {},
		"just enough":              {Rate: 21_000_000, Delay: 15 * ms},
		"far away":                 {Rate: 50_000_000, Delay: 300 * ms},
		"random loss of 2 %":       {Rate: 50_000_000, Loss: 0.02, Delay: 10 * ms},
		"random loss of 7 %":       {Loss: 0.07},
		"jitter of 20 ms":          {Rate: 30_000_000, Jitter: 20 * ms, Delay: 10 * ms},
		"jitter and loss":          {Rate: 30_000_000, Jitter: 20 * ms, Loss: 0.02},
		"stalls of 50 ms":          {Read: stalls(50*ms, 333*ms)},
		"stalls of 100 ms, often":  {Read: stalls(100*ms, 130*ms)},
		"stalls of 150 ms":         {Read: stalls(150*ms, 400*ms)},
		"stalls of 300 ms":         {Rate: 100_000_000, Read: stalls(300*ms, 700*ms)},
		"stalls of 300 ms, jitter": {Read: stalls(300*ms, 1100*ms), Jitter: 20 * ms},
		"half the feedback lost":   {Rate: 30_000_000, Mute: 0.5},
		"stalls and lost feedback": {Read: stalls(200*ms, 500*ms), Mute: 0.3, Loss: 0.02},
	}
	for name, p := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, p)
			if got := r.play(60*time.Second, 20_000_000); got.lowest != 0 {
				t.Errorf("thought to carry %d bit/s", got.lowest)
			}
		})
	}
}

// TestNarrow sends 20 Mbit/s over paths that carry less: the limit comes close to
// what they do, stays there, and what is lost is little but for the beginning.
func TestNarrow(t *testing.T) {
	tests := map[string]estimatetest.Path{
		"5 Mbit/s, queue of 50 ms":   {Rate: 5_000_000, Queue: 50 * ms, Delay: 10 * ms},
		"5 Mbit/s, queue of 150 ms":  {Rate: 5_000_000, Queue: 150 * ms, Delay: 10 * ms},
		"5 Mbit/s, queue of 1 s":     {Rate: 5_000_000, Queue: time.Second, Delay: 10 * ms},
		"5 Mbit/s, any queue":        {Rate: 5_000_000, Delay: 10 * ms},
		"5 Mbit/s, far away":         {Rate: 5_000_000, Queue: 100 * ms, Delay: 150 * ms},
		"5 Mbit/s, with random loss": {Rate: 5_000_000, Queue: 60 * ms, Loss: 0.02},
		"5 Mbit/s, with jitter":      {Rate: 5_000_000, Queue: 60 * ms, Jitter: 20 * ms},
		"5 Mbit/s, feedback lost":    {Rate: 5_000_000, Queue: 60 * ms, Mute: 0.3},
		"1 Mbit/s, queue of 200 ms":  {Rate: 1_000_000, Queue: 200 * ms, Delay: 10 * ms},
		"15 Mbit/s, queue of 50 ms":  {Rate: 15_000_000, Queue: 50 * ms, Delay: 10 * ms},
		"18 Mbit/s, any queue":       {Rate: 18_000_000, Delay: 30 * ms},
	}
	for name, p := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, p)
			if got := r.play(3*time.Second, 20_000_000); got.lowest == 0 {
				t.Fatal("no limit after 3 s")
			}
			r.play(15*time.Second, 20_000_000)
			got := r.play(60*time.Second, 20_000_000)
			carried := p.Rate * 60 / 8 / 1200 // packets
			if low := p.Rate * 6 / 10; got.lowest < low || got.free > 3*time.Second {
				t.Errorf("as little as %d bit/s, no limit for %s", got.lowest, got.free)
			}
			if int64(got.sent) < carried*7/10 || got.loss() > 0.03+p.Loss {
				t.Errorf("%d packets sent, %.1f %% lost, the path carries %d", got.sent, 100*got.loss(), carried)
			}
			if p.Loss == 0 && got.whole*10 < got.pictures*9 {
				t.Errorf("%d pictures of %d were whole", got.whole, got.pictures)
			}
			t.Logf("%+v, loss %.2f %%", got, 100*got.loss())
		})
	}
}

// TestSteps changes what the path carries.
func TestSteps(t *testing.T) {
	r := newRun(t, estimatetest.Path{Rate: 30_000_000, Queue: 100 * ms, Delay: 10 * ms})
	if got := r.play(10*time.Second, 20_000_000); got.lowest != 0 {
		t.Fatalf("%d bit/s before the step down", got.lowest)
	}
	for _, rate := range []int64{8_000_000, 3_000_000} {
		r.Rate = rate
		r.play(4*time.Second, 20_000_000)
		if got := r.estimate.Rate(); got < rate/2 || got > rate*2 {
			t.Fatalf("%d bit/s over %d", got, rate)
		}
	}
	r.Rate = 30_000_000
	if r.play(4*time.Second, 20_000_000); r.estimate.Rate() != 0 {
		t.Errorf("%d bit/s 4 s after the step up", r.estimate.Rate())
	}
}

// TestRecovery lets the path fail for two seconds, from good times and from bad.
func TestRecovery(t *testing.T) {
	r := newRun(t, estimatetest.Path{Rate: 5_000_000, Queue: 60 * ms, Delay: 20 * ms})
	r.play(2*time.Second, 20_000_000)
	if r.estimate.Rate() == 0 {
		t.Fatal("no limit")
	}
	r.Rate = 0
	if r.play(2500*ms, 20_000_000); r.estimate.Rate() != 0 {
		t.Fatalf("%d bit/s, 2.5 s after the path was good again", r.estimate.Rate())
	}
	r.Rate = 5_000_000
	r.play(60*time.Second, 20_000_000) // attempts become rare
	r.Rate = 0
	if r.play(16*time.Second, 20_000_000); r.estimate.Rate() != 0 {
		t.Errorf("%d bit/s, 16 s after a minute of a narrow path", r.estimate.Rate())
	}
	r.play(40*time.Second, 20_000_000)
	r.Rate = 5_000_000
	r.play(2*time.Second, 20_000_000)
	r.Rate = 0
	if r.play(2500*ms, 20_000_000); r.estimate.Rate() != 0 {
		t.Errorf("%d bit/s: the failures of long ago count", r.estimate.Rate())
	}
}

// TestApplicationLimited sends little for a while, over a path where others make
// a queue: that is not what the path carries.
func TestApplicationLimited(t *testing.T) {
	r := newRun(t, estimatetest.Path{Rate: 40_000_000, Delay: 10 * ms})
	r.play(5*time.Second, 20_000_000)
	if got := r.play(20*time.Second, 400_000); got.lowest != 0 {
		t.Errorf("%d bit/s because little is sent", got.lowest)
	}
	if got := r.play(5*time.Second, 20_000_000); got.lowest != 0 {
		t.Errorf("%d bit/s after little was sent", got.lowest)
	}
	for range 100 { // a queue of others that grows by 15 ms each 50 ms, for 1.5 s, then is gone
		if r.Delay += 15 * ms; r.Delay > 460*ms {
			r.Delay = 10 * ms
		}
		if got := r.play(50*ms, 400_000); got.lowest != 0 && got.lowest < 10_000_000 {
			t.Fatalf("%d bit/s: the queue of others", got.lowest)
		}
	}
	// A limit that is there goes away, too.
	r.Rate, r.Queue, r.Delay = 4_000_000, 60*ms, 10*ms
	r.play(3*time.Second, 20_000_000)
	limit := r.estimate.Rate()
	if limit == 0 {
		t.Fatal("no limit")
	}
	if got := r.play(10*time.Second, 400_000); got.lowest < limit/2 || r.estimate.Rate() != 0 {
		t.Errorf("from %d to %d bit/s because little is sent, at last %d", limit, got.lowest, r.estimate.Rate())
	}
}

// TestStarved has a receiver that is hardly run: what it cannot read is lost. It
// gets no less than it could read, and everything soon after.
func TestStarved(t *testing.T) {
	r := newRun(t, estimatetest.Path{Rate: 12_000_000, Queue: 300 * ms, Read: stalls(120*ms, 200*ms)})
	r.play(5*time.Second, 20_000_000)
	if got := r.play(20*time.Second, 20_000_000); got.lowest < 7_000_000 {
		t.Errorf("%d bit/s for a receiver that reads 12 Mbit/s", got.lowest)
	}
	r.Rate, r.Queue = 0, 0
	if r.play(15*time.Second, 20_000_000); r.estimate.Rate() != 0 {
		t.Errorf("%d bit/s for a receiver that reads in time again", r.estimate.Rate())
	}
}

// TestSilence loses all feedback for a while: nothing is known, nothing changes.
func TestSilence(t *testing.T) {
	r := newRun(t, estimatetest.Path{Rate: 30_000_000, Delay: 10 * ms})
	r.play(5*time.Second, 20_000_000)
	r.Mute = 1
	if got := r.play(10*time.Second, 20_000_000); got.lowest != 0 {
		t.Errorf("%d bit/s without feedback", got.lowest)
	}
	r.Mute = 0
	if got := r.play(10*time.Second, 20_000_000); got.lowest != 0 {
		t.Errorf("%d bit/s after feedback was missing", got.lowest)
	}
}

// TestRoute makes the way longer for good: a step is no queue that grows.
func TestRoute(t *testing.T) {
	for _, by := range []time.Duration{60 * ms, 300 * ms, -100 * ms} {
		r := newRun(t, estimatetest.Path{Delay: 120 * ms, Jitter: 5 * ms})
		r.play(15*time.Second, 20_000_000)
		r.Delay += by
		if got := r.play(30*time.Second, 20_000_000); got.lowest != 0 {
			t.Errorf("longer by %s: %d bit/s", by, got.lowest)
		}
	}
}

func TestHeavyLoss(t *testing.T) {
	r := newRun(t, estimatetest.Path{Loss: 0.25})
	got := r.play(5*time.Second, 8_000_000)
	if got.lowest < 4_000_000 || got.lowest > 8_000_000 {
		t.Errorf("%d bit/s when a quarter of 8 Mbit/s is lost", got.lowest)
	}
}

func TestLossReports(t *testing.T) {
	var e Estimate
	for range 10 {
		e.Loss(0.05, 10_000_000)
	}
	e.Loss(0.5, 10_000_000)
	e.Loss(0.05, 10_000_000)
	e.Loss(0.5, 10_000_000)
	if e.Rate() != 0 {
		t.Errorf("%d bit/s at 5 %% of loss, or for a report", e.Rate())
	}
	e.Loss(0.5, 10_000_000)
	if e.Rate() != 5_000_000 {
		t.Errorf("%d bit/s when half of 10 Mbit/s is lost", e.Rate())
	}
	e.Loss(0.5, 0)
	for range 100 {
		e.Loss(1, 5_000_000)
	}
	if e.Rate() != slowest {
		t.Errorf("%d bit/s, the least is %d", e.Rate(), slowest)
	}
	for range 100 {
		e.Loss(0, 1)
	}
	if e.Rate() != 0 {
		t.Errorf("%d bit/s long after the last loss", e.Rate())
	}
	for range 5 {
		e.Loss(0.2, 2*fastest)
	}
	if e.Rate() != 0 {
		t.Errorf("a limit of %d bit/s", e.Rate())
	}
}

// TestClockSet moves the receiver's clock: shorter delays are no reason to think
// that all later ones are queues.
func TestClockSet(t *testing.T) {
	for _, by := range []time.Duration{-time.Minute, time.Minute, 5 * ms} {
		r := newRun(t, estimatetest.Path{Delay: 10 * ms})
		r.play(5*time.Second, 8_000_000)
		r.Ahead += by
		if got := r.play(40*time.Second, 8_000_000); got.lowest != 0 {
			t.Errorf("clock set by %s: %d bit/s", by, got.lowest)
		}
	}
}

// TestClockWraps lets the reference time of feedback pass the end of its 24 bits,
// and of their signed half.
func TestClockWraps(t *testing.T) {
	for _, end := range []time.Duration{1 << 24 * 64 * ms, 1 << 23 * 64 * ms} {
		r := newRun(t, estimatetest.Path{Rate: 30_000_000})
		r.Ahead = end - r.now - 5*time.Second
		if got := r.play(30*time.Second, 20_000_000); got.lowest != 0 {
			t.Errorf("end at %s: %d bit/s", end, got.lowest)
		}
		r.Rate, r.Queue = 5_000_000, 50*ms
		if r.play(3*time.Second, 20_000_000); r.estimate.Rate() == 0 {
			t.Error("no limit after the wrap")
		}
	}
}

// TestDrift lets the receiver's clock run fast by 200 ppm for ten minutes.
func TestDrift(t *testing.T) {
	r := newRun(t, estimatetest.Path{})
	for i := range 600 {
		r.Ahead += 200 * time.Microsecond
		if got := r.play(time.Second, 2_000_000); got.lowest != 0 {
			t.Fatalf("%d bit/s after %d s", got.lowest, i)
		}
	}
}

// FuzzFeedback tells of packets that may never have been sent.
func FuzzFeedback(f *testing.F) {
	f.Add([]byte{0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 1, 0, 0x20, 4, 4, 4, 4, 4, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Estimate
		for i := range 300 {
			e.Sent(uint16(i), 1200, time.Duration(i)*ms)
		}
		r := feedback.Read(b)
		for r.Next() {
			e.Feedback(&r.Message, time.Second)
		}
		if e.Rate() < 0 || e.Rate() > 0 && (e.Rate() < slowest || e.Rate() > fastest*100) {
			t.Fatalf("%d bit/s", e.Rate())
		}
	})
}

func TestNoAllocations(t *testing.T) {
	var e Estimate
	b := []byte{0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 1, 0, 0x20, 4, 4, 4, 4, 4, 0, 0}
	if n := testing.AllocsPerRun(100, func() {
		e.Sent(2, 1200, time.Second)
		r := feedback.Read(b)
		for r.Next() {
			e.Feedback(&r.Message, time.Second)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSent(b *testing.B) {
	var e Estimate
	b.ReportAllocs()
	for i := uint16(0); b.Loop(); i++ {
		e.Sent(i, 1200, time.Duration(i))
	}
}
