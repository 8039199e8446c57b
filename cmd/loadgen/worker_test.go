package loadgen

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// hire is a simulated worker of two places and us as its coordinator.
func hire(t *testing.T) (*fleet, side) {
	t.Helper()
	f, sides := hireByAll(t, "us")
	return f, sides[0]
}

// hireByAll is a simulated worker of several coordinators; we are all of them.
func hireByAll(t *testing.T, coordinators ...string) (*fleet, []side) {
	t.Helper()
	conns := make(chan *websocket.Conn, len(coordinators))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := websocket.Upgrader{}
		conn, err := u.Upgrade(w, r, nil)
		if err != nil || r.URL.Path != "/ws/worker" {
			t.Errorf("%s: %v", r.URL, err)
			return
		}
		conns <- conn
	}))
	var endpoints []discovery.Endpoint
	for n := range coordinators { // one address, that looks like several
		endpoints = append(endpoints, discovery.Endpoint{URL: "ws://" + coordinators[n] + ".test", Dial: server.Listener.Addr().String()})
	}
	o := Options{Workers: 1, Places: 2, Libraries: 1, Zones: 1, Secret: secret, Logger: slog.New(slog.DiscardHandler)}
	f := newFleet(o, endpoints, newTally(o))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.run(ctx, ctx) }()
	var sides []side
	t.Cleanup(func() {
		cancel()
		for _, s := range sides {
			_ = s.conn.Close()
		}
		<-done
		server.Close()
	})
	for _, id := range coordinators {
		s := side{t, <-conns}
		sides = append(sides, s)
		s.say(signal.TypeChallenge, "", "", signal.Challenge{Nonce: signal.NewNonce(), Coordinator: id})
	}
	return f, sides
}

// reserve has a place held for a ticket.
func (s side) reserve(ticket string) {
	s.t.Helper()
	s.say(signal.TypeReserve, ticket, "", signal.Reserve{Ticket: ticket, Game: ourGame, Since: 1})
	if e := s.hear(signal.TypeReserved); e.ID != ticket {
		s.t.Fatalf("%+v", e)
	}
}

func cannedStart(ticket string) signal.Start {
	return signal.Start{Game: ourGame, Ticket: ticket, SDP: canned(offerLines)}
}

// begin starts a game and answers its room.
func (s side) begin(ticket, session string) string {
	s.t.Helper()
	s.reserve(ticket)
	s.say(signal.TypeStart, "start", session, cannedStart(ticket))
	a := read[signal.Answer](s, signal.TypeAnswer)
	if a.Game != ourGame || a.Title != "Load" || a.Player != 1 || a.Seats != 2 || !isCanned(a.SDP) {
		s.t.Fatalf("%+v", a)
	}
	return a.Room
}

// registered takes the registration as a coordinator does that lacks the library.
func (s side) registered() signal.Register {
	s.t.Helper()
	r := read[signal.Register](s, signal.TypeRegister)
	s.say(signal.TypeAccepted, "", "", signal.Accepted{Library: true})
	library := read[signal.Library](s, signal.TypeLibrary)
	if library.Digest != r.Library || signal.LibraryDigest(library.Put) != r.Library || len(library.Put) != libraryGames+1 {
		s.t.Fatalf("the library of %d games is not the one of the registration", len(library.Put))
	}
	return r
}

func TestWorkerRegisters(t *testing.T) {
	f, s := hire(t)
	r := s.registered()
	w := f.workers[0]
	if r.ID != w.id || r.Name != "loadgen-1" || r.Zone != "zone-1" || len(r.Rooms) != 0 || (r.Load != signal.Load{State: signal.StateReady, Places: 2, Free: 2}) {
		t.Errorf("%+v", r)
	}
	if !f.known() {
		t.Error("the library was not given")
	}
	s.say(signal.TypeWant, "", "", nil)
	if library := read[signal.Library](s, signal.TypeLibrary); library.Base != "" || library.Digest != r.Library {
		t.Errorf("the library that is wanted is %s on %s", library.Digest, library.Base)
	}
	if n := w.fleet.tally.now(); n.joined != 1 || n.mostJoined != 1 {
		t.Errorf("%+v", n)
	}
}

