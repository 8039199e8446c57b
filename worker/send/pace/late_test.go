package pace

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestLateAtOnce comes late by all kinds of times and takes whatever is due then, as
// a Sender does: never more than two chunks at once, and a timer that is late each
// time stretches a picture by its lateness only.
func TestLateAtOnce(t *testing.T) {
	for _, rate := range []int64{0, 50_000_000} {
		for late := time.Duration(0); late < 30*ms; late += 170 * time.Microsecond {
			p := New(Config{})
			p.Begin(time.Hour, 80, 80*1200, rate)
			now, sent := time.Hour, 0
			for p.Left() > 0 {
				now = max(now, p.Next()) + late
				n := 0
				for more := p.Due(now); more > 0; more = p.Due(now) {
					n += more
				}
				if n == 0 || n > 32 {
					t.Fatalf("late by %s at %d bit/s: %d packets at once", late, rate, n)
				}
				sent += n
			}
			if sent != 80 {
				t.Fatalf("late by %s: %d packets", late, sent)
			}
			if took := now - time.Hour; took > 16*ms+5*late { // 96 kB take 15 ms
				t.Errorf("late by %s at %d bit/s: took %s", late, rate, took)
			}
		}
	}
}

// TestLateOnce is late a single time: the rest leaves on its schedule.
func TestLateOnce(t *testing.T) {
	p := New(Config{})
	p.Begin(0, 80, 80*1200, 0) // five chunks, a millisecond apart
	p.Due(0)
	if n := p.Due(2*ms + ms/2); n != 32 {
		t.Fatalf("%d packets", n)
	}
	if p.Next() != 3*ms {
		t.Errorf("the fourth chunk at %s", p.Next())
	}
	sizes, last := play(&p, 3*ms)
	if fmt.Sprint(sizes) != "[16 16]" || last != ms {
		t.Errorf("%v within %s", sizes, last)
	}
}

// TestHugeKeyFrame has the largest picture that there is, and rates at the ends:
// every plan is finite, and without a rate it is done within 4 ms.
func TestHugeKeyFrame(t *testing.T) {
	const packets, bytes = 3600, 4 << 20
	for _, rate := range []int64{0, 1, 300_000, 1 << 61} {
		p := New(Config{})
		p.Begin(90*24*time.Hour, packets, bytes, rate)
		sizes, last := play(&p, 90*24*time.Hour)
		sum := 0
		for _, n := range sizes {
			sum += n
		}
		if sum != packets {
			t.Errorf("%d bit/s: %d packets", rate, sum)
		}
		if rate == 0 && (last > 4*ms || len(sizes) != 5) || last > time.Minute+time.Second {
			t.Errorf("%d bit/s: %d chunks within %s", rate, len(sizes), last)
		}
	}
}

// TestAnyPlan draws pictures, rates and late timers at random: each packet leaves
// once, none before its time, at most two chunks at once, and a picture without a
// rate takes no longer than its schedule and one lateness for each chunk.
func TestAnyPlan(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	p := New(Config{})
	now := 100 * time.Hour
	for range 2_000 {
		packets := random.IntN(400)
		rate := []int64{0, 300_000, 2_000_000, 40_000_000}[random.IntN(4)]
		p.Begin(now, packets, packets*1200, rate)
		begun, sent, turns := now, 0, 0
		for ; p.Left() > 0; turns++ {
			due := max(now, p.Next())
			if due > now && p.Due(now) != 0 {
				t.Fatal("packets before their time")
			}
			now = due + time.Duration(random.Int64N(int64(3*ms)))
			n := p.Due(now)
			if most := 2 * max(16, ceil(packets, 5)); n == 0 || n > most {
				t.Fatalf("%d packets of %d at once", n, packets)
			}
			sent += n
		}
		if sent != packets {
			t.Fatalf("%d packets of %d", sent, packets)
		}
		if took := now - begun; rate == 0 && took > 4*ms+time.Duration(turns)*3*ms {
			t.Fatalf("%d packets took %s in %d turns", packets, took, turns)
		}
		now += time.Duration(random.Int64N(int64(20 * ms)))
	}
}
