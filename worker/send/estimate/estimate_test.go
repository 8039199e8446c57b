package estimate

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/cloudretro/cloudretro/worker/send/feedback"
)

const ms = time.Millisecond

// path is a simulated link with a queue, and the receiver behind it, whose clock is
// hours off.
type path struct {
	t      *testing.T
	rate   int64 // bit/s; 0 = any
	lose   int   // every so many-th packet is lost; 0 = none
	delay  time.Duration
	free   time.Duration // when the link has sent what waits
	number uint16
	begin  uint16
	came   []time.Duration // by number since begin; 0 = lost
	count  uint8
}

// send sends a packet and returns nothing: what became of it is in the next report.
func (p *path) send(e *Estimate, size int, now time.Duration) {
	e.Sent(p.number, size, now)
	p.number++
	if p.lose > 0 && int(p.number)%p.lose == 0 {
		p.came = append(p.came, 0)
		return
	}
	p.free = max(p.free, now)
	if p.rate > 0 {
		p.free += time.Duration(int64(size) * 8 * int64(time.Second) / p.rate)
	}
	p.came = append(p.came, p.free+p.delay+5*time.Hour)
}

// report is the transport feedback of what came since the last one.
func (p *path) report(e *Estimate, now time.Duration) {
	p.t.Helper()
	n := len(p.came)
	if n == 0 {
		return
	}
	m := &rtcp.TransportLayerCC{BaseSequenceNumber: p.begin, PacketStatusCount: uint16(n), FbPktCount: p.count}
	reference, last := time.Duration(-1), time.Duration(0)
	for _, at := range p.came {
		symbol := uint16(rtcp.TypeTCCPacketNotReceived)
		if at > 0 {
			if reference < 0 {
				reference = at / (64 * ms)
				last = reference * 64 * ms
			}
			symbol = rtcp.TypeTCCPacketReceivedLargeDelta
			delta := (at - last) / (250 * time.Microsecond) * 250
			last += delta * time.Microsecond
			m.RecvDeltas = append(m.RecvDeltas, &rtcp.RecvDelta{Type: symbol, Delta: int64(delta)})
		}
		m.PacketChunks = append(m.PacketChunks, &rtcp.RunLengthChunk{PacketStatusSymbol: symbol, RunLength: 1})
	}
	m.ReferenceTime = uint32(max(reference, 0))
	m.Header = rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: uint16(m.MarshalSize()/4 - 1)}
	b, err := m.Marshal()
	if err != nil {
		p.t.Fatal(err)
	}
	r := feedback.Read(b)
	for r.Next() {
		e.Feedback(&r.Message, now)
	}
	if r.Err() != nil {
		p.t.Fatal(r.Err())
	}
	p.begin, p.came = p.number, p.came[:0]
	p.count++
}

// run sends at a rate for a while, in pictures of 60 Hz, with a report each 50 ms
// or so, and returns the lowest rate that was ever thought.
func (p *path) run(e *Estimate, from, span time.Duration, rate int) (lowest int64) {
	p.t.Helper()
	next := from
	for now := from; now < from+span; now += time.Second / 60 {
		for left := rate / 8 / 60; left > 0; left -= 1200 {
			p.send(e, min(left, 1200), now)
		}
		if now >= next {
			p.report(e, now)
			next = now + 50*ms
		}
		if r := e.Rate(); r > 0 && (lowest == 0 || r < lowest) {
			lowest = r
		}
	}
	return lowest
}

// TestNoLimit sends over paths that carry what is sent.
func TestNoLimit(t *testing.T) {
	tests := map[string]path{
		"nothing in the way": {},
		"just enough":        {rate: 25_000_000, delay: 30 * ms},
		"far away":           {rate: 50_000_000, delay: 400 * ms},
		"random loss of 2 %": {rate: 50_000_000, lose: 50, delay: 10 * ms},
		"random loss of 8 %": {lose: 12},
	}
	for name, p := range tests {
		p.t = t
		var e Estimate
		if got := p.run(&e, time.Hour, 30*time.Second, 20_000_000); got != 0 {
			t.Errorf("%s: thought to carry %d bit/s", name, got)
		}
	}
}

// TestQueue sends more than the path carries: the estimate comes close to what it
// does, and is forgotten in time when it carries more again.
func TestQueue(t *testing.T) {
	p := path{t: t, rate: 5_000_000, delay: 20 * ms}
	var e Estimate
	p.run(&e, time.Hour, 2*time.Second, 4_000_000)
	if e.Rate() != 0 {
		t.Fatalf("%d bit/s although the path carries it", e.Rate())
	}
	p.run(&e, time.Hour+2*time.Second, 3*time.Second, 8_000_000)
	if got := e.Rate(); got < 2_500_000 || got > 5_500_000 {
		t.Fatalf("%d bit/s for a path of 5 Mbit/s", got)
	}
	p.rate = 0
	p.free = 0
	p.run(&e, time.Hour+10*time.Second, 60*time.Second, 4_000_000)
	if got := e.Rate(); got != 0 && got < 20_000_000 {
		t.Errorf("%d bit/s a minute after the path was good again", got)
	}
}

func TestHeavyLoss(t *testing.T) {
	p := path{t: t, lose: 4}
	var e Estimate
	p.run(&e, time.Hour, 2*time.Second, 8_000_000)
	if got := e.Rate(); got < 3_000_000 || got > 8_000_000 {
		t.Errorf("%d bit/s when a quarter of 8 Mbit/s is lost", got)
	}
}

func TestLossReports(t *testing.T) {
	var e Estimate
	for range 10 {
		e.Loss(0.05, 10_000_000)
	}
	if e.Rate() != 0 {
		t.Errorf("%d bit/s at 5 %% of loss", e.Rate())
	}
	e.Loss(0.5, 10_000_000)
	if e.Rate() != 5_000_000 {
		t.Errorf("%d bit/s when half of 10 Mbit/s is lost", e.Rate())
	}
	e.Loss(0.5, 0)
	for range 100 {
		e.Loss(1, 1)
	}
	if e.Rate() != slowest {
		t.Errorf("%d bit/s, the least is %d", e.Rate(), slowest)
	}
	for range 500 {
		e.Loss(0, 1)
	}
	if e.Rate() != 0 {
		t.Errorf("%d bit/s long after the last loss", e.Rate())
	}
}

// TestClockSet moves the receiver's clock back by a minute: shorter delays are no
// reason to think that all later ones are queues.
func TestClockSet(t *testing.T) {
	for _, by := range []time.Duration{-time.Minute, 5 * ms} {
		p := path{t: t, delay: time.Hour}
		var e Estimate
		p.run(&e, time.Hour, 5*time.Second, 8_000_000)
		p.delay += by
		if got := p.run(&e, time.Hour+5*time.Second, 30*time.Second, 8_000_000); got != 0 {
			t.Errorf("clock set by %s: %d bit/s", by, got)
		}
	}
}

// TestDrift lets the receiver's clock run fast by 200 ppm for ten minutes.
func TestDrift(t *testing.T) {
	p := path{t: t}
	var e Estimate
	for i := range 600 {
		p.delay = time.Duration(i) * 200 * time.Microsecond
		if got := p.run(&e, time.Hour+time.Duration(i)*time.Second, time.Second, 2_000_000); got != 0 {
			t.Fatalf("%d bit/s after %d s", got, i)
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
