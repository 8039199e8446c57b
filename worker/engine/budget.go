package engine

import "time"

// Pauses before a restart: none before the first, then growing.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// budget counts restarts. A process that keeps failing is given up.
type budget struct {
	limit  int
	window time.Duration
	spent  []time.Time // restarts within the window
}

// take asks for a restart at the time now. It returns how long to wait before
// it, or false when too many have been taken.
func (b *budget) take(now time.Time) (pause time.Duration, ok bool) {
	for len(b.spent) > 0 && now.Sub(b.spent[0]) >= b.window {
		b.spent = b.spent[1:]
	}
	if len(b.spent) >= b.limit {
		return 0, false
	}
	if n := len(b.spent); n > 0 {
		pause = min(firstPause<<min(n-1, 20), maxPause)
	}
	b.spent = append(b.spent, now)
	return pause, true
}
