package coordinator

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// A worker that says that another one's rooms are its own gets none of their players.
func TestRoomsOfAnotherWorker(t *testing.T) {
	d := start(t, nil)
	honest, liar := d.worker(nil), d.worker(nil)
	room := signal.NewID()
	honest.say(signal.TypeRooms, "", "", signal.Rooms{Rooms: []signal.Room{{ID: room, Game: "pong"}}})
	until(t, "the room", func() bool { _, err := d.registry.forRoom(room); return err == nil })
	own := signal.NewID()
	liar.say(signal.TypeRooms, "", "", signal.Rooms{Rooms: []signal.Room{{ID: room, Game: "pong"}, {ID: own, Game: "pong"}}})
	until(t, "its own room", func() bool { _, err := d.registry.forRoom(own); return err == nil })
	if w, _ := d.registry.forRoom(room); w == nil || w.id != honest.id {
		t.Error("the room was taken over")
	}
	until(t, "the refusal", func() bool { return d.stats.refusals()["denied"] == 1 })
	p := d.page()
	p.say(signal.TypeJoin, "j", "", signal.Join{Room: room, SDP: "v=0"})
	e := honest.next(signal.TypeJoin)
	honest.yes(e, room)
	p.next(signal.TypeAnswer)
	// It comes back with them, and nobody is at its place before it has left.
	liar.close()
	until(t, "the loss of its own", func() bool { _, err := d.registry.forRoom(own); return err != nil })
	if w, _ := d.registry.forRoom(room); w == nil || w.id != honest.id {
		t.Error("the room left with the other worker")
	}
}

// A game that is answered with another worker's room has not been started.
func TestAnswerWithRoomOfAnother(t *testing.T) {
	d := start(t, nil)
	room := signal.NewID()
	d.workerWith(games("golf"), func(r *signal.Register) { r.Rooms = []signal.Room{{ID: room, Game: "golf"}} })
	liar := d.worker(nil)
	p := d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong", SDP: "v=0"})
	liar.gives()
	liar.yes(liar.next(signal.TypeStart), room)
	if liar.next(signal.TypeLeave); d.stats.refusals()["failed"] > 1 {
		t.Error("counted twice")
	}
	if w, _ := d.registry.forRoom(room); w == nil || w.id == liar.id {
		t.Error("the room was taken over")
	}
}

// A worker cannot grant what it was not asked for.
func TestGrantOfWhoWasNotAsked(t *testing.T) {
	d := start(t, nil)
	honest, p := d.worker(occupied), d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong"})
	p.queued("1")
	ticket := honest.stands().Ticket
	liar := d.workerWith(games("golf"), nil)
	for _, name := range []string{ticket, "nobody-asked"} {
		liar.say(signal.TypeReserved, "x", "", signal.Reserved{Ticket: name, Seconds: 20})
		if c := read[signal.Cancel](t, liar.next(signal.TypeCancel)); c.Ticket != name {
			t.Errorf("it is given %s back", c.Ticket)
		}
	}
	until(t, "the refusal", func() bool { return d.stats.refusals()["denied"] == 1 })
	// Nor refuse it, and so stand where others are to be asked.
	liar.say(signal.TypeError, ticket, "", signal.Errorf(signal.CodeFull, "full"))
	liar.say(signal.TypeReserved, "x", "", signal.Reserved{Ticket: "nobody-asked", Seconds: 20})
	liar.next(signal.TypeCancel)
	d.queue.mu.Lock()
	if n := len(d.queue.byID[ticket].stands); n != 1 {
		t.Errorf("the ticket stands at %d workers", n)
	}
	d.queue.mu.Unlock()
	honest.say(signal.TypeReserved, ticket, "", signal.Reserved{Ticket: ticket, Seconds: 7 * 24 * 60 * 60})
	if g := read[signal.Granted](t, p.next(signal.TypeGranted)); g.Ticket != ticket || g.Seconds != maxHeld {
		t.Errorf("granted %+v", g)
	}
}

// Who has not proved itself is read as its proof alone, however long its lists.
func TestListsBeforeTheProof(t *testing.T) {
	d := start(t, nil)
	for _, path := range []string{"/ws/worker", "/ws/turn"} {
		c := d.dial(path, nil)
		c.next(signal.TypeChallenge)
		mac := strings.Repeat("0", 64)
		kind := map[string]string{"/ws/worker": "register", "/ws/turn": "gate"}[path]
		lists := `"rooms":[` + strings.Repeat("{},", 1000) + `{}],"urls":[1]`
		c.raw([]byte(`{"v":1,"type":"` + kind + `","data":{"id":"w","mac":"` + mac + `",` + lists + `}}`))
		c.refused("", signal.CodeDenied)
		c.ends()
	}
}

