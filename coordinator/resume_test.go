package coordinator

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func (p *page) resumes(token string) signal.Resumed {
	p.t.Helper()
	p.say(signal.TypeResume, "r", "", signal.Resume{Token: token})
	e := p.next(signal.TypeResumed)
	if e.ID != "r" {
		p.t.Errorf("%q is answered", e.ID)
	}
	return read[signal.Resumed](p.t, e)
}

func TestResume(t *testing.T) {
	d := start(t, nil)
	w, p := d.worker(nil), d.page()
	session, token, room := p.plays(w)
	p.close()
	p = d.page()
	r := p.resumes(token)
	if r.Session != session {
		t.Errorf("resumed %s, not %s", r.Session, session)
	}
	if s, err := signal.VerifyToken(secret, r.Token, time.Now()); err != nil || s.Worker != w.id || s.Room != room {
		t.Errorf("the new token is of %+v, %v", s, err)
	}
	if e := w.next(signal.TypeResume); e.Session != session {
		t.Errorf("the worker hears of %s", e.Session)
	}
	p.say(signal.TypeCandidate, "", "", signal.Candidate{Candidate: "candidate:2"})
	if e := w.next(signal.TypeCandidate); e.Session != session {
		t.Errorf("the candidate is of %s", e.Session)
	}
	w.say(signal.TypeClosed, "", session, signal.Closed{Reason: "over"})
	p.next(signal.TypeClosed)
	d.sessions.mu.Lock()
	defer d.sessions.mu.Unlock()
	if n := len(d.sessions.byID); n != 1 {
		t.Errorf("%d sessions are left", n)
	}
}

// A page that is faster than the loss of its old socket.
func TestResumeReplacesTheOldSocket(t *testing.T) {
	d := start(t, nil)
	w, old := d.worker(nil), d.page()
	session, token, _ := old.plays(w)
	p := d.page()
	p.resumes(token)
	w.next(signal.TypeResume)
	if code := old.ends(); code != closeReplaced {
		t.Errorf("the old socket ends with %d", code)
	}
	w.say(signal.TypeCandidate, "", session, signal.Candidate{})
	p.next(signal.TypeCandidate)
}

func TestResumeAtARestartedCoordinator(t *testing.T) {
	d := start(t, nil)
	w, p := d.worker(nil), d.page()
	session, token, room := p.plays(w)
	d.stop()
	if code := p.ends(); code != 1001 {
		t.Errorf("the page is told %d, not going away", code)
	}
	w.ends()

	d = start(t, nil)
	p = d.page()
	p.say(signal.TypeResume, "r", "", signal.Resume{Token: token})
	p.nothing() // the worker is not back yet
	w = d.worker(func(r *signal.Register) { r.ID, r.Rooms = w.id, []signal.Room{{ID: room, Game: "pong"}} })
	if r := read[signal.Resumed](t, p.next(signal.TypeResumed)); r.Session != session {
		t.Errorf("resumed %s, not %s", r.Session, session)
	}
	if e := w.next(signal.TypeResume); e.Session != session {
		t.Errorf("the worker hears of %s", e.Session)
	}
	p.say(signal.TypeOffer, "o", "", signal.Offer{SDP: "v=0"})
	e := w.next(signal.TypeOffer)
	w.yes(e, room)
	p.next(signal.TypeAnswer)
	// Another secret makes other tokens.
	d.stop()
	d = start(t, func(c *Config) { c.Secret = "other" })
	p = d.page()
	p.say(signal.TypeResume, "r", "", signal.Resume{Token: token})
	p.refused("r", signal.CodeDenied)
}

func TestWorkerComesBack(t *testing.T) {
	d := start(t, nil)
	w, p := d.worker(nil), d.page()
	session, _, room := p.plays(w)
	id := w.id
	w.close()
	until(t, "the loss", func() bool { return d.registry.worker(id) == nil })
	p.nothing() // the picture goes on
	p.say(signal.TypeCandidate, "c", "", signal.Candidate{})
	p.refused("c", signal.CodeNoWorker)
	p.say(signal.TypeOffer, "o", "", signal.Offer{SDP: "v=0"})
	p.refused("o", signal.CodeNoWorker)
	again := d.worker(func(r *signal.Register) { r.ID = id })
	if e := again.next(signal.TypeResume); e.Session != session {
		t.Errorf("the worker hears of %s", e.Session)
	}
	p.say(signal.TypeOffer, "o", "", signal.Offer{SDP: "v=0"})
	again.yes(again.next(signal.TypeOffer), room)
	p.next(signal.TypeAnswer)
	// It comes back before its old connection is missed.
	third := d.register(secret, func(r *signal.Register) { r.ID = id })
	third.next(signal.TypeAccepted)
	third.next(signal.TypeResume)
	if code := again.ends(); code != closeReplaced {
		t.Errorf("the old connection ends with %d", code)
	}
	p.say(signal.TypeCandidate, "", "", signal.Candidate{})
	third.next(signal.TypeCandidate)
}

