package coordinator

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Where players must be signed in, a page on an alternate host has no cookie: it
// may resume what says who it is, and nothing else.
func TestStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bare()
		w := link("w", loose(), nil)
		c.registry.enroll(w, games("pong"))
		user := &signal.User{ID: "ann", Name: "Ann", Role: signal.RolePlayer}
		sock := loose()
		b := &browser{c: c, sock: sock, session: c.sessions.open(sock, "", nil), bucket: newBucket(9, 99, time.Now()), stranger: true}
		if h := b.hello(); len(h.ICEServers) != 0 || h.User != nil {
			t.Errorf("a stranger is greeted with %+v", h)
		}
		token := func(u *signal.User) []byte {
			return encode(signal.TypeResume, "r", "", signal.Resume{Token: signal.MintToken(secret, signal.Session{
				ID: "s", Worker: "w", Room: signal.NewID(), User: u, Expires: time.Now().Add(time.Hour).Unix(),
			})})
		}
		for _, data := range [][]byte{
			encode(signal.TypeStart, "r", "", signal.Start{Game: "pong", SDP: "v=0"}), encode(signal.TypeServers, "r", "", nil), token(nil),
		} {
			b.handle(t.Context(), data, nil)
			if r := read[signal.Error](t, sock.sent(t, signal.TypeError)); r.Code != signal.CodeSignIn {
				t.Errorf("told %+v", r)
			}
		}
		b.handle(t.Context(), token(user), nil)
		r := read[signal.Resumed](t, sock.sent(t, signal.TypeResumed))
		if s, err := signal.VerifyToken(secret, r.Token, time.Now()); err != nil || s.User == nil || s.User.ID != "ann" {
			t.Errorf("resumed with the token of %+v, %v", s, err)
		}
		other := &signal.User{ID: "bob", Name: "Bob", Role: signal.RolePlayer}
		b.handle(t.Context(), token(other), nil)
		if r := read[signal.Error](t, sock.sent(t, signal.TypeError)); r.Code != signal.CodeDenied {
			t.Errorf("told %+v", r)
		}
		if n := c.Stats().Refused["sign-in"]; n != 3 {
			t.Errorf("%d are counted", n)
		}
	})
}

// A stranger goes back into the room that they have left, by the token that they
// had there.
func TestStrangerComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bare()
		room, other := signal.NewID(), signal.NewID()
		w := link("w", loose(), nil)
		c.registry.enroll(w, games("pong"), signal.Room{ID: room, Game: "pong"})
		ann := &signal.User{ID: "ann", Name: "Ann", Role: signal.RolePlayer}
		sock := loose()
		b := &browser{c: c, sock: sock, session: c.sessions.open(sock, "", nil), bucket: newBucket(9, 99, time.Now()), stranger: true}
		join := func(secret, of string, user *signal.User) []byte {
			return encode(signal.TypeJoin, "j", "", signal.Join{Room: room, SDP: "v=0", Token: signal.MintToken(secret, signal.Session{
				ID: "s", Worker: "w", Room: of, User: user, Expires: time.Now().Add(time.Hour).Unix(),
			})})
		}
		for name, data := range map[string][]byte{
			"of nobody": join(secret, room, nil), "of another room": join(secret, other, ann), "of no room": join(secret, "", ann), "forged": join("forged", room, ann),
			"without": encode(signal.TypeJoin, "j", "", signal.Join{Room: room, SDP: "v=0"}), "malformed": encode(signal.TypeJoin, "j", "", "x"),
		} {
			b.handle(t.Context(), data, nil)
			if r := read[signal.Error](t, sock.sent(t, signal.TypeError)); r.Code != signal.CodeSignIn || !b.stranger {
				t.Errorf("%s: told %+v", name, r)
			}
		}
		b.handle(t.Context(), join(secret, room, ann), nil)
		asked := read[signal.Join](t, w.sock.sent(t, signal.TypeJoin))
		if asked.User == nil || asked.User.ID != "ann" || asked.Replaces != "s" || b.stranger {
			t.Errorf("the worker is asked for %+v", asked)
		}
		_, token := c.sessions.hello(b.session)
		if s, err := signal.VerifyToken(secret, token, time.Now()); err != nil || s.User == nil || s.User.ID != "ann" {
			t.Errorf("the session's token is of %+v, %v", s, err)
		}
	})
}

