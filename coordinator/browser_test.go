package coordinator

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func TestHello(t *testing.T) {
	d := start(t, func(c *Config) { c.ICEServers = []signal.ICEServer{{URLs: []string{"stun:stun.example.org"}}} })
	p := d.page()
	if len(p.hello.ICEServers) != 1 || p.hello.ICEServers[0].URLs[0] != "stun:stun.example.org" {
		t.Errorf("ICE servers %+v", p.hello.ICEServers)
	}
	s, err := signal.VerifyToken(secret, p.hello.Token, time.Now())
	if err != nil || s.ID != p.hello.Session || s.Worker != "" {
		t.Errorf("token of %+v, %v", s, err)
	}
}

func TestStartAndTrickle(t *testing.T) {
	d := start(t, nil)
	w, p := d.worker(nil), d.page()
	room := signal.NewID()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong", SDP: "v=0 offer", Host: "evil.example.org"})
	e := w.starts()
	s := read[signal.Start](t, e)
	if s.Game != "pong" || s.SDP != "v=0 offer" || s.Host != "127.0.0.1" || e.Session != p.hello.Session {
		t.Errorf("the worker is asked %+v for session %s", s, e.Session)
	}
	p.say(signal.TypeCandidate, "", "", signal.Candidate{Candidate: "candidate:page"})
	if c := w.next(signal.TypeCandidate); c.Session != e.Session || read[signal.Candidate](t, c).Candidate != "candidate:page" {
		t.Errorf("the worker's candidate is %+v", c)
	}
	// A candidate of the worker before its answer must not overtake it.
	w.say(signal.TypeCandidate, "", e.Session, signal.Candidate{Candidate: "candidate:worker"})
	p.nothing()
	w.yes(e, room)
	a := read[signal.Answer](t, p.next(signal.TypeAnswer))
	token, err := signal.VerifyToken(secret, a.Token, time.Now())
	if err != nil || token.Worker != w.id || token.Room != room || token.ID != e.Session {
		t.Errorf("the token is of %+v, %v", token, err)
	}
	if c := read[signal.Candidate](t, p.next(signal.TypeCandidate)); c.Candidate != "candidate:worker" {
		t.Errorf("the page's candidate is %+v", c)
	}

	p.say(signal.TypeOffer, "2", "", signal.Offer{SDP: "v=0 again"})
	e = w.next(signal.TypeOffer)
	w.yes(e, room)
	if a := p.next(signal.TypeAnswer); a.ID != "2" {
		t.Errorf("the offer %q is answered", a.ID)
	}
	w.say(signal.TypeClosed, "", e.Session, signal.Closed{Reason: "over"})
	if c := read[signal.Closed](t, p.next(signal.TypeClosed)); c.Reason != "over" {
		t.Errorf("closed for %q", c.Reason)
	}
	p.say(signal.TypeOffer, "3", "", signal.Offer{SDP: "v=0"})
	p.refused("3", signal.CodeNotFound)
}

func TestJoinAtOnce(t *testing.T) {
	d := start(t, nil)
	w, other := d.worker(nil), d.worker(nil)
	host, guest := d.page(), d.page()
	var room string
	host.say(signal.TypeStart, "1", "", signal.Start{Game: "pong", SDP: "v=0"})
	asked := w
	var e signal.Envelope
	select {
	case e = <-w.in:
	case e = <-other.in:
		asked, other = other, w
	}
	asked.say(signal.TypeReserved, e.ID, "", signal.Reserved{Ticket: read[signal.Reserve](t, e).Ticket, Seconds: 9})
	room = signal.NewID()
	asked.yes(asked.next(signal.TypeStart), room)
	host.next(signal.TypeAnswer)
	// The worker has not announced its room yet.
	guest.say(signal.TypeJoin, "j", "", signal.Join{Room: room, Player: 2, SDP: "v=0"})
	e = asked.next(signal.TypeJoin)
	if j := read[signal.Join](t, e); j.Room != room || j.Player != 2 || j.Host != "127.0.0.1" {
		t.Errorf("asked %+v", j)
	}
	asked.yes(e, room)
	guest.next(signal.TypeAnswer)

	guest.say(signal.TypeJoin, "k", "", signal.Join{Room: signal.NewID(), SDP: "v=0"})
	guest.refused("k", signal.CodeNotFound)
	asked.say(signal.TypeRooms, "", "", signal.Rooms{})
	until(t, "the end of the room", func() bool { _, err := d.registry.forRoom(room); return err != nil })
	// A room that another worker announces is joined there.
	room = signal.NewID()
	other.say(signal.TypeRooms, "", "", signal.Rooms{Rooms: []signal.Room{{ID: room, Game: "pong", Players: 1}}})
	until(t, "the room", func() bool { _, err := d.registry.forRoom(room); return err == nil })
}