// A page that goes away during a start leaves no seat behind.
func TestLostDuringStart(t *testing.T) {
	d := start(t, nil)
	w, p := d.worker(nil), d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong", SDP: "v=0"})
	e := w.starts()
	p.close()
	until(t, "the loss", func() bool {
		d.sessions.mu.Lock()
		defer d.sessions.mu.Unlock()
		return d.sessions.byID[e.Session].sock == nil
	})
	w.yes(e, signal.NewID())
	if left := w.next(signal.TypeLeave); left.Session != e.Session {
		t.Errorf("%s left", left.Session)
	}
}

func TestClosedBetweenAnswerAndPage(t *testing.T) {
	table := bare().sessions
	sock := loose()
	w := link("w", loose(), nil)
	s := table.open(sock, "", nil)
	if err := table.begin(s, true); err != nil {
		t.Fatal(err)
	}
	table.ask(s, w, "1", request{kind: signal.TypeStart})
	table.closed(w, s.id, signal.Closed{Reason: "at once"})
	table.finish(s, "p", answer("pong", signal.NewID()))
	for _, want := range []signal.Type{signal.TypeAnswer, signal.TypeClosed} {
		sock.sent(t, want)
	}
	if s.worker != "" {
		t.Error("the session still has a worker")
	}
}

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := bare().sessions
		sock := &socket{}
		here, gone, busy := table.open(sock, "", nil), table.open(sock, "", nil), table.open(sock, "", nil)
		fresh := table.open(sock, "", nil)
		here.used, gone.used, busy.used, busy.busy = true, true, true, true
		table.lose(fresh, sock, time.Now())
		if table.knows(fresh.id) {
			t.Error("a session is kept that no worker has heard of")
		}
		for _, s := range []*session{gone, busy} {
			table.lose(s, sock, time.Now())
		}
		table.lose(here, &socket{}, time.Now()) // has another one by now
		time.Sleep(sessionGrace - 1)
		table.sweep(time.Now())
		if !table.knows(gone.id) {
			t.Error("forgotten too early")
		}
		time.Sleep(time.Nanosecond)
		table.sweep(time.Now())
		if table.knows(gone.id) || !table.knows(here.id) || !table.knows(busy.id) {
			t.Error("the wrong ones are forgotten")
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	table := bare().sessions
	for range maxSessions {
		if table.open(nil, "", nil) == nil {
			t.Fatal("too early")
		}
	}
	if table.open(nil, "", nil) != nil {
		t.Error("one too many")
	}
}

// A page waits at a coordinator that does not notice that it goes, plays by way of
// another, and comes back: its game is found, and its place in line given up.
func TestResumeWhereThePageIsNotMissedYet(t *testing.T) {
	d := start(t, nil)
	w := d.worker(func(r *signal.Register) { r.Load = signal.Load{State: signal.StateReady, Places: 1} })
	p := d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong"})
	q := read[signal.Queued](t, p.next(signal.TypeQueued))
	ticket := read[signal.Reserve](t, w.next(signal.TypeReserve)).Ticket
	token, err := signal.VerifyToken(secret, q.Token, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	room := signal.NewID()
	elsewhere := signal.MintToken(secret, signal.Session{ID: token.ID, Worker: w.id, Room: room, Expires: token.Expires})
	p = d.page()
	r := p.resumes(elsewhere)
	if s, err := signal.VerifyToken(secret, r.Token, time.Now()); err != nil || s.ID != token.ID || s.Worker != w.id || s.Room != room || s.Waiting != 0 {
		t.Errorf("the new token is of %+v, %v", s, err)
	}
	if c := read[signal.Cancel](t, w.next(signal.TypeCancel)); c.Ticket != ticket {
		t.Errorf("%s is given up, not %s", c.Ticket, ticket)
	}
	if e := w.next(signal.TypeResume); e.Session != token.ID {
		t.Errorf("the worker hears of %s", e.Session)
	}
	p.say(signal.TypeOffer, "o", "", signal.Offer{SDP: "v=0"})
	w.yes(w.next(signal.TypeOffer), room)
	p.next(signal.TypeAnswer)
}