func TestServers(t *testing.T) {
	d := start(t, func(c *Config) { c.ICEServers = []signal.ICEServer{{URLs: []string{"stun:stun.example.org"}}} })
	p := d.page()
	p.say(signal.TypeServers, "1", "", nil)
	e := p.next(signal.TypeServers)
	if s := read[signal.Servers](t, e); e.ID != "1" || len(s.ICEServers) != 1 {
		t.Errorf("servers %s for %q", e.Data, e.ID)
	}
}

func TestInvitationsAtTheDoor(t *testing.T) {
	d := start(t, nil)
	room := signal.NewID()
	w := d.worker(func(r *signal.Register) { r.Rooms = []signal.Room{{ID: room, Game: "pong"}} })
	p := d.page()
	mint := func(secret, room string, expires time.Duration) string {
		return signal.MintInvite(signal.InviteKey(secret, room), signal.Invitation{ID: signal.NewID(), Room: room, Expires: time.Now().Add(expires)})
	}
	token := func(secret, room string, expires time.Duration) string {
		return signal.MintToken(secret, signal.Session{ID: "abc", Worker: w.id, Room: room, Expires: time.Now().Add(expires).Unix()})
	}
	good := mint(secret, room, time.Hour)
	for name, test := range map[string]struct {
		join signal.Join
		code signal.Code
	}{
		"forged":              {signal.Join{Invite: mint("other", room, time.Hour)}, signal.CodeDenied},
		"cut":                 {signal.Join{Invite: good[:len(good)-2]}, signal.CodeDenied},
		"expired":             {signal.Join{Invite: mint(secret, room, -time.Hour)}, signal.CodeExpired},
		"of another room":     {signal.Join{Invite: mint(secret, signal.NewID(), time.Hour)}, signal.CodeDenied},
		"oversized":           {signal.Join{Invite: strings.Repeat("x", signal.MaxToken+1)}, signal.CodeBadRequest},
		"forged session":      {signal.Join{Token: token("other", room, time.Hour)}, signal.CodeDenied},
		"of another's room":   {signal.Join{Token: token(secret, signal.NewID(), time.Hour)}, signal.CodeDenied},
		"an invite for token": {signal.Join{Token: good}, signal.CodeDenied},
	} {
		test.join.Room, test.join.SDP = room, "v=0"
		before := d.Stats().Refused[string(test.code)]
		p.say(signal.TypeJoin, name[:2], "", test.join)
		p.refused(name[:2], test.code)
		if d.Stats().Refused[string(test.code)] != before+1 {
			t.Errorf("%s: not counted", name)
		}
	}
	for _, test := range []struct{ token, replaces string }{
		{token(secret, room, time.Hour), "abc"}, {token(secret, room, -time.Hour), ""},
	} {
		p = d.page()
		p.say(signal.TypeJoin, "j", "", signal.Join{Room: room, SDP: "v=0", Invite: good, Token: test.token, Replaces: "evil"})
		e := w.next(signal.TypeJoin)
		if j := read[signal.Join](t, e); j.Invite != good || j.Token != "" || j.Replaces != test.replaces {
			t.Errorf("the worker is asked %+v", j)
		}
		w.yes(e, room)
		p.next(signal.TypeAnswer)
	}
	if n := d.Stats().Refused["expired"]; n != 2 { // an invitation, and the token that did not matter
		t.Errorf("%d were expired", n)
	}
}

