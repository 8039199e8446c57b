package coordinator

import (
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// crowded is a queue with so many waiting for one game, at so many workers, that
// nothing serves.
func crowded(waiting, workers int) *queue {
	c := bare()
	for range workers {
		c.registry.enroll(link(signal.NewID(), loose(), occupied), games("pong"))
	}
	q := c.queue
	q.running = true
	sock := loose()
	for i := range waiting {
		t := q.ticket(&session{}, "s", signal.Start{Game: "pong"}, int64(i), address{})
		t.sock = sock
		q.line, q.byID[t.id], q.byOwner[t.owner] = append(q.line, t), t, t
	}
	if err := c.board.heard(c.board.of("other", 1, 2, 3)); err != nil {
		panic(err) // our own signature
	}
	return q
}

// emptied throws away what was sent to nobody.
func (s *socket) emptied() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = s.queue[:0]
}

// The whole line moves up by one and is told, as happens twice in a second at
// most to its head and every two seconds to all.
func BenchmarkLineMoves(b *testing.B) {
	q := crowded(signal.MaxQueue, 0)
	sock := q.line[0].sock
	sock.room = 2 * signal.MaxQueue
	for b.Loop() {
		for _, t := range q.line {
			t.said++ // another one than before
		}
		q.sayPositions(true)
		sock.emptied()
	}
}

// Nothing has changed: what each load that a worker announces costs.
func BenchmarkAskAgain(b *testing.B) {
	q := crowded(signal.MaxQueue, 1000)
	q.ask()
	for b.Loop() {
		q.ask()
	}
}

func TestHeadOfLineStands(t *testing.T) {
	q := crowded(3*headOfLine, 2*placesAsked)
	q.line[2*headOfLine].wish.game = "chess" // nobody has it
	q.ask()
	for i, one := range q.line {
		want := 0
		if i < headOfLine {
			want = placesAsked
		}
		if len(one.stands) != want {
			t.Fatalf("the %d-th stands at %d workers, not %d", i+1, len(one.stands), want)
		}
	}
	// A worker that has places is asked for as many who do not stand there.
	var idle *workerLink
	for _, w := range q.c.registry.workers {
		if _, ok := q.line[0].stands[w]; !ok {
			idle = w
			break
		}
	}
	idle.setLoad(signal.Load{State: signal.StateReady, Places: 8, Free: 2})
	q.workerChanged(idle)
	q.ask()
	for i, one := range q.line {
		if one.stands[idle] != (i < 2) {
			t.Errorf("the %d-th stands at the worker with two places: %v", i+1, one.stands[idle])
		}
	}
	// One that refuses is left alone for a while.
	q.refused(idle, q.line[0].id)
	q.ask()
	if q.line[0].stands[idle] {
		t.Error("asked again at once")
	}
	q.retry(int(retryPeriod / sayPeriod))
	q.workerChanged(idle)
	q.ask()
	if !q.line[0].stands[idle] {
		t.Error("never asked again")
	}
	q.workerGone(idle)
	if _, ok := q.line[1].stands[idle]; ok {
		t.Error("stands at a worker that is gone")
	}
}
