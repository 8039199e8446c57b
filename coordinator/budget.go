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
	rate, burst float64 // a second, and at once
	mu          sync.Mutex
	byAddress   map[address]*bucket
}

// newBudgets are budgets of so much in a minute, be it at once.
func newBudgets(perMinute int) *budgets {
	return &budgets{rate: float64(perMinute) / 60, burst: float64(perMinute), byAddress: map[address]*bucket{}}
}

// take takes cost from the budget of an address, or answers false.
func (b *budgets) take(a address, cost float64, now time.Time) bool {
	if a == (address{}) {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byAddress[a] == nil {
		b.byAddress[a] = newBucket(b.rate, b.burst, now)
	}
	return b.byAddress[a].take(cost, now)
}

// sweep forgets who has not asked for so long that the budget is whole again.
func (b *budgets) sweep(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for a, one := range b.byAddress {
		if now.Sub(one.last).Seconds()*b.rate >= b.burst {
			delete(b.byAddress, a)
		}
	}
}
