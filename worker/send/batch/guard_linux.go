package batch

import "sync/atomic"

// guard counts who uses a file descriptor, so that its number is given back to
// the kernel only after the last of them: a number used later belongs to
// somebody else's file. Entering costs one atomic addition and never waits.
type guard struct {
	state atomic.Uint64 // users << 1 | closed
	idle  chan struct{} // gets one value when a closed guard loses its last user
}

const (
	guardClosed = 1
	guardUser   = 2
)

func newGuard() *guard { return &guard{idle: make(chan struct{}, 1)} }

// enter counts a user; false once closed, and then leave must not be called.
func (g *guard) enter() bool {
	if g.state.Add(guardUser)&guardClosed == 0 {
		return true
	}
	g.leave()
	return false
}

// leave ends what enter began.
func (g *guard) leave() {
	if g.state.Add(^uint64(guardUser-1)) == guardClosed {
		select {
		case g.idle <- struct{}{}:
		default: // it was idle before: somebody came too late and left
		}
	}
}

// close lets nobody in any more; false if it was closed before.
func (g *guard) close() bool { return g.state.Or(guardClosed)&guardClosed == 0 }

func (g *guard) isClosed() bool { return g.state.Load()&guardClosed != 0 }

// drain waits until the last user of a closed guard has left.
func (g *guard) drain() {
	for g.state.Load() != guardClosed {
		<-g.idle
	}
}
