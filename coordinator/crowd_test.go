package coordinator

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// serve answers like a worker that is in a bad mood: it refuses, is malformed,
// closes what it has just opened and sends candidates at any time.
func (w *worker) serve() {
	for e := range w.in {
		if e.Type == signal.TypeReserve {
			w.mood(e)
		}
		if e.Type != signal.TypeStart && e.Type != signal.TypeOffer {
			continue
		}
		room := signal.NewID()
		switch rand.N(6) {
		case 0:
			w.no(e, signal.CodeFull)
		case 1:
			w.say(signal.TypeAnswer, e.ID, e.Session, answer("pong", "../x"))
		case 2:
			w.say(signal.TypeCandidate, "", e.Session, signal.Candidate{Candidate: "candidate:1"})
			w.yes(e, room)
			w.say(signal.TypeClosed, "", e.Session, signal.Closed{Reason: "mood"})
		default:
			w.yes(e, room)
			w.say(signal.TypeRooms, "", "", signal.Rooms{Rooms: []signal.Room{{ID: room, Game: "pong"}}})
		}
	}
}

// mood answers a request for a place.
func (w *worker) mood(e signal.Envelope) {
	r := read[signal.Reserve](w.t, e)
	switch rand.N(6) {
	case 0:
		w.no(e, signal.CodeDraining)
	case 1:
		w.say(signal.TypeReserved, e.ID, "", signal.Reserved{Ticket: signal.NewID(), Seconds: 1})
	case 2:
		w.say(signal.TypeReserved, e.ID, "", signal.Reserved{Ticket: "../x"})
	default:
		w.say(signal.TypeReserved, e.ID, "", signal.Reserved{Ticket: r.Ticket, Seconds: 1})
	}
}

// visit plays, leaves and comes back a few times; every request is answered.
func (d *door) visit() {
	p := d.page()
	token := p.hello.Token
	for i := range 6 {
		p.say(signal.TypeStart, "s", "", signal.Start{Game: "pong", SDP: "v=0"})
		p.say(signal.TypeCandidate, "", "", signal.Candidate{Candidate: "candidate:1"})
		if i == 2 {
			p.close() // in the middle of a start
			p = d.page()
			p.say(signal.TypeResume, "r", "", signal.Resume{Token: token})
			p.answered("r")
			continue
		}
		if e := p.answered("s"); e.Type == signal.TypeAnswer {
			token = read[signal.Answer](d.t, e).Token
		}
	}
	p.close()
}

// answered waits for the answer to a request, whatever it is.
func (p *page) answered(id string) signal.Envelope {
	p.t.Helper()
	timeout := time.After(patient)
	for {
		select {
		case e, ok := <-p.in:
			if !ok {
				p.t.Errorf("the connection ended: %v", p.err)
				return signal.Envelope{}
			}
			if e.ID == id {
				return e
			}
		case <-timeout:
			p.t.Errorf("%s was not answered", id)
			return signal.Envelope{}
		}
	}
}

func TestCrowd(t *testing.T) {
	d := start(t, func(c *Config) { c.Logger = nil })
	var workers, visitors sync.WaitGroup
	var all []*worker
	for range 3 {
		w := d.worker(nil)
		all = append(all, w)
		workers.Go(w.serve)
	}
	for range 20 {
		visitors.Go(d.visit)
	}
	visitors.Wait()
	until(t, "the end of all requests", func() bool {
		d.sessions.mu.Lock()
		defer d.sessions.mu.Unlock()
		for _, s := range d.sessions.byID {
			if s.busy || s.sock != nil {
				return false
			}
		}
		return true
	})
	for _, w := range all {
		l := d.registry.worker(w.id)
		l.mu.Lock()
		if len(l.pending) != 0 || l.asking != 0 {
			t.Errorf("%d requests are left, %d places asked for", len(l.pending), l.asking)
		}
		l.mu.Unlock()
	}
	d.sessions.sweep(time.Now().Add(2 * sessionGrace))
	if n := len(d.sessions.byID); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	d.stop()
	workers.Wait()
}

// Two replicas carry the same worker; a page goes from one to the other.
func TestTwoCoordinators(t *testing.T) {
	one, two := start(t, nil), start(t, nil)
	w1 := one.worker(nil)
	w2 := two.worker(func(r *signal.Register) { r.ID = w1.id })
	p := one.page()
	session, token, room := p.plays(w1)
	one.stop()
	p = two.page()
	p.resumes(token)
	if e := w2.next(signal.TypeResume); e.Session != session {
		t.Errorf("the worker hears of %s at the other", e.Session)
	}
	p.say(signal.TypeOffer, "o", "", signal.Offer{SDP: "v=0"})
	e := w2.next(signal.TypeOffer)
	w2.yes(e, room)
	p.next(signal.TypeAnswer)
}