func TestRefusals(t *testing.T) {
	d := start(t, nil)
	p := d.page()
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong", SDP: "v=0"})
	if r := p.refused("1", signal.CodeNoWorker); !strings.Contains(r.Message, "secrets.worker") {
		t.Errorf("no remedy in %q", r.Message)
	}
	w := d.worker(nil)
	p.say(signal.TypeStart, "2", "", signal.Start{Game: "chess", SDP: "v=0"})
	p.refused("2", signal.CodeNotFound)
	p.say(signal.TypeStart, "3", "", signal.Start{Game: "pong", SDP: "v=0"})
	w.no(w.starts(), signal.CodeBadRequest)
	p.refused("3", signal.CodeBadRequest)
	w.leaves()
	for _, wrong := range []signal.Answer{answer("chess", signal.NewID()), answer("pong", "../../x")} {
		p.say(signal.TypeStart, "4", "", signal.Start{Game: "pong", SDP: "v=0"})
		w.say(signal.TypeAnswer, w.starts().ID, "", wrong)
		w.leaves()
		p.next(signal.TypeQueued) // there is no other worker
		again := read[signal.Reserve](t, w.next(signal.TypeReserve))
		p.say(signal.TypeLeave, "", "", nil)
		if c := read[signal.Cancel](t, w.next(signal.TypeCancel)); !again.Wait || c.Ticket != again.Ticket {
			t.Errorf("asked %+v and cancelled %+v", again, c)
		}
	}
	p.say(signal.TypeStart, "6", "", signal.Start{Game: "pong", SDP: "v=0"})
	w.starts()
	p.say(signal.TypeStart, "7", "", signal.Start{Game: "pong", SDP: "v=0"})
	p.refused("7", signal.CodeBadRequest) // one at a time
	p.say(signal.TypeLeave, "8", "", nil)
	p.refused("8", signal.CodeBadRequest)
	w.close()
	if e := p.next(signal.TypeQueued); e.ID != "6" {
		t.Errorf("%q is answered", e.ID)
	}
	if n := d.Stats().Refused; n["bad-request"] != 3 || n["not-found"] != 1 || n["no-worker"] != 1 {
		t.Errorf("counted %v", n)
	}
}

func TestAsksTheNextWorker(t *testing.T) {
	d := start(t, nil)
	near := d.worker(func(r *signal.Register) { r.Zone = "near" })
	far := d.worker(func(r *signal.Register) { r.Zone = "far" })
	wish := signal.Start{Game: "pong", SDP: "v=0", Latencies: map[string]int{"near": 5, "far": 90}}
	p := d.page()
	p.say(signal.TypeStart, "1", "", wish)
	p.say(signal.TypeCandidate, "", "", signal.Candidate{Candidate: "candidate:1"})
	e := near.next(signal.TypeReserve)
	near.no(e, signal.CodeFull)
	near.next(signal.TypeCancel)
	e = far.starts()
	if c := read[signal.Candidate](t, far.next(signal.TypeCandidate)); c.Candidate != "candidate:1" {
		t.Errorf("the next worker is not told the candidate, but %+v", c)
	}
	far.yes(e, signal.NewID())
	p.next(signal.TypeAnswer)

	// One gives a place and then cannot start.
	p = d.page()
	p.say(signal.TypeStart, "2", "", wish)
	e = near.starts()
	near.no(e, signal.CodeFailed)
	near.leaves()
	far.yes(far.starts(), signal.NewID())
	p.next(signal.TypeAnswer)
	// What the first says later about the session is not its business any more.
	near.say(signal.TypeClosed, "", e.Session, signal.Closed{Reason: "late"})
	near.say(signal.TypeCandidate, "", e.Session, signal.Candidate{})
	near.say(signal.TypeError, "", e.Session, signal.Errorf(signal.CodeFailed, "late"))
	p.nothing()

	// Only one zone will do.
	wish.Zone = "far"
	p = d.page()
	p.say(signal.TypeStart, "3", "", wish)
	far.yes(far.starts(), signal.NewID())
	p.next(signal.TypeAnswer)
	wish.Zone = "nowhere"
	p.say(signal.TypeStart, "4", "", wish)
	p.refused("4", signal.CodeNoWorker)
}

