package relay

import (
	"sync/atomic"
	"time"
)

// bucketDepth is how much of its rate a token bucket may save up: enough for
// a key frame after a still picture.
const bucketDepth = 250 * time.Millisecond

// bucket is a token bucket in the form of the generic cell rate algorithm
// (ITU-T I.371): one number, the time at which it is full again, so that
// several threads may take from it without a lock. The zero value has no bound.
type bucket struct {
	cost float64      // nanoseconds per byte; 0 = no bound
	full atomic.Int64 // nanoseconds
}

// limit sets the rate in bytes per second; it is called before the first take.
func (b *bucket) limit(rate int64) {
	if rate > 0 {
		b.cost = float64(time.Second) / float64(rate)
	}
}

// take says whether n bytes may pass at the time now, in nanoseconds, and if
// so takes their tokens.
func (b *bucket) take(n int, now int64) bool {
	if b.cost == 0 {
		return true
	}
	for {
		old := b.full.Load()
		next := max(old, now) + int64(float64(n)*b.cost)
		if next > now+int64(bucketDepth) && old > now {
			return false
		}
		if b.full.CompareAndSwap(old, next) {
			return true
		}
	}
}
