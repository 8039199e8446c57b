package coordinator

import (
	"slices"
	"sync"
	"time"
)

// Bounds of those that wait to prove who they are: all workers may come at once
// to a coordinator that starts, but none must keep the others out.
const (
	maxLine     = 2_000
	maxLineEach = 256 // from one address
	maxHeavy    = 8   // of those inside that send a large message
)

// strangers are the sockets of roles that have not proved who they are. There
// are few of them at once, the others wait in line. Each may send one message, of
// which very few are large at once: what comes with a proof is seldom. Its methods
// may be called concurrently.
type strangers struct {
	limit, each int // at once, and of one address
	mu          sync.Mutex
	inside      int
	held        map[address]int // of those inside
	line        []*waiting      // who comes first is first
	heavy       chan struct{}   // one for each that sends a large message
}

// waiting is a stranger in line.
type waiting struct {
	from   address
	inside chan struct{} // closed when it is its turn
}

func newStrangers(limit, perAddress int) *strangers {
	return &strangers{limit: limit, each: perAddress, held: map[address]int{}, heavy: make(chan struct{}, maxHeavy)}
}

// enter counts one more in, until the func is called. It waits for its turn at
// most patience; false if that does not come, or there are too many in line.
func (s *strangers) enter(from address, gone <-chan struct{}, patience time.Duration) (exit func(), ok bool) {
	one := s.queue(from)
	if one == nil {
		return nil, false
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-one.inside:
	case <-gone:
	case <-timeout.C:
	}
	if !s.giveUp(one) {
		return sync.OnceFunc(func() { s.exit(from) }), true
	}
	return nil, false
}

// queue puts one more in line, and inside if there is room; nil if there are too many.
func (s *strangers) queue(from address) *waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.line) >= maxLine || s.inLine(from) >= maxLineEach {
		return nil
	}
	one := &waiting{from, make(chan struct{})}
	s.line = append(s.line, one)
	s.admit()
	return one
}

// inLine is how many of an address are in line; processes of this machine are
// not counted. s.mu is held.
func (s *strangers) inLine(from address) (n int) {
	if from == (address{}) {
		return 0
	}
	for _, other := range s.line {
		if other.from == from {
			n++
		}
	}
	return n
}

// admit lets in who fits, in order. s.mu is held.
func (s *strangers) admit() {
	for i := 0; i < len(s.line) && s.inside < s.limit; {
		one := s.line[i]
		if one.from != (address{}) && s.held[one.from] >= s.each {
			i++
			continue
		}
		s.line = slices.Delete(s.line, i, i+1)
		s.inside++
		s.held[one.from]++
		close(one.inside)
	}
}

// giveUp takes one out of the line; false if it is inside.
func (s *strangers) giveUp(one *waiting) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-one.inside:
		return false
	default:
	}
	s.line = slices.DeleteFunc(s.line, func(other *waiting) bool { return other == one })
	return true
}

func (s *strangers) exit(from address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside--
	if s.held[from]--; s.held[from] <= 0 {
		delete(s.held, from)
	}
	s.admit()
}

// lift waits at most patience for room for a large message; put gives it back.
func (s *strangers) lift(gone <-chan struct{}, patience time.Duration) (put func(), ok bool) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case s.heavy <- struct{}{}:
		return func() { <-s.heavy }, true
	case <-gone:
	case <-timeout.C:
	}
	return nil, false
}
