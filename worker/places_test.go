package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/uplink"
	"github.com/cloudretro/cloudretro/worker/admission"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// two is a worker with two coordinators.
func two(t *testing.T, edit func(*Config)) (p *play, second *call) {
	other := newDoor(t)
	p = newPlay(t, func(c *Config) {
		c.Coordinators = append(c.Coordinators, other.address())
		if edit != nil {
			edit(c)
		}
	})
	second = other.accept()
	wait(t, "both to be joined", func() bool { return p.Status().Coordinators == 2 })
	return p, second
}

func granted(t *testing.T, e signal.Envelope) bool {
	t.Helper()
	if e.Type == signal.TypeReserved {
		return true
	}
	if code := refusal(t, e).Code; code != signal.CodeFull {
		t.Errorf("refused with %s", code)
	}
	return false
}

// TestPlacesAreGrantedOnce: a thousand ask through two coordinators at once.
func TestPlacesAreGrantedOnce(t *testing.T) {
	const places, each = 200, 500
	p, second := two(t, func(c *Config) { c.MaxRooms = places })
	var group sync.WaitGroup
	var counts [2]int
	for i, c := range []*call{p.link, second} {
		group.Go(func() {
			for n := range each {
				c.ask(fmt.Sprintf("c%d-%d", i, n), library.TestCardID, int64(n), false)
			}
			for n := range each {
				if granted(t, c.answerTo(fmt.Sprintf("c%d-%d", i, n))) {
					counts[i]++
				}
			}
		})
	}
	group.Wait()
	if counts[0]+counts[1] != places {
		t.Errorf("%v granted", counts)
	}
	if s := p.Status(); s.Held != places || s.Free != 0 || s.Standing != 0 {
		t.Errorf("Status = %+v", s)
	}
	p.link.wantLoad(func(l signal.Load) bool { return l.Free == 0 && l.Places == places })
}

// TestQueueOverTwoCoordinators: who asked first is first, wherever.
func TestQueueOverTwoCoordinators(t *testing.T) {
	p, second := two(t, func(c *Config) { c.MaxRooms = 1 })
	first := p.ticket(library.TestCardID)
	p.link.ask("a3", library.TestCardID, 30, true)
	second.ask("b1", library.TestCardID, 10, true)
	second.ask("b2", library.TestCardID, 20, true)
	p.link.ask("full", library.TestCardID, 1, false) // answered at once: all others have arrived here
	second.ask("full", library.TestCardID, 1, false)
	p.link.answerTo("full")
	second.answerTo("full")
	if s := p.Status(); s.Standing != 3 || s.Held != 1 {
		t.Errorf("Status = %+v", s)
	}
	p.link.send(signal.TypeCancel, "", "", signal.Cancel{Ticket: first})
	second.answerTo("b1")
	p.link.send(signal.TypeCancel, "", "", signal.Cancel{Ticket: "b1"}) // is not its own
	if r := refusal(t, p.link.reserve("next", "no-such-game")); r.Code != signal.CodeNotFound {
		t.Errorf("no such game: %v", r)
	}
	second.send(signal.TypeCancel, "", "", signal.Cancel{Ticket: "b1"})
	second.answerTo("b2")
	second.conn.Close() // what it holds runs out; nothing of it stands
	p.link.ask("b2", library.TestCardID, 20, true)
	p.link.answerTo("b2") // the page has come here
	p.link.send(signal.TypeCancel, "", "", signal.Cancel{Ticket: "b2"})
	p.link.answerTo("a3")
}

// TestStandingEndsWithTheCoordinator.
func TestStandingEndsWithTheCoordinator(t *testing.T) {
	p, second := two(t, func(c *Config) { c.MaxRooms = 1 })
	_, _ = p.start("s1")
	second.ask("b1", library.TestCardID, 10, true)
	second.ask("full", library.TestCardID, 1, false)
	second.answerTo("full")
	p.link.ask("a2", library.TestCardID, 20, true)
	wait(t, "both to stand", func() bool { return p.Status().Standing == 2 })
	second.conn.Close()
	wait(t, "its request to be gone", func() bool { return p.Status().Standing == 1 })
	(<-p.engines).Fail(nil)
	p.link.answerTo("a2")
}

// wait waits until something is so that nobody tells.
func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(peertest.Patience)
	for !is() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestPlacesRunOutByThemselves: nothing else happens meanwhile.
func TestPlacesRunOutByThemselves(t *testing.T) {
	l, c := newLink(t)
	var table rooms
	table.init(1, func(string) bool { return true }, func() {}, func() {})
	table.desk = admission.New[*uplink.Link](admission.Config{Places: 1, Hold: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); table.run(ctx) }()
	for i := range 5 {
		ticket := fmt.Sprintf("t%d", i)
		table.decide(func(d *desk, now time.Time) {
			d.Reserve(now, l, ticket, signal.Reserve{Ticket: ticket, Since: int64(i), Wait: true})
		})
	}
	var order []string
	for range 5 {
		r, err := signal.Read[signal.Reserved](c.want(signal.TypeReserved, ""))
		if err != nil || r.Seconds != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		order = append(order, r.Ticket)
	}
	if !slices.IsSorted(order) {
		t.Errorf("order %v", order)
	}
	cancel()
	<-done
}

