package send

import "time"

// bucket is a token bucket, which bounds what one browser can make us do. It
// starts full. One goroutine.
type bucket struct {
	rate, size int // tokens a second, and at once; size/rate is minutes at most
	used       int // tokens, of size
	at         time.Duration
}

// refill gives back what has come since the last time.
func (b *bucket) refill(now time.Duration) {
	// Clocks that count since the machine was started are days ahead of at when it
	// is 0: times rate that would be beyond 64 bits.
	full := time.Duration(b.size) * time.Second / time.Duration(b.rate)
	gained := int64(min(now-b.at, full)) * int64(b.rate) / int64(time.Second)
	if gained > 0 {
		b.used, b.at = max(0, b.used-int(gained)), now
	}
}

// spend takes n tokens, all or none.
func (b *bucket) spend(n int) bool {
	if b.used+n > b.size {
		return false
	}
	b.used += n
	return true
}

// take refills the bucket and spends n.
func (b *bucket) take(n int, now time.Duration) bool {
	b.refill(now)
	return b.spend(n)
}
