package uplink

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// hold stops a link's writer until the result is called.
func hold(t *testing.T, l *Link) (release func()) {
	t.Helper()
	held, free := make(chan struct{}), make(chan struct{})
	l.Announce("hold", func() (signal.Type, any) {
		close(held)
		<-free
		return "", nil
	})
	<-held
	return func() { close(free) }
}

func load(sessions int) func() (signal.Type, any) {
	return func() (signal.Type, any) {
		return signal.TypeLoad, signal.Load{State: signal.StateReady, Sessions: sessions}
	}
}

// While an announcement waits, a newer one takes its place; the order in which
// things were queued is kept.
func TestAnnouncements(t *testing.T) {
	c := newCoordinator(t, nil)
	r := newRole().run(t, at(c.endpoint()))
	l := r.link(t)
	release := hold(t, l)
	l.Send(signal.TypeWant, "1", "", nil)
	made := 0
	for i := range 3 * queueLength {
		l.Announce("load", func() (signal.Type, any) { made++; return load(i)() })
	}
	l.Announce("rooms", func() (signal.Type, any) { return signal.TypeRooms, signal.Rooms{} })
	l.Announce("nothing", func() (signal.Type, any) { return "", nil })
	l.Announce("odd", func() (signal.Type, any) { return signal.TypeRooms, func() {} })
	l.Send(signal.TypeDone, "2", "", nil)
	r.keeper.Announce("load", load(7))
	release()
	until(t, "the last message", func() bool { return len(c.messages(signal.TypeDone)) == 1 })
	if got, want := c.types(), []signal.Type{signal.TypeWant, signal.TypeLoad, signal.TypeRooms, signal.TypeDone}; !slices.Equal(got, want) {
		t.Errorf("heard %v, want %v", got, want)
	}
	said, err := signal.Read[signal.Load](c.messages(signal.TypeLoad)[0])
	if err != nil || said.Sessions != 7 || made != 0 {
		t.Errorf("heard %+v, %v; %d were made for nothing", said, err, made)
	}
	l.Announce("load", load(8))
	until(t, "the next announcement", func() bool { return len(c.messages(signal.TypeLoad)) == 2 })
}

// What changes while the role introduces itself is announced when it has joined.
func TestAnnouncedDuringIntroduction(t *testing.T) {
	c := newCoordinator(t, nil)
	r := newRole()
	introduce := r.Introduce
	r.Introduce = func(ch signal.Challenge, attempt int) (signal.Type, any) {
		defer r.keeper.Announce("load", load(3))
		if n := r.links(); n != 0 {
			t.Errorf("%d links before any is joined", n)
		}
		return introduce(ch, attempt)
	}
	r.run(t, at(c.endpoint()))
	until(t, "the announcement", func() bool { return len(c.messages(signal.TypeLoad)) == 1 })
}

// What was queued before the end arrives, and then the close.
func TestGoodbye(t *testing.T) {
	c := newCoordinator(t, nil)
	r := newRole().run(t, at(c.endpoint()))
	l := r.link(t)
	release := hold(t, l)
	const messages = queueLength - 10
	for i := range messages {
		if !l.Send(signal.TypeDone, fmt.Sprint(i), "", nil) {
			t.Fatal("the queue is full")
		}
	}
	l.Announce("load", load(1))
	var group sync.WaitGroup
	group.Go(r.stop)
	release()
	group.Wait()
	c.kill() // waits for what it reads
	if n := len(c.messages(signal.TypeDone)); n != messages || len(c.messages(signal.TypeLoad)) != 1 {
		t.Errorf("%d of %d messages arrive", n, messages)
	}
	if !websocket.IsCloseError(c.ends[0], websocket.CloseGoingAway) {
		t.Errorf("the end is %v", c.ends[0])
	}
	if saw := r.saw(); len(saw) != 2 || l.Send(signal.TypeDone, "", "", nil) {
		t.Errorf("after the end: %v", saw)
	}
}

// A coordinator that does not listen does not hold up the end.
func TestGoodbyeToTheDeaf(t *testing.T) {
	deaf := make(chan struct{})
	c := newCoordinator(t, func(c *coordinator) { c.serve = func(*websocket.Conn) { <-deaf } })
	times := quick()
	times.farewell, times.flush = 20*time.Millisecond, 20*time.Millisecond
	r := newRole().runWith(t, times, at(c.endpoint()))
	l := r.link(t)
	for range 20 {
		l.Send(signal.TypeError, "", "", signal.Error{Message: strings.Repeat("x", 1<<20)})
	}
	r.stop()
	close(deaf)
}

// A coordinator that reads too slowly is cut when the queue is full.
func TestSlowReader(t *testing.T) {
	deaf := make(chan struct{})
	var joined atomic.Int32
	c := newCoordinator(t, func(c *coordinator) {
		c.serve = func(*websocket.Conn) { joined.Add(1); <-deaf }
	})
	defer close(deaf)
	times := quick()
	times.silence = time.Minute // a write that takes too long is another cause
	r := newRole().runWith(t, times, at(c.endpoint()))
	l := r.link(t)
	big := signal.Error{Message: strings.Repeat("x", 16<<10)}
	sent := 0
	for l.Send(signal.TypeError, "", "", big) {
		sent++
	}
	if sent < queueLength {
		t.Errorf("cut after %d messages", sent)
	}
	until(t, "the next link", func() bool { return joined.Load() == 2 })
	if n := r.log.count(errSlow.Error()); n != 1 {
		t.Errorf("the cause is logged %d times:\n%s", n, r.log)
	}
}