func TestStartAgainLeavesTheOldGame(t *testing.T) {
	d := start(t, nil)
	w, p := d.worker(nil), d.page()
	first, _, _ := p.plays(w)
	p.say(signal.TypeStart, "1", "", signal.Start{Game: "pong", SDP: "v=0"})
	if e := w.next(signal.TypeLeave); e.Session != first {
		t.Errorf("%s left, not %s", e.Session, first)
	}
	e := w.starts()
	if e.Session == first {
		t.Error("the new game has the session of the old one")
	}
	w.say(signal.TypeClosed, "", first, signal.Closed{Reason: "left"})
	w.yes(e, signal.NewID())
	p.next(signal.TypeAnswer)
	p.say(signal.TypeLeave, "2", "", nil)
	if left := w.next(signal.TypeLeave); left.Session != e.Session {
		t.Errorf("%s left, not %s", left.Session, e.Session)
	}
	p.say(signal.TypeCandidate, "3", "", signal.Candidate{})
	p.refused("3", signal.CodeNotFound)
}

// Every bad message is answered, on a socket that stays, and nobody else notices.
func TestBadInput(t *testing.T) {
	d := start(t, nil)
	w, p, other := d.worker(nil), d.page(), d.page()
	session, _, _ := other.plays(w)
	megabyte := `{"v":1,"type":"start","id":"big","data":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, test := range []struct {
		name, in, id string
		code         signal.Code
	}{
		{"one megabyte", megabyte, "", signal.CodeTooLarge},
		{"no JSON", "hello", "", signal.CodeBadRequest},
		{"empty", "", "", signal.CodeBadRequest},
		{"unknown type", `{"v":1,"type":"dance","id":"a"}`, "a", signal.CodeBadRequest},
		{"of a worker", `{"v":1,"type":"register","id":"a"}`, "a", signal.CodeBadRequest},
		{"version", `{"v":7,"type":"start","id":"a"}`, "a", signal.CodeVersion},
		{"player 99", `{"v":1,"type":"join","id":"a","data":{"room":"abcdefghijklmnopqrstuvwxyz","player":99,"sdp":"v=0"}}`, "a", signal.CodeBadRequest},
		{"room going up", `{"v":1,"type":"join","id":"a","data":{"room":"../../x","sdp":"v=0"}}`, "a", signal.CodeBadRequest},
		{"game with slashes", `{"v":1,"type":"start","id":"a","data":{"game":"a/b","sdp":"v=0"}}`, "a", signal.CodeBadRequest},
		{"long sdp", `{"v":1,"type":"start","id":"a","data":{"game":"pong","sdp":"` + strings.Repeat("x", signal.MaxSDP+1) + `"}}`, "a", signal.CodeBadRequest},
		{"candidate of no game", `{"v":1,"type":"candidate","id":"a","data":{"candidate":""}}`, "a", signal.CodeNotFound},
		{"forged token", `{"v":1,"type":"resume","id":"a","data":{"token":"v1.a.b.c.1.x"}}`, "a", signal.CodeDenied},
		{"session of another", `{"v":1,"type":"candidate","id":"a","session":"` + session + `","data":{"candidate":""}}`, "a", signal.CodeNotFound},
	} {
		p.raw([]byte(test.in))
		r := p.refused(test.id, test.code)
		if r.Message == "" {
			t.Errorf("%s: no message", test.name)
		}
	}
	if err := p.conn.WriteMessage(websocket.BinaryMessage, []byte{1}); err != nil {
		t.Fatal(err)
	}
	p.refused("", signal.CodeBadRequest)
	w.nothing()
	other.nothing()
	p.plays(w)
}

func TestTooMuchIsCut(t *testing.T) {
	d := start(t, nil)
	p := d.page()
	// Over maxDiscard nothing is read to its end any more.
	writer, err := p.conn.NextWriter(websocket.TextMessage)
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	for range maxDiscard>>20 + 2 {
		if _, err = writer.Write(chunk); err != nil {
			break
		}
	}
	_ = writer.Close() // fails where the writes failed
	p.ends()
}

// So is who says too often too much; on a machine that is slow nobody does.
func TestTooManyAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startPiped(t)
		p := d.page()
		sent := 0
		for sent < 2*(pageBurst+maxViolations) && p.conn.WriteMessage(websocket.TextMessage, []byte("{}")) == nil {
			sent++
		}
		if code := p.ends(); code != websocket.ClosePolicyViolation || sent < pageBurst+maxViolations {
			t.Errorf("closed with %d after %d messages", code, sent)
		}
		d.page()
	})
}

func TestSlowReaderIsCut(t *testing.T) {
	d := start(t, nil)
	w := d.worker(nil)
	conn, response, err := websocket.DefaultDialer.Dial(d.url("ws", "/ws"), nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	defer conn.Close()
	data, err := signal.Encode(signal.TypeStart, "1", "", signal.Start{Game: "pong", SDP: "v=0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteMessage(websocket.TextMessage, data); err != nil {
		t.Fatal(err)
	}
	e := w.starts()
	w.yes(e, signal.NewID())
	lost := func() bool {
		d.sessions.mu.Lock()
		defer d.sessions.mu.Unlock()
		s := d.sessions.byID[e.Session]
		return s != nil && s.sock == nil
	}
	candidate, err := signal.Encode(signal.TypeCandidate, "", e.Session, signal.Candidate{Candidate: strings.Repeat("x", signal.MaxCandidate)})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patient); !lost(); {
		if time.Now().After(end) {
			t.Fatal("who does not read is kept")
		}
		w.raw(candidate)
	}
	w.nothing()
	last := signal.NewID()
	w.say(signal.TypeRooms, "", "", signal.Rooms{Rooms: []signal.Room{{ID: last, Game: "pong"}}})
	until30(t, "all that the worker has said", func() bool { _, err := d.registry.forRoom(last); return err == nil })
	d.page().plays(w)
}

func TestOrigin(t *testing.T) {
	d := start(t, func(c *Config) { c.Origins = []string{"https://play.example.org"} })
	host := d.Addr().String()
	for origin, ok := range map[string]bool{
		"http://" + host: true, "https://" + host: true, "https://play.example.org": true, "HTTPS://PLAY.example.org": true,
		"https://evil.example.org": false, "null": false, "": false, "http://" + host + ".evil.org": false,
		"https://play.example.org:444": false, "http://play.example.org": false, "://": false,
	} {
		conn, response, err := websocket.DefaultDialer.Dial(d.url("ws", "/ws"), http.Header{"Origin": {origin}})
		if (err == nil) != ok {
			t.Errorf("origin %q: %v", origin, err)
		}
		if err == nil {
			conn.Close()
		} else if response == nil || response.StatusCode != http.StatusForbidden {
			t.Errorf("origin %q is answered with %v", origin, response)
		}
		if response != nil {
			response.Body.Close()
		}
	}
	for _, path := range []string{"/ws/worker", "/ws/turn"} {
		_, response, err := websocket.DefaultDialer.Dial(d.url("ws", path), http.Header{"Origin": {"http://" + host}})
		if err == nil || response == nil || response.StatusCode != http.StatusForbidden {
			t.Errorf("a page gets at %s: %v", path, err)
		}
		if response != nil {
			response.Body.Close()
		}
	}
}
