package main

import (
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// fleet is two coordinators, which are processes, and three workers.
type fleet struct {
	t       *testing.T
	doors   [2]*process
	at      [2]string // their addresses
	workers [3]*house
}

// newFleet starts all of them, with so many places at each worker.
func newFleet(t *testing.T, places string) *fleet {
	t.Helper()
	if err := engineAvailable(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	t.Chdir(t.TempDir())
	f := &fleet{t: t}
	for i := range f.doors {
		f.start(i, "127.0.0.1:0")
	}
	for i := range f.workers {
		var end func()
		f.workers[i], end = runHouse(t, defaults(t, guestSecret, "worker.network.coordinatorAddress="+f.at[0]+","+f.at[1], "library.basePath=",
			"webrtc.singlePort=0", "worker.server.address=127.0.0.1:0", "ops.address=", "worker.rooms.max="+places), roles{worker: true}, io.Discard)
		t.Cleanup(end)
	}
	f.joined(2)
	return f
}

// start runs a coordinator.
func (f *fleet) start(i int, at string) {
	f.t.Helper()
	f.doors[i] = startProcess(f.t, quiet("--role=coordinator", "--set", guestSecret, "--set", guestKey, "--set", "coordinator.server.address="+at)...)
	f.at[i] = address(f.t, f.doors[i])
}

// all says whether each worker has this value of a metric.
func (f *fleet) all(metric string, n int) bool {
	f.t.Helper()
	return !slices.ContainsFunc(f.workers[:], func(w *house) bool { return gathered(f.t, w.metrics)[metric] != float64(n) })
}

// joined waits until each worker has joined n coordinators.
func (f *fleet) joined(n int) {
	f.t.Helper()
	patience := time.After(guestsPatience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !f.all("cloudretro_worker_coordinators", n) {
		select {
		case <-tick.C:
		case <-patience:
			f.t.Fatalf("not all workers have joined %v coordinators", n)
		}
	}
}

// stand waits until n of a crowd stand at each worker: one that a coordinator has
// lost, or takes for silent, gives its places to those whom others have asked for.
func (f *fleet) stand(c *crowd, n int) {
	f.t.Helper()
	patience := time.After(guestsPatience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !c.expired && !f.all("cloudretro_worker_requests_standing", n) {
		select {
		case one := <-c.news:
			c.take(one)
		case <-tick.C:
		case <-patience:
			f.t.Fatalf("not all of %d stand at all workers", n)
		}
	}
}

// end ends a coordinator by a signal, and waits until all know.
func (f *fleet) end(i int, by syscall.Signal) {
	f.t.Helper()
	if err := f.doors[i].cmd.Process.Signal(by); err != nil {
		f.t.Fatal(err)
	}
	if err := f.doors[i].cmd.Wait(); by == syscall.SIGTERM && err != nil {
		f.t.Errorf("a coordinator ends with %v\n%s", err, f.doors[i].log())
	}
	f.joined(1)
}

// again starts a coordinator where it was.
func (f *fleet) again(i int) {
	f.t.Helper()
	_, port, err := net.SplitHostPort(f.at[i])
	if err != nil {
		f.t.Fatal(err)
	}
	f.start(i, net.JoinHostPort("127.0.0.1", port))
	f.joined(2)
}

// Guests ask in parallel at two coordinators for the places of three workers: as
// many as there are places get one, the others get in line. Whenever one leaves,
// who has waited longest is next, at whichever coordinator.
func TestLineOfTwoCoordinators(t *testing.T) {
	const places, guests = 12, 60
	f := newFleet(t, "4")
	for attempt := range 5 {
		c := newCrowd(t, f.at[:]...)
		for i := range guests {
			c.come(i % 2)
		}
		c.askAll()
		line := c.waiting(guests - places)
		if !c.expired && len(c.grants) != places {
			t.Fatalf("%d have got a place of %d", len(c.grants), places)
		}
		for i := 0; i < guests && !c.expired; i++ {
			f.stand(c, max(len(line)-i, 0))
			c.leave(c.grants[i])
			if i < len(line) {
				c.until("the next in line", func() bool { return len(c.grants) > places+i })
			}
		}
		if c.expired {
			t.Logf("attempt %d: places ran out before they were given up", attempt+1)
			c.close()
			continue
		}
		if len(c.grants) != guests {
			t.Errorf("%d places were given to %d guests", len(c.grants), guests)
		}
		c.inOrder(c.grants[places:])
		c.close()
		return
	}
	t.Error("too slow")
}

// askAll has all guests ask at the same time, and takes all answers.
func (c *crowd) askAll() {
	c.t.Helper()
	var group sync.WaitGroup
	for _, g := range c.guests {
		group.Go(func() { g.asks(c.t) })
	}
	group.Wait()
	c.until("all answers", func() bool {
		return !slices.ContainsFunc(c.guests, func(g *guest) bool { return g.ticket == "" && g.position == 0 })
	})
}

// The coordinators are ended, and started again, one after the other, while
// guests play and others wait, who go to the one that is there: all games go on,
// and nobody loses the place in line or gets a second one.
func TestRestartOfTwoCoordinators(t *testing.T) {
	const waiting = 44
	f := newFleet(t, "1")
	c := newCrowd(t, f.at[:]...)
	var players []*guest
	for i := range 6 {
		g := c.come(i % 2)
		if players = append(players, g); i < len(f.workers) {
			c.play(g)
		} else {
			c.watch(g, players[1].answer.Room)
		}
	}
	for i := range waiting {
		c.come(i % 2)
	}
	for _, g := range c.guests[len(players):] {
		g.asks(t)
	}
	c.waiting(waiting)
	for i, by := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		f.end(i, by)
		c.flee(i, 1-i)
		for _, g := range players {
			c.offer(g)
		}
		f.again(i)
		c.doors[i] = f.at[i]
	}
	c.waiting(waiting)
	c.leave(players[0])
	for i := range waiting {
		c.until("the next in line", func() bool { return len(c.grants) > i })
		if c.expired {
			t.Fatal("a place was taken back that had just been given")
		}
		c.leave(c.grants[i])
	}
	c.inOrder(c.grants)
	if len(c.grants) != waiting {
		t.Errorf("%d places were given to %d guests", len(c.grants), waiting)
	}
	c.close()
}

// watch enters a room with a browser.
func (c *crowd) watch(g *guest, room string) {
	c.t.Helper()
	g.browser = peertest.New(c.t, peertest.Options{NoAudio: true})
	g.say(c.t, signal.TypeJoin, signal.Join{Room: room, SDP: g.browser.Offer()})
	c.until("a room", func() bool { return g.answer != nil })
	g.browser.Accept(g.answer.SDP)
	peertest.Wait(c.t, "a picture", g.browser.Pictures)
}

// offer renegotiates: the game is the same, and its pictures go on.
func (c *crowd) offer(g *guest) {
	c.t.Helper()
	room := g.answer.Room
	g.answer = nil
	g.say(c.t, signal.TypeOffer, signal.Offer{SDP: g.browser.Restart()})
	c.until("the answer to an offer", func() bool { return g.answer != nil })
	if g.answer.Room != room {
		c.t.Errorf("%s is in the room %s, not %s", g.name, g.answer.Room, room)
	}
	g.browser.Accept(g.answer.SDP)
	for range 10 {
		peertest.Wait(c.t, "a picture after the restart", g.browser.Pictures)
	}
}

// close has all guests go.
func (c *crowd) close() {
	for _, g := range c.guests {
		_ = g.conn.Close()
	}
}
