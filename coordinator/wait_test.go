package coordinator

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// occupied is a worker without a free place.
func occupied(r *signal.Register) { r.Load.Free = 0 }

// queued is the next position that a page is told, and the token if there is one.
func (p *page) queued(id string) signal.Queued {
	p.t.Helper()
	e := p.next(signal.TypeQueued)
	if e.ID != id {
		p.t.Errorf("%q is answered, not %q", e.ID, id)
	}
	return read[signal.Queued](p.t, e)
}

// stands is the next request at a worker, which must stand.
func (w *worker) stands() signal.Reserve {
	w.t.Helper()
	r := read[signal.Reserve](w.t, w.next(signal.TypeReserve))
	if !r.Wait {
		w.t.Errorf("asked %+v at once", r)
	}
	return r
}

// calm skips what a coordinator says of its queue.
func (w *worker) calm(want signal.Type) signal.Envelope {
	w.t.Helper()
	for {
		select {
		case e := <-w.in:
			if e.Type == want {
				return e
			}
			if e.Type != signal.TypeQueue {
				w.t.Fatalf("received %s %s instead of %s", e.Type, e.Data, want)
			}
		case <-time.After(patient):
			w.t.Fatalf("no %s came", want)
		}
	}
}

func TestWaitAndStart(t *testing.T) {
	d := start(t, nil)
	w, p := d.worker(occupied), d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong", SDP: "v=0"})
	if q := p.queued("1"); q.Position != 1 || q.Waiting != 1 || q.Token == "" {
		t.Errorf("told %+v", q)
	}
	ticket := w.stands().Ticket
	p.say(signal.TypeCandidate, "", "", signal.Candidate{Candidate: "candidate:1"}) // of the dropped connection
	p.say(signal.TypeStart, "2", "", signal.Start{Game: "pong"})                    // again
	if q := p.queued("2"); q.Position != 1 {
		t.Errorf("told %+v", q)
	}
	// Not yet granted, and never another page's.
	thief := d.page()
	var g signal.Granted
	for i := range 2 {
		thief.say(signal.TypeStart, "t", "", signal.Start{Game: "pong", SDP: "v=0", Ticket: ticket})
		thief.refused("t", signal.CodeExpired)
		p.say(signal.TypeStart, "3", "", signal.Start{Game: "chess", SDP: "v=0", Ticket: ticket})
		p.refused("3", signal.CodeExpired)
		if i == 0 {
			w.say(signal.TypeReserved, ticket, "", signal.Reserved{Ticket: ticket, Seconds: 20})
			g = read[signal.Granted](t, p.next(signal.TypeGranted))
		}
	}
	if g.Ticket != ticket || g.Seconds != 20 {
		t.Errorf("granted %+v", g)
	}
	p.say(signal.TypeStart, "3", "", signal.Start{Game: "pong"}) // did not hear of it
	if e := p.next(signal.TypeGranted); e.ID != "3" || read[signal.Granted](t, e).Ticket != ticket {
		t.Errorf("told %s for %q", e.Data, e.ID)
	}
	p.say(signal.TypeStart, "4", "", signal.Start{Game: "pong", Ticket: ticket})
	p.refused("4", signal.CodeBadRequest) // without an offer
	p.say(signal.TypeStart, "5", "", signal.Start{Game: "pong", SDP: "v=0", Ticket: ticket})
	e := w.calm(signal.TypeStart)
	if s := read[signal.Start](t, e); s.Ticket != ticket {
		t.Errorf("the worker is asked %+v", s)
	}
	w.yes(e, signal.NewID())
	a := read[signal.Answer](t, p.next(signal.TypeAnswer))
	if s, err := signal.VerifyToken(secret, a.Token, time.Now()); err != nil || s.Waiting != 0 || s.Game != "" {
		t.Errorf("who plays has the token of %+v, %v", s, err)
	}
	p.say(signal.TypeStart, "6", "", signal.Start{Game: "pong", SDP: "v=0", Ticket: ticket})
	p.refused("6", signal.CodeExpired) // twice
}

// A place alone: reserved, and told, without an offer.
func TestPlaceAlone(t *testing.T) {
	d := start(t, nil)
	w, p := d.worker(nil), d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong"})
	ticket := w.gives()
	if e := p.next(signal.TypeGranted); e.ID != "1" || read[signal.Granted](t, e).Ticket != ticket {
		t.Errorf("granted %s for %q", e.Data, e.ID)
	}
	p.close()
	if c := read[signal.Cancel](t, w.next(signal.TypeCancel)); c.Ticket != ticket {
		t.Errorf("cancelled %+v", c)
	}
}

