package room

import (
	"sync"
	"time"
)

// keySpacing is the least time between two key frames: each costs as much as
// many pictures, and viewers that ask all at once mean the same one.
const keySpacing = 250 * time.Millisecond

// keyGate passes requests for key frames on, coalesced and spaced, none of them
// lost: one that comes too early is served at the end of the spacing. Its
// methods may be called from any goroutine.
type keyGate struct {
	ask func() // asks the encoder; must not block nor call back

	mu     sync.Mutex
	asked  bool      // an asked key frame has not come yet
	last   time.Time // when the last one was asked for, or went out; zero = long ago
	timer  *time.Timer
	closed bool
}

func newKeyGate(ask func()) *keyGate { return &keyGate{ask: ask} }

// Request wants a key frame.
func (g *keyGate) Request() {
	g.mu.Lock()
	defer g.mu.Unlock()
	wait := keySpacing - time.Since(g.last)
	switch {
	case g.closed, g.timer != nil:
	case g.last.IsZero() || wait <= 0:
		g.fire() // even if one was asked for: it is late, perhaps it was lost
	case g.asked: // on its way, it serves this request too
	default:
		g.timer = time.AfterFunc(wait, g.due)
	}
}

// Delivered says that the encoder made a key frame, and whether any viewer took
// it. One that nobody took does not keep the next one back: who joins a game
// that has just begun need not wait.
func (g *keyGate) Delivered(taken bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = false
	if !taken {
		g.last = time.Time{}
		return
	}
	g.last = time.Now()
	g.stop()
}

func (g *keyGate) due() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer != nil && !g.closed {
		g.timer = nil
		g.fire()
	}
}

func (g *keyGate) fire() {
	g.asked, g.last = true, time.Now()
	g.ask()
}

func (g *keyGate) stop() {
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
}

// Close forgets everything; later requests do nothing.
func (g *keyGate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.stop()
}