// TestStartBetweenWorkers: the only worker restarts, or is replaced. Who starts a
// game meanwhile gets in line, and is served by the next one; where there have
// been none for long nobody waits.
func TestStartBetweenWorkers(t *testing.T) {
	d := start(t, nil)
	gone := func(w *worker) {
		w.close()
		until(t, "the end of the worker", func() bool { return d.registry.worker(w.id) == nil })
	}
	gone(d.worker(nil))
	p := d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong", SDP: "v=0"})
	if q := p.queued("1"); q.Position != 1 {
		t.Errorf("told %+v", q)
	}
	w := d.worker(nil)
	ticket := w.stands().Ticket
	w.say(signal.TypeReserved, ticket, "", signal.Reserved{Ticket: ticket, Seconds: 20})
	if g := read[signal.Granted](t, p.next(signal.TypeGranted)); g.Ticket != ticket {
		t.Errorf("granted %+v", g)
	}

	other := d.page() // a worker that is there says what there is not
	other.say(signal.TypeStart, "2", "", signal.Start{Game: "chess", SDP: "v=0"})
	other.refused("2", signal.CodeNotFound)
	gone(w)
	d.registry.mu.Lock()
	d.registry.emptied = time.Now().Add(-returnTime)
	d.registry.mu.Unlock()
	other.say(signal.TypeStart, "3", "", signal.Start{Game: "pong", SDP: "v=0"})
	other.refused("3", signal.CodeNoWorker)
}

// TestBeforeTheFirstWorker: where workers start with the coordinator, who is there
// before them waits in line; elsewhere they are told at once that there is none.
func TestBeforeTheFirstWorker(t *testing.T) {
	d := start(t, func(c *Config) { c.Starting = true })
	p := d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong"})
	if q := p.queued("1"); q.Position != 1 {
		t.Errorf("told %+v", q)
	}
	w := d.worker(nil)
	ticket := w.stands().Ticket
	w.say(signal.TypeReserved, ticket, "", signal.Reserved{Ticket: ticket, Seconds: 20})
	p.next(signal.TypeGranted)

	p = start(t, nil).page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong"})
	p.refused("1", signal.CodeNoWorker)
}

// TestPatience: for the first worker of all, or the next after the last, a player
// waits for longer than for a game that the workers that are here have not.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			worker, emptied bool
			patience        time.Duration
		}{
			"none is expected": {false, false, workerGrace},
			"some are to come": {false, true, returnTime},
			"one is there":     {true, true, workerGrace},
		} {
			c := bare()
			if tt.emptied {
				c.registry.emptied = time.Now()
			}
			if tt.worker {
				c.registry.enroll(link("w", loose(), nil), games("golf"))
			}
			begin, page := time.Now(), loose()
			s := c.sessions.open(page, "", nil)
			k := c.queue.ticket(s, s.id, signal.Start{Game: "pong"}, begin.UnixMilli(), address{})
			if err := c.sessions.wait(t.Context(), s, "1", k); err != nil {
				t.Fatal(err)
			}
			c.requests.Wait() // until nobody waits
			if waited := time.Since(begin); waited < tt.patience || waited > tt.patience+4*sayPeriod {
				t.Errorf("%s: refused after %s, not %s", name, waited, tt.patience)
			}
			page.queue = page.queue[len(page.queue)-1:] // before it the line, and a new token for its place
			if r := read[signal.Error](t, page.sent(t, signal.TypeError)); r.Code != signal.CodeNoWorker && r.Code != signal.CodeNotFound {
				t.Errorf("%s: %+v", name, r)
			}
		}
	})
}

// TestExpects: workers that have come and not yet said what they have will.
func TestExpects(t *testing.T) {
	c := shelf()
	if c.registry.expects(time.Now()) {
		t.Error("workers are expected that never were there")
	}
	list := games("pong")
	w := link("w", loose(), nil)
	c.registry.addWorker(w, signal.LibraryDigest(list), nil)
	if !c.registry.expects(time.Now()) {
		t.Error("nothing is expected of a new worker")
	}
	c.says(t, w, full(list))
	if c.registry.expects(time.Now()) {
		t.Error("a worker is expected that is there")
	}
	c.registry.removeWorker(w)
	if now := time.Now(); !c.registry.expects(now) || c.registry.expects(now.Add(returnTime)) {
		t.Error("who left is expected for another time")
	}
}
