package coordinator

import (
	"sync"
	"time"
)

// joinCost is what of a start a join counts as.
const joinCost = 0.2

// budgets is a token bucket for each address, so that a school behind one can do
// much at once, and a loop cannot keep us or the workers busy. Its methods may be
// called concurrently.
type budgets struct {
	perMinute bound // and at once
	mu        sync.Mutex
	byAddress map[address]*bucket
}

// newBudgets are budgets of so much in a minute, be it at once.
func newBudgets(perMinute bound) *budgets {
	return &budgets{perMinute: perMinute, byAddress: map[address]*bucket{}}
}

// take takes cost from the budget of an address, or answers false.
func (b *budgets) take(a address, cost float64, now time.Time) bool {
	if a == (address{}) {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	burst := float64(b.perMinute())
	one := b.byAddress[a]
	if one == nil {
		one = newBucket(burst/60, burst, now)
		b.byAddress[a] = one
	}
	one.rate, one.burst = burst/60, burst // as it is now
	return one.take(cost, now)
}

// sweep forgets who has not asked for so long that the budget is whole again.
func (b *budgets) sweep(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for a, one := range b.byAddress {
		if now.Sub(one.last).Seconds()*one.rate >= one.burst {
			delete(b.byAddress, a)
		}
	}
}
