package coordinator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// The list of all games is made at most this often, and takes at most a tenth
// of a core, however many workers come and go.
const (
	gamesPause = 100 * time.Millisecond
	gamesShare = 10
)

// catalogue is /api/games: the games of all libraries. It is made when it is
// asked for and the set of libraries has changed since.
type catalogue struct {
	source  func() []*library // as they are now
	changes *atomic.Uint64    // of the set of libraries
	made    atomic.Pointer[asset]
	mu      sync.Mutex // held by who makes it; guards the rest
	of      uint64     // changes when it was made
	next    time.Time  // not before
}

func newCatalogue(source func() []*library, changes *atomic.Uint64) *catalogue {
	c := &catalogue{source: source, changes: changes}
	c.made.Store(newAsset("games.json", []byte("[]")))
	return c
}

// Load is the list as it is now, or was gamesPause ago.
func (c *catalogue) Load() *asset {
	if c.mu.TryLock() { // else somebody makes it just now
		defer c.mu.Unlock()
		c.refresh(time.Now())
	}
	return c.made.Load()
}

// refresh makes the list if it is time. c.mu is held.
func (c *catalogue) refresh(now time.Time) {
	changes := c.changes.Load()
	if changes == c.of || now.Before(c.next) {
		return
	}
	c.made.Store(newAsset("games.json", listGames(c.source())))
	c.of = changes
	done := time.Now()
	c.next = done.Add(max(gamesPause, gamesShare*done.Sub(now)))
}

// listGames is the union of libraries, sorted by system and title; of equal ids
// the one of the library with the lowest digest counts, so that all coordinators
// list the same.
func listGames(libraries []*library) []byte {
	slices.SortFunc(libraries, func(a, b *library) int { return cmp.Compare(a.digest, b.digest) })
	union := map[string]signal.Game{}
	for _, l := range libraries {
		for id, g := range l.games {
			if _, ok := union[id]; !ok {
				union[id] = g
			}
		}
	}
	games := slices.SortedFunc(maps.Values(union), func(a, b signal.Game) int {
		return cmp.Or(cmp.Compare(a.System, b.System), cmp.Compare(a.Title, b.Title), cmp.Compare(a.ID, b.ID))
	})
	if games == nil {
		games = []signal.Game{}
	}
	body, err := json.Marshal(games)
	if err != nil {
		panic(fmt.Sprintf("coordinator: games cannot be encoded: %v", err)) // only strings and ints
	}
	return body
}