// A coordinator may say what it likes: no place is given twice, no more games
// run than there are places.
func TestWorkerAgainstALiar(t *testing.T) {
	f, s := hire(t)
	s.registered()
	first := s.begin("t-1", "s-1")
	s.say(signal.TypeStart, "again", "s-2", cannedStart("t-1"))
	if got := s.refusal("again"); got != signal.CodeExpired {
		t.Errorf("a place that was used: %s", got)
	}
	s.say(signal.TypeStart, "made-up", "s-2", cannedStart("t-2"))
	if got := s.refusal("made-up"); got != signal.CodeExpired {
		t.Errorf("a place that nobody gave: %s", got)
	}
	second := s.begin("t-2", "s-2")
	s.say(signal.TypeReserve, "third", "", signal.Reserve{Ticket: "t-3", Game: ourGame, Since: 1})
	if got := s.refusal("third"); got != signal.CodeFull {
		t.Errorf("a third place of two: %s", got)
	}
	if n := f.tally.now(); n.doubled != 0 || n.running != 2 || first == second {
		t.Errorf("%+v in %s and %s", n, first, second)
	}
	// The same session again: its game is over first, and the place is held anew.
	s.say(signal.TypeCancel, "", "", signal.Cancel{Ticket: "t-9"})
	s.say(signal.TypeLeave, "", "s-2", nil)
	third := s.begin("t-4", "s-1")
	if n := f.tally.now(); n.doubled != 0 || n.running != 1 || n.mostRuns != 2 || third == first {
		t.Errorf("%+v", n)
	}
	s.say(signal.TypeReserve, "game", "", signal.Reserve{Ticket: "t-5", Game: "pong", Since: 1})
	if got := s.refusal("game"); got != signal.CodeNotFound {
		t.Errorf("a game that nobody has: %s", got)
	}
}

// Who waits is given the place of who leaves, the one that came first before others.
func TestWorkerLetsWait(t *testing.T) {
	_, s := hire(t)
	s.registered()
	s.begin("t-1", "s-1")
	s.begin("t-2", "s-2")
	for ticket, since := range map[string]int64{"late": 30, "early": 10, "gone": 5} {
		s.say(signal.TypeReserve, ticket, "", signal.Reserve{Ticket: ticket, Game: ourGame, Since: since, Wait: true})
	}
	s.say(signal.TypeCancel, "", "", signal.Cancel{Ticket: "gone"})
	s.say(signal.TypeLeave, "", "s-1", nil)
	if r := read[signal.Reserved](s, signal.TypeReserved); r.Ticket != "early" || r.Seconds < 1 {
		t.Errorf("%+v", r)
	}
	s.say(signal.TypeLeave, "", "s-2", nil)
	if r := read[signal.Reserved](s, signal.TypeReserved); r.Ticket != "late" {
		t.Errorf("%+v", r)
	}
}

// Every other message has its answer, or none, as a real worker's.
func TestWorkerAnswers(t *testing.T) {
	f, s := hire(t)
	s.registered()
	room := s.begin("t", "s")
	f.mu.Lock()
	if f.rooms[room] != f.workers[0] {
		t.Error("the room is not known")
	}
	f.mu.Unlock()
	s.say(signal.TypeCandidate, "", "s", signal.Candidate{})
	s.say(signal.TypeError, "", "s", signal.Errorf(signal.CodeFailed, "x"))
	s.say(signal.TypeResume, "", "s", nil) // it is there: no answer
	s.say(signal.TypeOffer, "restart", "s", signal.Offer{SDP: "v=0"})
	if e := s.hear(signal.TypeAnswer); e.ID != "restart" || e.Session != "s" {
		t.Errorf("%+v", e)
	}
	s.say(signal.TypeResume, "", "unknown", nil)
	if e := s.hear(signal.TypeClosed); e.Session != "unknown" {
		t.Errorf("%+v", e)
	}
	s.say(signal.TypeList, "list", "", nil)
	list := read[signal.Sessions](s, signal.TypeSessions).Sessions
	if len(list) != 1 || list[0].ID != "s" || list[0].Room != room || list[0].Game != ourGame || !list[0].Hosting || list[0].Since == 0 {
		t.Errorf("%+v", list)
	}
	for name, e := range map[string]signal.Envelope{
		"no-end":   {Type: signal.TypeEnd, Data: []byte(`{}`)},
		"no-game":  {Type: signal.TypeStart, Data: []byte(`{"game":"../x"}`)},
		"no-place": {Type: signal.TypeReserve, Data: []byte(`{"game":"loadgen"}`)},
		"none":     {Type: signal.TypeCancel, Data: []byte(`{}`)},
		"queue":    {Type: signal.TypeQueue, Data: []byte(`{"coordinator":"c","since":[2,1]}`)},
		"drained":  {Type: signal.TypeDrain, Data: []byte(`7`)},
		"join":     {Type: signal.TypeJoin},
	} {
		s.say(e.Type, name, "other", e.Data)
		if got := s.refusal(name); got != signal.CodeBadRequest {
			t.Errorf("%s: %s", name, got)
		}
	}
	s.say(signal.TypeDrain, "", "", signal.Drain{})
	if l := read[signal.Load](s, signal.TypeLoad); l.State != signal.StateDraining {
		t.Errorf("%+v", l)
	}
	s.say(signal.TypeDrain, "", "", signal.Drain{Off: true})
	if l := read[signal.Load](s, signal.TypeLoad); l.State != signal.StateReady {
		t.Errorf("%+v", l)
	}
}

