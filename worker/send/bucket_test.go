package send

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	b := bucket{rate: budgetRate, size: budgetBytes}
	if !b.take(budgetBytes, time.Hour) || b.take(1, time.Hour) {
		t.Error("the bucket does not start full, or overflows")
	}
	if b.take(1, time.Hour-time.Minute) {
		t.Error("a clock that goes back fills the bucket")
	}
	if !b.take(budgetRate/10, time.Hour+100*time.Millisecond) || b.take(100, time.Hour+100*time.Millisecond) {
		t.Error("refilled with another rate")
	}
}

func buckets() []bucket {
	v := NewViewer(ViewerConfig{})
	return []bucket{v.budget, v.names, v.asks, v.answers, v.wakes}
}

// TestBucketUptime begins on machines that have been up for a while: for half of
// the times, nanoseconds times bytes a second are negative in 64 bits.
func TestBucketUptime(t *testing.T) {
	for k, begin := range buckets() {
		full := time.Duration(begin.size) * time.Second / time.Duration(begin.rate)
		for up := time.Hour; up < 2*365*24*time.Hour; up += up / 3 {
			b := begin
			for i := range 20 {
				now := up + time.Duration(i)*full
				if !b.take(b.size, now) || b.take(1, now) {
					t.Fatalf("bucket %d, up for %s, after %d fillings: not exactly what it holds", k, up, i)
				}
			}
		}
	}
}

// TestBucketModel takes random amounts at random times: over any time no more than
// size and rate allow, and over a long one no less than the rate.
func TestBucketModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for k, b := range buckets() {
		begin := 5 * time.Hour
		now, taken, refused := begin, 0, 0
		step := time.Second / time.Duration(b.rate)
		for range 20_000 {
			now += time.Duration(random.Int64N(int64(step)))
			n := 1 + random.IntN(max(1, b.size/10))
			if b.take(n, now) {
				taken += n
			} else {
				refused++
			}
			allowed := b.size + int(float64(b.rate)*(now-begin).Seconds()+1)
			if taken > allowed {
				t.Fatalf("bucket %d: %d tokens after %s, at most %d", k, taken, now-begin, allowed)
			}
		}
		least := int(float64(b.rate)*(now-begin).Seconds()) / 3 // what comes between two takes is rounded down
		if refused == 0 || taken < least {
			t.Errorf("bucket %d: %d tokens, %d refused, want %d", k, taken, refused, least)
		}
	}
}

func BenchmarkBucket(b *testing.B) {
	all := buckets()
	now := time.Hour
	for b.Loop() {
		now += time.Microsecond
		all[0].take(1200, now)
	}
}
