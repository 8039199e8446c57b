package pace

import (
	"fmt"
	"testing"
	"time"
)

const ms = time.Millisecond

// play runs a plan with a timer that is exact and returns what left when.
func play(p *Pacer, from time.Duration) (sizes []int, last time.Duration) {
	now := from
	for p.Left() > 0 {
		now = max(now, p.Next())
		n := p.Due(now)
		if n == 0 {
			panic("nothing is due at the time that Next gave")
		}
		sizes, last = append(sizes, n), now-from
	}
	return sizes, last
}

func TestChunks(t *testing.T) {
	tests := []struct {
		packets int
		rate    int64
		sizes   string
		within  time.Duration
	}{
		{1, 0, "[1]", 0},
		{12, 0, "[12]", 0},
		{13, 0, "[13]", 0},
		{17, 0, "[9 8]", ms},
		{36, 0, "[12 12 12]", 2 * ms},
		{80, 0, "[16 16 16 16 16]", 4 * ms},
		{400, 0, "[80 80 80 80 80]", 4 * ms},
		{402, 0, "[81 81 81 81 78]", 4 * ms},
		{36, 1_000_000_000, "[12 12 12]", 2 * ms},
		{400, 1_000_000_000, "[80 80 80 80 80]", 4 * ms}, // the rate allows it
		{36, 14_400_000, "[12 12 12]", 13 * ms},          // 14.4 kB at 1.25 times the rate: 6.4 ms
		{400, 1_000_000, "[16 16 16 16 16 16 16 16 16 16 16 16 16 16 16 16 16 16 16 16 16 16 16 16 16]", 240 * ms},
		{12, 1_000_000, "[12]", 0},
		{0, 0, "[]", 0},
	}
	for _, test := range tests {
		p := New(Config{})
		p.Begin(time.Hour, test.packets, test.packets*1200, test.rate)
		sizes, last := play(&p, time.Hour)
		if fmt.Sprint(sizes) != test.sizes || last > test.within {
			t.Errorf("%d packets at %d bit/s: %v within %s, want %s within %s", test.packets, test.rate, sizes, last, test.sizes, test.within)
		}
	}
}

// TestRate sends pictures that are too much for the path: over time no more leaves
// than the rate, and never much ahead of it.
func TestRate(t *testing.T) {
	const rate, pictures, packets, size = 4_000_000, 50, 40, 1200
	p := New(Config{})
	now, sent := time.Duration(0), 0
	for i := range pictures {
		p.Begin(now, packets, packets*size, rate)
		if i > 0 && p.Next() <= now {
			t.Fatal("begins while the path has most of the last picture to carry")
		}
		for p.Left() > 0 {
			now = max(now, p.Next())
			n := p.Due(now)
			if n > 16 {
				t.Fatalf("%d packets at once", n)
			}
			p.Spent(n * size)
			sent += n * size
			if ahead := took(int64(sent), rate) - now; ahead > 75*ms { // 20, a fifth of 96, the first chunk
				t.Fatalf("%s ahead of the path", ahead)
			}
		}
	}
	whole := took(pictures*packets*size, rate)
	if now > whole || now < whole-75*ms {
		t.Errorf("took %s, want %s", now, whole)
	}
}

// TestSpent lets sound take its share of the rate.
func TestSpent(t *testing.T) {
	p := New(Config{})
	p.Spent(1 << 40) // before a rate was known: nothing
	p.Begin(0, 10, 10_000, 1_000_000)
	if p.Next() != 0 || p.Due(0) != 10 {
		t.Fatalf("the first picture waits until %s", p.Next())
	}
	p.Spent(10_000) // 80 ms
	p.Spent(1_250)  // and 10 of sound
	p.Begin(30*ms, 10, 10_000, 1_000_000)
	if got := p.Next(); got < 69*ms || got > 71*ms {
		t.Errorf("the next one begins at %s, want 70 ms", got)
	}
	p.Begin(31*ms, 10, 10_000, 100_000_000)
	if p.Next() != 31*ms {
		t.Errorf("waits until %s at a hundred times the rate", p.Next())
	}
	p.Spent(1_000_000)
	p.Begin(32*ms, 10, 10_000, 0)
	p.Begin(33*ms, 10, 10_000, 1_000_000)
	if p.Next() != 33*ms {
		t.Errorf("waits until %s for what left while no rate was known", p.Next())
	}
}

// TestLate wakes the pacer late: what was missed is caught up, two chunks at a
// time at most.
func TestLate(t *testing.T) {
	p := New(Config{})
	p.Begin(0, 80, 80*1200, 0)
	if n := p.Due(0); n != 16 {
		t.Fatal(n)
	}
	if n := p.Due(ms - 1); n != 0 {
		t.Fatalf("%d packets too early", n)
	}
	if n := p.Due(5 * ms); n != 32 {
		t.Errorf("%d packets after a late timer, want two chunks", n)
	}
	sent := 48
	for now := 5 * ms; p.Left() > 0 && now < 20*ms; now += ms {
		sent += p.Due(now)
	}
	if sent != 80 {
		t.Errorf("%d packets sent", sent)
	}
}

// TestFresh forgets the plan of a picture without a rate when the next one begins.
func TestFresh(t *testing.T) {
	p := New(Config{})
	p.Begin(0, 36, 36*1200, 0)
	play(&p, 0)
	p.Begin(2*ms, 5, 6000, 0)
	if n := p.Due(2 * ms); n != 5 {
		t.Errorf("a small picture waits for the one before it: %d packets", n)
	}
}

func TestConfig(t *testing.T) {
	p := New(Config{Burst: 4, Chunk: 5, Tick: 2 * ms, Within: 20 * ms})
	p.Begin(0, 20, 20*1200, 0)
	if sizes, last := play(&p, 0); fmt.Sprint(sizes) != "[5 5 5 5]" || last != 6*ms {
		t.Errorf("%v within %s", sizes, last)
	}
}

// FuzzPacer checks that any plan ends, sends each packet once and never before its
// time, and takes no longer than the rate asks for.
func FuzzPacer(f *testing.F) {
	f.Add(uint16(36), uint32(43_200), int64(0), int64(0))
	f.Add(uint16(400), uint32(480_000), int64(5_000_000), int64(700))
	f.Add(uint16(1), uint32(1), int64(1), int64(-5))
	f.Fuzz(func(t *testing.T, packets uint16, bytes uint32, rate, jitter int64) {
		p := New(Config{})
		p.Begin(0, int(packets), int(bytes), rate)
		now, sent := time.Duration(0), 0
		for turns := 0; p.Left() > 0; turns++ {
			if turns > 70_000 {
				t.Fatal("does not end")
			}
			next := p.Next()
			if next > now && p.Due(now) != 0 {
				t.Fatal("packets before their time")
			}
			now = max(now, next) + time.Duration(uint64(jitter)%uint64(3*ms))
			sent += p.Due(now)
		}
		if sent != int(packets) {
			t.Fatalf("%d packets of %d", sent, packets)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	p := New(Config{})
	if n := testing.AllocsPerRun(100, func() {
		p.Begin(0, 36, 43_000, 0)
		play0(&p)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func play0(p *Pacer) {
	for p.Left() > 0 {
		p.Due(p.Next())
	}
}

func BenchmarkPicture(b *testing.B) {
	p := New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		p.Begin(0, 36, 43_000, 0)
		play0(&p)
	}
}
