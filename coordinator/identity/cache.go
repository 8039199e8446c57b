package identity

import (
	"crypto/sha256"
	"maps"
	"sync"
	"time"
)

// Bounds of what is remembered.
const (
	remember  = 30 * time.Second
	maxCached = 4096
)

// result is what Verify came to.
type result struct {
	who Identity
	err error
}

// remembered is a result for a while.
type remembered struct {
	result
	until time.Time
}

// cache remembers results by the hash of the token: a token is as good as a
// password, so it is not kept.
type cache struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]remembered
}

func newCache() *cache { return &cache{all: map[[sha256.Size]byte]remembered{}} }

func (c *cache) get(token string, now time.Time) (result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.all[sha256.Sum256([]byte(token))]
	return known.result, ok && now.Before(known.until)
}

// put remembers one. If there are too many, those that are over are forgotten,
// and if there is none of them, this one is.
func (c *cache) put(token string, r result, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) >= maxCached {
		maps.DeleteFunc(c.all, func(_ [sha256.Size]byte, one remembered) bool { return !now.Before(one.until) })
	}
	if len(c.all) < maxCached {
		c.all[sha256.Sum256([]byte(token))] = remembered{r, now.Add(remember)}
	}
}
