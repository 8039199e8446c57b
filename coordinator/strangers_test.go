package coordinator

import (
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// of is an address of its own.
func of(s string) address { return networkOf(netip.MustParseAddr(s)) }

func TestStrangersWaitInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStrangers(3, 2)
		one, two := of("203.0.113.1"), of("203.0.113.2")
		enter := func(from address) (exit func()) {
			t.Helper()
			exit, ok := s.enter(from, nil, time.Second)
			if !ok {
				t.Fatal("there is room")
			}
			return exit
		}
		first := enter(one)
		enter(one)
		begin := time.Now()
		if _, ok := s.enter(one, nil, time.Second); ok || time.Since(begin) != time.Second {
			t.Errorf("a third of one address: %v after %s", ok, time.Since(begin))
		}
		enter(two) // not held up by who waits
		// Two wait: the one whose address has room is not behind the other.
		late := make(chan string, 2)
		var group sync.WaitGroup
		wait := func(name string, from address) {
			group.Go(func() {
				if _, ok := s.enter(from, nil, time.Hour); ok {
					late <- name
				}
			})
			synctest.Wait()
		}
		wait("one", one)
		wait("two", two)
		first()
		first() // counts once
		if got := <-late; got != "one" {
			t.Errorf("%s comes first", got)
		}
		s.exit(one)
		if got := <-late; got != "two" {
			t.Errorf("%s comes next", got)
		}
		group.Wait()
		// Who goes away while waiting leaves nothing behind.
		gone := make(chan struct{})
		close(gone)
		if _, ok := s.enter(two, gone, time.Hour); ok || len(s.line) != 0 {
			t.Errorf("%d in line", len(s.line))
		}
	})
}

func TestLineIsBounded(t *testing.T) {
	s := newStrangers(1, 1)
	from, local := of("203.0.113.1"), address{}
	for range 1 + maxLineEach {
		if s.queue(from) == nil {
			t.Fatal("too early")
		}
	}
	if s.queue(from) != nil {
		t.Error("one too many of an address")
	}
	for range maxLine - maxLineEach {
		if s.queue(local) == nil {
			t.Fatal("too early")
		}
	}
	if s.queue(local) != nil {
		t.Error("one too many")
	}
}

// All enter in the end, never more than the limit at once.
func TestStrangersRace(t *testing.T) {
	s := newStrangers(8, 3)
	var mu sync.Mutex
	inside, most, entered := 0, 0, 0
	count := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		inside += n
		most = max(most, inside)
		entered += max(n, 0)
	}
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			exit, ok := s.enter([]address{{}, of("203.0.113.1"), of("203.0.113.2")}[i%3], nil, patient)
			if !ok {
				t.Error("not let in")
				return
			}
			count(1)
			count(-1)
			exit()
		})
	}
	group.Wait()
	if most > 8 || entered != 200 || len(s.line)+len(s.held)+s.inside != 0 {
		t.Errorf("%d at once, %d entered, left: %v %v %d", most, entered, s.line, s.held, s.inside)
	}
}
