package signin

import (
	"net/netip"
	"sync"
	"time"
)

// Bounds of guessing.
const (
	freeGuesses = 5                // wrong passwords that cost nothing but themselves
	firstWait   = time.Second      // after them, doubled with each one
	longestWait = 5 * time.Minute  //
	memory      = 30 * time.Minute // of who has guessed, after the last time
	maxGuessers = 10_000           // that are remembered
)

// guesses are those of one address.
type guesses struct {
	wrong int
	last  time.Time
	until time.Time // the next one is not looked at before
}

// throttle has addresses wait that give wrong passwords. Its methods may be
// called concurrently. Processes of this machine are an address like any other:
// it may be a proxy that does not say for whom it asks.
type throttle struct {
	mu        sync.Mutex
	byAddress map[netip.Prefix]*guesses
}

func newThrottle() *throttle { return &throttle{byAddress: map[netip.Prefix]*guesses{}} }

// try counts a guess as a wrong one, before it is looked at: many at once are
// not better than one after the other. It answers how long is to be waited first.
func (t *throttle) try(a netip.Prefix, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.byAddress[a]
	if g == nil || now.Sub(g.last) > memory {
		t.makeRoom(now)
		g = &guesses{}
		t.byAddress[a] = g
	}
	if wait := g.until.Sub(now); wait > 0 {
		return wait
	}
	g.wrong++
	g.last = now
	if more := g.wrong - freeGuesses; more >= 0 {
		g.until = now.Add(min(firstWait<<min(more, 20), longestWait))
	}
	return 0
}

// forgive forgets the guesses of who knew the password in the end.
func (t *throttle) forgive(a netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byAddress, a)
}

// makeRoom forgets who has not guessed for long, and anybody if there are too
// many still: who has so many addresses is not held up by waiting.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.byAddress) < maxGuessers {
		return
	}
	for a, g := range t.byAddress {
		if now.Sub(g.last) > memory {
			delete(t.byAddress, a)
		}
	}
	for a := range t.byAddress {
		if len(t.byAddress) < maxGuessers {
			return
		}
		delete(t.byAddress, a)
	}
}