// A session is ended by its id or its room, and its page hears why.
func TestWorkerEnds(t *testing.T) {
	f, s := hire(t)
	s.registered()
	room := s.begin("t-1", "s-1")
	s.begin("t-2", "s-2")
	for id, end := range map[string]signal.End{
		"s-1": {Room: room, Reason: "why"}, "s-2": {Session: "s-2", Reason: "why"},
	} {
		s.say(signal.TypeEnd, "end", "", end)
		e := s.hear(signal.TypeClosed)
		if closed, err := signal.Read[signal.Closed](e); err != nil || e.Session != id || closed.Reason != "why" {
			t.Errorf("%s: %+v, %v", id, e, err)
		}
		if e := s.hear(signal.TypeDone); e.ID != "end" {
			t.Errorf("%+v", e)
		}
		s.say(signal.TypeEnd, "twice", "", end)
		if got := s.refusal("twice"); got != signal.CodeNotFound {
			t.Errorf("%s twice: %s", id, got)
		}
	}
	f.mu.Lock()
	if n := f.tally.now(); n.running != 0 || len(f.rooms) != 0 {
		t.Errorf("%+v, rooms %v", n, f.rooms)
	}
	f.mu.Unlock()
	room = s.begin("t-3", "s-3")
	f.vanished(room)
	s.say(signal.TypeList, "list", "", nil)
	if list := read[signal.Sessions](s, signal.TypeSessions).Sessions; len(list) != 0 {
		t.Errorf("a page that vanished plays: %+v", list)
	}
}

// What a page with media offers must be an offer.
func TestWorkerAndBadMedia(t *testing.T) {
	f, s := hire(t)
	s.registered()
	s.reserve("t")
	s.say(signal.TypeStart, "bad", "s", signal.Start{Game: ourGame, Ticket: "t", SDP: "v=0 of nobody"})
	if got := s.refusal("bad"); got != signal.CodeFailed {
		t.Error(got)
	}
	if n := f.tally.now(); n.running != 0 {
		t.Errorf("%+v", n)
	}
}

// Who waits at one coordinator is told to the others, as it is, and not back.
func TestWorkerPassesQueuesOn(t *testing.T) {
	f, sides := hireByAll(t, "a", "b")
	for _, s := range sides {
		s.registered()
	}
	want := signal.Queue{Coordinator: "a", Since: []int64{1, 2, 2}}
	sides[0].say(signal.TypeQueue, "", "", want)
	if got := read[signal.Queue](sides[1], signal.TypeQueue); got.Coordinator != "a" || !slices.Equal(got.Since, want.Since) {
		t.Errorf("%+v", got)
	}
	sides[1].say(signal.TypeQueue, "", "", want)   // it is the other's own
	sides[1].say(signal.TypeList, "list", "", nil) // so that it has been heard
	sides[1].hear(signal.TypeSessions)
	sides[0].say(signal.TypeWant, "ask", "", nil)
	if e := sides[0].next(); e.Type != signal.TypeLibrary {
		t.Errorf("a coordinator is told of its own queue, or else: %+v", e)
	}
	// What is free is told to both.
	sides[0].reserve("t")
	for _, s := range sides {
		if l := read[signal.Load](s, signal.TypeLoad); l.Free != 1 {
			t.Errorf("%+v", l)
		}
	}
	if n := f.tally.now(); n.joined != 2 {
		t.Errorf("%+v", n)
	}
}

// What was asked by a coordinator that is gone is not answered: the next in line
// is given the place.
func TestWorkerLosesACoordinator(t *testing.T) {
	f, sides := hireByAll(t, "a", "b")
	for _, s := range sides {
		s.registered()
	}
	sides[0].begin("t-1", "s-1")
	sides[1].begin("t-2", "s-2")
	sides[0].say(signal.TypeReserve, "waits", "", signal.Reserve{Ticket: "t-3", Game: ourGame, Since: 1, Wait: true})
	sides[1].say(signal.TypeReserve, "waits", "", signal.Reserve{Ticket: "t-4", Game: ourGame, Since: 2, Wait: true})
	sides[0].say(signal.TypeList, "list", "", nil) // so that it has heard the first
	sides[0].hear(signal.TypeSessions)
	_ = sides[0].conn.Close()
	for f.tally.now().joined == 2 {
		if !wait(t.Context(), time.Millisecond) {
			t.Fatal("the link does not end")
		}
	}
	sides[1].say(signal.TypeLeave, "", "s-2", nil)
	sides[1].say(signal.TypeList, "list", "", nil)
	e := sides[1].next()
	for e.Type != signal.TypeReserved && e.Type != signal.TypeSessions {
		e = sides[1].next()
	}
	if r, err := signal.Read[signal.Reserved](e); err != nil || r.Ticket != "t-4" {
		t.Errorf("%s first, %v", e.Type, err)
	}
}