// The same, while the queue is full of small things and the writer is not in a write.
func TestFullQueue(t *testing.T) {
	c := newCoordinator(t, nil)
	r := newRole().run(t, at(c.endpoint()))
	l := r.link(t)
	release := hold(t, l)
	for i := range queueLength + 1 {
		if l.Send(signal.TypeDone, "", "", nil) != (i < queueLength) {
			t.Fatalf("message %d", i)
		}
	}
	release()
	until(t, "the end", func() bool { return len(r.saw()) >= 2 })
	until(t, "the log", func() bool { return r.log.count(errSlow.Error()) == 1 })
}

// Introductions are long where there are many rooms; other messages are bounded.
func TestLongMessages(t *testing.T) {
	introduced := make(chan signal.Register, 1)
	c := newCoordinator(t, func(c *coordinator) {
		c.accept = func(conn *websocket.Conn, e signal.Envelope) bool {
			register, err := signal.Read[signal.Register](e)
			if err != nil {
				t.Error(err)
			}
			introduced <- register
			say(conn, signal.TypeAccepted, nil)
			return true
		}
	})
	r := newRole()
	r.Introduce = func(ch signal.Challenge, _ int) (signal.Type, any) {
		register := signal.Register{
			ID: "w", MAC: signal.MAC("secret", ch.Nonce, signal.RoleWorker, "w"), Library: signal.LibraryDigest(nil),
			Load: signal.Load{State: signal.StateReady},
		}
		for range signal.MaxRooms {
			register.Rooms = append(register.Rooms, signal.Room{ID: signal.NewID(), Game: strings.Repeat("x", 64), Viewers: signal.MaxViewers})
		}
		return signal.TypeRegister, register
	}
	r.run(t, at(c.endpoint()))
	l := r.link(t)
	if n := len((<-introduced).Rooms); n != signal.MaxRooms {
		t.Errorf("%d rooms arrive", n)
	}
	if l.Send(signal.TypeError, "", "", signal.Error{Message: strings.Repeat("x", signal.MaxInternal)}) {
		t.Error("a message that nobody takes is sent")
	}
	l.Announce("long", func() (signal.Type, any) {
		return signal.TypeError, signal.Error{Message: strings.Repeat("x", signal.MaxInternal)}
	})
	l.Send(signal.TypeDone, "", "", nil)
	until(t, "what follows", func() bool { return len(c.messages(signal.TypeDone)) == 1 })
	if len(c.messages(signal.TypeError)) != 0 || len(r.saw()) != 1 {
		t.Error("the long message was sent, or broke the link")
	}
	// What comes may be as long.
	peers := signal.Peers{Addrs: slices.Repeat([]string{"[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535"}, signal.MaxPeers)}
	c.tell(signal.TypePeers, "", "", peers)
	c.tell(signal.TypeWant, "", "", nil)
	until(t, "both", func() bool { return slices.Equal(r.got(), []signal.Type{signal.TypePeers, signal.TypeWant}) })
}

// An introduction that cannot be sent is a cause like others.
func TestIntroductionThatCannotBeSent(t *testing.T) {
	c := newCoordinator(t, nil)
	r := newRole()
	r.Introduce = func(signal.Challenge, int) (signal.Type, any) { return signal.TypeRegister, func() {} }
	r.run(t, at(c.endpoint()))
	until(t, "some attempts", func() bool { return c.tried() > 2 })
	if n := r.log.count("level=WARN"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, r.log)
	}
}

// Run ends at once whatever it is doing.
func TestStopsAtAnyTime(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	hang := func(*websocket.Conn) bool { <-block; return false }
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	coordinators := map[string]*coordinator{
		"greeting":     newCoordinator(t, func(c *coordinator) { c.greet = hang }),
		"introduction": newCoordinator(t, func(c *coordinator) { c.accept = func(*websocket.Conn, signal.Envelope) bool { return hang(nil) } }),
		"back-off":     newCoordinator(t, func(c *coordinator) { c.status = http.StatusTeapot }),
		"joined":       newCoordinator(t, nil),
	}
	for name, c := range coordinators {
		t.Run(name, func(t *testing.T) {
			times := quick()
			times.refused, times.first = time.Hour, time.Hour
			r := newRole().runWith(t, times, at(c.endpoint()))
			until(t, "the attempt", func() bool { return c.tried() == 1 })
			r.stop()
		})
	}
	t.Run("HTTP", func(t *testing.T) {
		r := newRole().run(t, at(discovery.Endpoint{URL: "ws://" + silent.Addr().String()}))
		conn, err := silent.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		r.stop()
	})
	t.Run("nothing", func(t *testing.T) { newRole().run(t).stop() })
	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		k := New(newRole().Role, at(coordinators["joined"].endpoint()))
		if err := k.Run(ctx); err != nil || len(k.seekers) != 0 {
			t.Errorf("%v, %d seekers", err, len(k.seekers))
		}
	})
}