// TestEmptyRoomIsReturnedTo unless its place was given away.
func TestEmptyRoomIsReturnedTo(t *testing.T) {
	p := newPlay(t, func(c *Config) { c.MaxRooms = 1 })
	b, a := p.start("s1")
	peertest.Wait(t, "the channel", b.Open)
	p.link.send(signal.TypeLeave, "", "s1", nil)
	p.link.wantRooms(func(r []signal.Room) bool { return len(r) == 1 && r[0].Players == 0 })
	_, again := p.join("s2", a.Room, 0)
	if again.Room != a.Room {
		t.Errorf("answer %+v", again)
	}
	p.link.wantLoad(func(l signal.Load) bool { return l.Free == 0 && l.Sessions == 1 })
	p.link.send(signal.TypeLeave, "", "s2", nil)
	ticket := p.ticket(library.TestCardID) // after the moment for which it is spared
	join := signal.Join{Room: a.Room, SDP: peertest.New(t, peertest.Options{}).Offer()}
	p.link.send(signal.TypeJoin, "3", "s3", join)
	if r := refusal(t, p.link.want(signal.TypeError, "s3")); r.Code != signal.CodeFull {
		t.Errorf("refused with %v", r)
	}
	p.link.send(signal.TypeCancel, "", "", signal.Cancel{Ticket: ticket})
	p.join("s4", a.Room, 0)
}

// TestDrain: nothing new, what runs goes on, and it can be taken back.
func TestDrain(t *testing.T) {
	p, second := two(t, nil)
	b, a := p.start("s1")
	ticket := p.ticket(library.TestCardID)
	p.link.ask("w", library.TestCardID, 9, true)
	p.link.send(signal.TypeDrain, "", "", signal.Drain{})
	for _, c := range []*call{p.link, second} {
		c.wantLoad(func(l signal.Load) bool { return l.State == signal.StateDraining && l.Free == 0 })
	}
	if r := refusal(t, p.link.answerTo("w")); r.Code != signal.CodeDraining {
		t.Errorf("who waits hears %v", r)
	}
	p.link.send(signal.TypeStart, "1", "s2", signal.Start{
		Game: library.TestCardID, SDP: peertest.New(t, peertest.Options{}).Offer(), Ticket: ticket,
	})
	p.link.want(signal.TypeAnswer, "s2") // it was held before
	p.join("s3", a.Room, 0)
	peertest.Wait(t, "a picture", b.Pictures)
	p.link.send(signal.TypeLeave, "", "s2", nil)
	if r := refusal(t, p.link.reserve("t1", library.TestCardID)); r.Code != signal.CodeDraining {
		t.Errorf("refused with %v", r)
	}
	second.send(signal.TypeDrain, "", "", signal.Drain{Off: true})
	p.link.wantLoad(func(l signal.Load) bool { return l.State == signal.StateReady })
	p.ticket(library.TestCardID)
}

// TestDrainGrace: a worker that is told to end waits for its games.
func TestDrainGrace(t *testing.T) {
	p := newPlay(t, func(c *Config) { c.DrainGrace, c.RoomGrace = time.Minute, 0 })
	b, _ := p.start("s1")
	stopped := make(chan struct{})
	go func() { defer close(stopped); p.stop() }()
	p.link.wantLoad(func(l signal.Load) bool { return l.State == signal.StateDraining })
	for range 20 {
		peertest.Wait(t, "a picture", b.Pictures)
	}
	select {
	case <-stopped:
		t.Fatal("ended while somebody plays")
	default:
	}
	p.link.send(signal.TypeLeave, "", "s1", nil)
	<-stopped
}

// TestDrainIsTold: players hear that the worker ends, and when.
func TestDrainIsTold(t *testing.T) {
	p := newPlay(t, func(c *Config) { c.DrainGrace = 10 * time.Minute })
	b, _ := p.start("s1")
	peertest.Wait(t, "the channel", b.Open)
	stopped := make(chan struct{})
	go func() { defer close(stopped); p.stop() }()
	for text := range b.Messages {
		if strings.Contains(text, "another 10 minutes") {
			break
		}
	}
	(<-p.engines).Fail(nil)
	<-stopped
}

// TestDrainGraceEnds: it does not wait for ever.
func TestDrainGraceEnds(t *testing.T) {
	p := newPlay(t, func(c *Config) { c.DrainGrace = 300 * time.Millisecond })
	p.start("s1")
	p.stop()
	p.link.want(signal.TypeClosed, "s1")
}