func TestSecondGrantIsGivenBack(t *testing.T) {
	d := start(t, nil)
	one, two, p := d.worker(occupied), d.worker(occupied), d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong"})
	p.queued("1")
	ticket := one.stands().Ticket
	if again := two.stands().Ticket; again != ticket {
		t.Errorf("the other is asked for %s", again)
	}
	one.say(signal.TypeReserved, ticket, "", signal.Reserved{Ticket: ticket, Seconds: 20})
	p.next(signal.TypeGranted)
	two.calm(signal.TypeCancel)
	two.say(signal.TypeReserved, ticket, "", signal.Reserved{Ticket: ticket, Seconds: 20}) // crossed it
	two.calm(signal.TypeCancel)
	p.say(signal.TypeLeave, "", "", nil)
	one.calm(signal.TypeCancel)
}

// A link that ends takes its requests with it; they are made again elsewhere,
// and a grant that came by it is kept in line.
func TestWorkerGoesWhileWaiting(t *testing.T) {
	d := start(t, nil)
	one, p := d.worker(occupied), d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong"})
	p.queued("1")
	ticket := one.stands().Ticket
	two := d.worker(occupied)
	two.stands()
	one.say(signal.TypeReserved, ticket, "", signal.Reserved{Ticket: ticket, Seconds: 20})
	p.next(signal.TypeGranted)
	two.calm(signal.TypeCancel)
	one.close()
	until(t, "the loss", func() bool { return d.registry.worker(one.id) == nil })
	p.say(signal.TypeStart, "2", "", signal.Start{Game: "pong", SDP: "v=0", Ticket: ticket})
	if q := p.queued("2"); q.Position != 1 {
		t.Errorf("told %+v", q)
	}
	if r := read[signal.Reserve](t, two.calm(signal.TypeReserve)); r.Ticket == ticket || !r.Wait {
		t.Errorf("asked %+v", r)
	}
}

// A page that goes to another coordinator keeps its place, by a token that is
// true, and of the same game.
func TestPlaceIsKeptElsewhere(t *testing.T) {
	one, two := start(t, nil), start(t, nil)
	w := one.worker(occupied)
	at2 := two.worker(func(r *signal.Register) { r.ID = w.id; occupied(r) })
	first, second := one.page(), two.page()
	first.say(signal.TypeStart, "1", "", signal.Start{Game: "pong"})
	token := first.queued("1").Token
	since := w.stands().Since
	until(t, "a later time", func() bool { return time.Now().UnixMilli() > since })
	second.say(signal.TypeStart, "1", "", signal.Start{Game: "pong"})
	second.queued("1")
	at2.stands()
	one.stop()
	again := two.page()
	again.resumes(token)
	again.say(signal.TypeStart, "2", "", signal.Start{Game: "pong"})
	if q := again.queued("2"); q.Position != 1 || q.Waiting != 2 {
		t.Errorf("told %+v", q)
	}
	if r := read[signal.Reserve](t, at2.calm(signal.TypeReserve)); r.Since != since {
		t.Errorf("asked %+v, not since %d", r, since)
	}
	if q := second.queued(""); q.Position != 2 {
		t.Errorf("the other is told %+v", q)
	}
	// One that says to have come from the future comes last.
	late := two.page()
	late.resumes(signal.MintToken(secret, signal.Session{
		ID: signal.NewID(), Waiting: time.Now().Add(time.Hour).UnixMilli(), Game: "pong", Expires: time.Now().Add(time.Minute).Unix(),
	}))
	late.say(signal.TypeStart, "3", "", signal.Start{Game: "pong"})
	late.queued("3")
	if r := read[signal.Reserve](t, at2.calm(signal.TypeReserve)); r.Since > time.Now().UnixMilli() {
		t.Errorf("asked %+v", r)
	}
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bare()
		address := addr("203.0.113.1")
		for i := range maxWaitingEach + 1 {
			s := &session{}
			k := c.queue.ticket(s, "s", signal.Start{Game: "pong"}, int64(i), address)
			if err := c.queue.enter(t.Context(), k, loose(), "", ""); (err == nil) != (i < maxWaitingEach) {
				t.Errorf("the %d-th of an address: %v", i+1, err)
			}
		}
		for i := c.queue.length(); i <= signal.MaxQueue; i++ {
			k := c.queue.ticket(&session{}, "s", signal.Start{Game: "pong"}, int64(i), addr("10.0.0.1"))
			if err := c.queue.enter(t.Context(), k, loose(), "", ""); (err == nil) != (i < signal.MaxQueue) {
				t.Errorf("the %d-th: %v", i+1, err)
			}
		}
		// Nobody offers the game: all are told.
		time.Sleep(workerGrace + 2*sayPeriod)
		c.requests.Wait()
		if n := c.queue.length(); n != 0 || len(c.queue.crowd.held) != 0 {
			t.Errorf("%d wait for nothing", n)
		}
	})
}

func TestGrantExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bare()
		w := link("w", loose(), occupied)
		c.registry.enroll(w, games("pong"))
		page := loose()
		s := c.sessions.open(page, "", nil)
		k := c.queue.ticket(s, s.id, signal.Start{Game: "pong"}, time.Now().UnixMilli(), address{})
		if err := c.sessions.wait(t.Context(), s, "1", k); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.sock.sent(t, signal.TypeReserve)
		_ = c.queue.reserved(w, signal.Reserved{Ticket: k.id, Seconds: 5})
		page.sent(t, signal.TypeQueued)
		page.sent(t, signal.TypeGranted)
		time.Sleep(5*time.Second + 2*sayPeriod)
		e := page.sent(t, signal.TypeError)
		if r := read[signal.Error](t, e); r.Code != signal.CodeExpired {
			t.Errorf("told %+v", r)
		}
		w.sock.sent(t, signal.TypeCancel)
		c.requests.Wait()
	})
}

// What is said to the others: at once, now and then, and the end.
func TestGossip(t *testing.T) {
	d := start(t, nil)
	w, p := d.worker(occupied), d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong"})
	p.queued("1")
	since := w.stands().Since
	q := read[signal.Queue](t, w.next(signal.TypeQueue))
	if q.Coordinator != d.id || !slices.Equal(q.Since, []int64{since}) {
		t.Errorf("said %+v", q)
	}
	p.close()
	w.calm(signal.TypeCancel)
	if q := read[signal.Queue](t, w.next(signal.TypeQueue)); len(q.Since) != 0 {
		t.Errorf("said %+v", q)
	}
	w.say(signal.TypeQueue, "", "", d.board.of("other", 1, 2))
	until(t, "what others say", func() bool { return !d.board.empty() })
	p = d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong"})
	if q := p.queued("1"); q.Position != 3 || q.Waiting != 3 {
		t.Errorf("told %+v", q)
	}
}

// A coordinator that stops gives up what it asked for, and its pages go elsewhere.
func TestStopWhileWaiting(t *testing.T) {
	d := start(t, nil)
	w, p := d.worker(occupied), d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong"})
	p.queued("1")
	ticket := w.stands().Ticket
	d.stop()
	if c := read[signal.Cancel](t, w.calm(signal.TypeCancel)); c.Ticket != ticket {
		t.Errorf("cancelled %+v", c)
	}
	if code := p.ends(); code != 1001 {
		t.Errorf("the page is told %d, not going away", code)
	}
}

// A thousand starts of one page are one at a time, and a few of its address.
func TestFloodOfStarts(t *testing.T) {
	d := start(t, nil)
	w := d.worker(occupied)
	c := d.dial("/ws", from("203.0.113.9"))
	c.next(signal.TypeHello)
	for range pageBurst {
		c.say(signal.TypeStart, "f", "", signal.Start{Game: "pong", SDP: "v=0"})
		c.next(signal.TypeQueued)
	}
	if n := d.queue.length(); n != 1 {
		t.Errorf("%d tickets of one page", n)
	}
	w.stands()
	for i := range maxWaitingEach {
		other := d.dial("/ws", from("203.0.113.9"))
		other.next(signal.TypeHello)
		other.say(signal.TypeStart, "g", "", signal.Start{Game: "pong", SDP: "v=0"})
		if i < maxWaitingEach-1 {
			other.next(signal.TypeQueued)
		} else {
			other.refused("g", signal.CodeFull)
		}
	}
	until(t, "the count", func() bool { return d.Stats().Refused["queue"] == 1 }) // the page is told first
}