// Of messages that are large few are read at once from strangers.
func TestLargeProofs(t *testing.T) {
	d := start(t, nil)
	large := bytes.Repeat([]byte("x"), lightMessage+1)
	var put []func()
	for range maxHeavy {
		one, ok := d.strangers.lift(nil, patient)
		if !ok {
			t.Fatal("no room for the first")
		}
		put = append(put, one)
	}
	if _, ok := d.strangers.lift(nil, time.Millisecond); ok {
		t.Error("one too many")
	}
	c := d.dial("/ws/worker", nil)
	c.next(signal.TypeChallenge)
	c.raw(large)
	c.nothing()
	light := d.dial("/ws/worker", nil) // others go on
	light.next(signal.TypeChallenge)
	light.raw([]byte("{"))
	light.refused("", signal.CodeBadRequest)
	put[0]()
	c.refused("", signal.CodeBadRequest)
	c.ends()
	if one, ok := d.strangers.lift(nil, patient); !ok {
		t.Error("it keeps its room")
	} else {
		one()
	}
	for _, one := range put[1:] {
		one()
	}
	// One that has proved itself may say much.
	w := d.worker(nil)
	w.raw(large)
	w.say(signal.TypeRooms, "", "", signal.Rooms{Rooms: []signal.Room{{ID: strings.Repeat("a", 26), Game: "pong"}}})
	until(t, "the room", func() bool { _, err := d.registry.forRoom(strings.Repeat("a", 26)); return err == nil })
}

// Who answers pings, and never proves anything, does not keep others out.
func TestPongsAreNoProof(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	c := d.dial("/ws/worker", nil) // it answers pings as it reads
	c.next(signal.TypeChallenge)
	d.strangers.mu.Lock()
	inside := d.strangers.inside
	d.strangers.mu.Unlock()
	if inside != 1 {
		t.Errorf("%d are strangers", inside)
	}
	<-time.After(handshakeTimeout)
	if code := c.ends(); code != websocket.ClosePolicyViolation {
		t.Errorf("closed with %d", code)
	}
	until(t, "the count", func() bool { return d.stats.refusals()["handshake"] == 1 })
	until(t, "its end", func() bool {
		d.strangers.mu.Lock()
		defer d.strangers.mu.Unlock()
		return d.strangers.inside == 0
	})
}

// A worker that says that it has places, and answers nobody, holds up one start
// and not each.
func TestWorkerThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bare()
		liar, good := link("a", loose(), func(r *signal.Register) { r.Load.Places, r.Load.Free = 9999, 9999 }), link("b", loose(), nil)
		c.registry.enroll(liar, games("pong"))
		c.registry.enroll(good, games("pong"))
		answer := func() {
			e := good.sock.sent(t, signal.TypeReserve)
			ticket := read[signal.Reserve](t, e).Ticket
			data := encode(signal.TypeReserved, e.ID, "", signal.Reserved{Ticket: ticket, Seconds: 9})
			held, err := signal.Decode(data, signal.MaxInternal)
			if err != nil || c.fromWorker(good, held) != nil {
				t.Error(err)
			}
		}
		for n, want := range []time.Duration{reservePatience, 0, 0} {
			page := loose()
			s := c.sessions.open(page, "", nil)
			begin := time.Now()
			start := signal.Start{Game: "pong"}
			if err := c.sessions.begin(s, true); err != nil {
				t.Fatal(err)
			}
			k := c.queue.ticket(s, s.id, start, begin.UnixMilli(), address{})
			c.requests.Go(func() {
				c.start(t.Context(), s, k, request{id: "p", kind: signal.TypeStart, payload: start}, []*workerLink{liar, good})
			})
			synctest.Wait()
			time.Sleep(want)
			synctest.Wait()
			answer()
			synctest.Wait()
			page.sent(t, signal.TypeGranted)
			if d := time.Since(begin); d != want {
				t.Errorf("start %d took %s, want %s", n, d, want)
			}
			c.sessions.lose(s, page, time.Now())
			good.sock.sent(t, signal.TypeCancel)
		}
		time.Sleep(missFor)
		if liar.free() != 9999 {
			t.Error("it is never asked again")
		}
		c.requests.Wait()
	})
}
