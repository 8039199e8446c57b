package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// challenged is the socket of a role that has been asked for its proof.
func challenged(t *testing.T, m *Member, path string) (*stranger, signal.Challenge) {
	t.Helper()
	ws := knock(t, m, path, nil)
	e, err := ws.hears(signal.TypeChallenge)
	if err != nil {
		t.Fatal(err)
	}
	c, err := signal.Read[signal.Challenge](e)
	if err != nil {
		t.Fatal(err)
	}
	return ws, c
}

func lies() []signal.Game {
	return []signal.Game{{ID: "lie", Title: "Lie", System: "test", Players: 2}}
}

// introduction is a worker's, proved by a secret.
func introduction(c signal.Challenge, secret, role string) signal.Register {
	r := signal.Register{
		ID: signal.NewID(), Name: "liar", Library: signal.LibraryDigest(lies()), MediaAddrs: []string{"127.0.0.1:9"},
		Load: signal.Load{State: signal.StateReady, Places: 4, Free: 4},
	}
	r.MAC = signal.MAC(secret, c.Nonce, role, r.ID)
	return r
}

// roles come without the secret, with another's proof, or with too much.
func (s *siege) roles(t *testing.T) {
	m := s.Coordinators[1]
	other, earlier := challenged(t, s.Coordinators[0], "/ws/worker")
	defer func() { _ = other.Close() }()
	for name, test := range map[string]struct {
		path  string
		say   func(ws *stranger, c signal.Challenge)
		cause string
		code  int
	}{
		"wrong secret": {"/ws/worker", func(ws *stranger, c signal.Challenge) {
			ws.say(signal.TypeRegister, "", introduction(c, "wrong", signal.RoleWorker))
		}, "denied", websocket.ClosePolicyViolation},
		"no secret": {"/ws/worker", func(ws *stranger, c signal.Challenge) {
			ws.say(signal.TypeRegister, "", introduction(c, "", signal.RoleWorker))
		}, "denied", websocket.ClosePolicyViolation},
		"proof of another challenge": {"/ws/worker", func(ws *stranger, _ signal.Challenge) {
			ws.say(signal.TypeRegister, "", introduction(earlier, fleetSecret, signal.RoleWorker))
		}, "denied", websocket.ClosePolicyViolation},
		"a gate's proof": {"/ws/worker", func(ws *stranger, c signal.Challenge) {
			ws.say(signal.TypeRegister, "", introduction(c, fleetSecret, signal.RoleGate))
		}, "denied", websocket.ClosePolicyViolation},
		"a worker's proof": {"/ws/turn", func(ws *stranger, c signal.Challenge) {
			ws.say(signal.TypeGate, "", signal.Gate{ID: "g", URLs: []string{"turn:evil.example.org:3478"}, MAC: signal.MAC(fleetSecret, c.Nonce, signal.RoleWorker, "g")})
		}, "denied", websocket.ClosePolicyViolation},
		"a page's message": {"/ws/worker", func(ws *stranger, _ signal.Challenge) {
			ws.say(signal.TypeStart, "", signal.Start{Game: "test-card"})
		}, "bad-request", websocket.ClosePolicyViolation},
		"many media addresses": {"/ws/worker", func(ws *stranger, c signal.Challenge) {
			r := introduction(c, fleetSecret, signal.RoleWorker)
			r.MediaAddrs = strings.Split(strings.Repeat("127.0.0.1:9 ", 1000)+"127.0.0.1:9", " ")
			ws.say(signal.TypeRegister, "", r)
		}, "bad-request", websocket.ClosePolicyViolation},
		"a probe that is a policy": {"/ws/worker", func(ws *stranger, c signal.Challenge) {
			r := introduction(c, fleetSecret, signal.RoleWorker)
			r.Probe = "https://a.example.org; script-src *"
			ws.say(signal.TypeRegister, "", r)
		}, "bad-request", websocket.ClosePolicyViolation},
		"binary": {"/ws/worker", func(ws *stranger, _ signal.Challenge) {
			_ = ws.WriteMessage(websocket.BinaryMessage, []byte("{}"))
		}, "handshake", websocket.CloseNormalClosure},
		"5 MB": {"/ws/worker", func(ws *stranger, _ signal.Challenge) {
			ws.text(strings.Repeat("x", 5<<20))
		}, "handshake", websocket.CloseNormalClosure},
		"a million objects": {"/ws/worker", func(ws *stranger, c signal.Challenge) {
			ws.text(`{"v":1,"type":"register","data":{"id":"w","mac":"` + c.Nonce + `","rooms":[` + strings.Repeat("{},", 1_300_000) + `{}]}}`)
		}, "too-large", websocket.ClosePolicyViolation},
	} {
		counted(t, m, test.cause, 1, func() {
			ws, c := challenged(t, m, test.path)
			test.say(ws, c)
			ws.closed(name, test.code)
		})
	}
	// Many at once, each with as much as is taken.
	const many = 64
	counted(t, m, "bad-request", many, func() {
		junk := strings.Repeat("x", signal.MaxInternal)
		var all sync.WaitGroup
		for range many {
			ws := knock(t, m, "/ws/worker", nil)
			all.Go(func() {
				if _, err := ws.hears(signal.TypeChallenge); err == nil {
					ws.text(junk)
					ws.closed("4 MiB of junk", websocket.ClosePolicyViolation)
				}
			})
		}
		all.Wait()
	})
	t.Logf("after %d times 4 MiB: %d MB", many, usage(t, m).RSS>>20)
}

// liar is a worker that knows the secret.
func (s *siege) liar(t *testing.T, m *Member) (ws *stranger, id string) {
	t.Helper()
	ws, c := challenged(t, m, "/ws/worker")
	r := introduction(c, fleetSecret, signal.RoleWorker)
	ws.say(signal.TypeRegister, "", r)
	if _, err := ws.hears(signal.TypeAccepted); err != nil {
		t.Fatal(err)
	}
	ws.say(signal.TypeLibrary, "", signal.Library{Digest: signal.LibraryDigest(lies()), Put: lies()})
	return ws, r.ID
}

// lies are those of a worker that knows the secret: they cost nobody else anything.
func (s *siege) lies(t *testing.T) {
	m := s.Coordinators[0]
	victim := s.session(t) // before the liar is there, which would not answer and then not be asked for a while
	ws, _ := s.liar(t, m)
	rooms := func(n int) string {
		return `{"v":1,"type":"rooms","data":{"rooms":[` + strings.TrimSuffix(strings.Repeat(`{"id":"`+strings.Repeat("b", 26)+`","game":"lie"},`, n), ",") + `]}}`
	}
	for name, test := range map[string]struct{ text, cause string }{
		"1e99 places":       {`{"v":1,"type":"load","data":{"state":"ready","places":1e99}}`, "bad-request"},
		"10001 places":      {`{"v":1,"type":"load","data":{"state":"ready","places":10001,"free":1}}`, "bad-request"},
		"more free than in": {`{"v":1,"type":"load","data":{"state":"ready","places":1,"free":2}}`, "bad-request"},
		"a state of its":    {`{"v":1,"type":"load","data":{"state":"` + strings.Repeat("x", 1<<20) + `"}}`, "bad-request"},
		"a type of 1 MB":    {`{"v":1,"type":"` + strings.Repeat("x", 1<<20) + `"}`, "bad-request"},
		"20000 rooms":       {rooms(20_000), "bad-request"},
		"another's room":    {`{"v":1,"type":"rooms","data":{"rooms":[{"id":"` + s.room + `","game":"lie"}]}}`, "denied"},
		"a page's message":  {`{"v":1,"type":"start","data":{"game":"lie"}}`, "bad-request"},
		"a wrong digest":    {`{"v":1,"type":"library","data":{"digest":"` + strings.Repeat("0", 64) + `","put":[{"id":"x","title":"X","system":"nes"}]}}`, "failed"},
		"a game as a path":  {`{"v":1,"type":"library","data":{"digest":"` + strings.Repeat("0", 64) + `","put":[{"id":"../x","title":"X","system":"nes"}]}}`, "bad-request"},
		"negative times":    {`{"v":1,"type":"queue","data":{"coordinator":"a","since":[-1]}}`, "bad-request"},
		"a grant of zero":   {`{"v":1,"type":"reserved","data":{"ticket":"t","seconds":0}}`, "bad-request"},
	} {
		t.Run(name, func(t *testing.T) { counted(t, m, test.cause, 1, func() { ws.text(test.text) }) })
	}
	t.Run("a library without end", func(t *testing.T) {
		counted(t, m, "too-large", 1, func() {
			for part := range 60 {
				put := make([]signal.Game, signal.LibraryPart)
				for i := range put {
					put[i] = signal.Game{ID: fmt.Sprintf("g-%d-%d", part, i), Title: strings.Repeat("x", signal.MaxText), System: "nes"}
				}
				ws.say(signal.TypeLibrary, "", signal.Library{Digest: strings.Repeat("1", 64), Put: put, More: true})
			}
		})
	})
	ws.say(signal.TypeLibrary, "", signal.Library{Digest: signal.LibraryDigest(lies()), Put: lies()})
	for range 300 { // as if so many coordinators had so many who wait
		ws.say(signal.TypeQueue, "", signal.Queue{Coordinator: signal.NewID(), Since: make([]int64, signal.MaxQueue)})
	}
	// What nobody asked for, and about a session that is another worker's.
	for _, kind := range []signal.Type{signal.TypeAnswer, signal.TypeDone, signal.TypeInvited, signal.TypeSessions, signal.TypeReserved, signal.TypeError} {
		ws.text(`{"v":1,"type":"` + string(kind) + `","id":"1","session":"` + victim + `","data":{"ticket":"nobody-asked","seconds":9,"code":"full","message":"x"}}`)
	}
	ws.text(`{"v":1,"type":"closed","session":"` + victim + `","data":{"reason":"a lie","code":"removed"}}`)
	ws.text(`{"v":1,"type":"candidate","session":"` + victim + `","data":{"candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host"}}`)
	if e, err := ws.hears(signal.TypeCancel); err != nil || !strings.Contains(string(e.Data), "nobody-asked") {
		t.Errorf("a grant that nobody asked for is not given back: %s, %v", e.Data, err)
	}
	t.Run("the room of another in an answer", func(t *testing.T) { s.wrongRoom(t, m, ws) })
	if state := eval[string](t, s.page, "cloudretro.state"); state != "playing" {
		t.Errorf("the page is %s", state)
	}
	flood, _ := s.liar(t, m)
	counted(t, m, "rate", 1, func() {
		for range 60_000 {
			flood.text(`{"v":1,"type":"done"}`)
		}
		flood.cutOff("flood of a worker", websocket.ClosePolicyViolation)
	})
}

// wrongRoom has a page start a game at the liar, which answers with a room that
// is another's.
func (s *siege) wrongRoom(t *testing.T, m *Member, liar *stranger) {
	page := knock(t, m, "/ws", nil)
	page.say(signal.TypeStart, "q", signal.Start{Game: "lie", SDP: s.sdp})
	e, err := liar.hears(signal.TypeReserve)
	if err != nil {
		t.Fatal(err)
	}
	ask, _ := signal.Read[signal.Reserve](e)
	liar.say(signal.TypeReserved, e.ID, signal.Reserved{Ticket: ask.Ticket, Seconds: 9})
	if e, err = liar.hears(signal.TypeStart); err != nil {
		t.Fatal(err)
	}
	liar.say(signal.TypeAnswer, e.ID, signal.Answer{SDP: "v=0", Room: s.room, Game: "lie", Title: "Lie", System: "test", Seats: 1})
	if e, err = page.hears(signal.TypeQueued, signal.TypeError, signal.TypeAnswer); err != nil || e.Type == signal.TypeAnswer {
		t.Errorf("the page hears %s, %v", e.Type, err)
	}
	// Who asks for the room still gets to where it is: the door of it is closed by now.
	guest := knock(t, m, "/ws", nil)
	guest.say(signal.TypeJoin, "q", signal.Join{Room: s.room, SDP: s.sdp})
	guest.denied("the room", "q", signal.CodeInvite)
}

// session is the one of the page that plays.
func (s *siege) session(t *testing.T) string {
	t.Helper()
	m := s.Coordinators[0]
	_, said, _ := ask(t, m, "GET", "/api/v1/sessions", "", operator(t, m))
	var list struct {
		Sessions []struct {
			ID      string
			Hosting bool
		}
	}
	_ = json.Unmarshal([]byte(said), &list)
	for _, one := range list.Sessions {
		if one.Hosting {
			return one.ID
		}
	}
	t.Fatalf("no host among %s", said)
	return ""
}

// slowClients begins what takes long, and answers what waits for its end.
func (s *siege) slowClients(t *testing.T) (wait func(t *testing.T)) {
	m := s.Coordinators[1]
	const each = 20
	before, handshakes := m.refused("slow"), m.refused("handshake")
	var all sync.WaitGroup
	for _, begin := range []string{
		"",                                 // half-open
		"GET / HTTP/1.1\r\nHost: a\r\nX: ", // headers without end
		"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ",
		"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
	} {
		for range each {
			conn, err := net.Dial("tcp", address(m))
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() { dribble(t, conn, begin) })
		}
	}
	silent, _ := challenged(t, m, "/ws/worker")
	all.Go(func() {
		_ = silent.SetReadDeadline(time.Now().Add(patience))
		if _, _, err := silent.ReadMessage(); !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
			t.Errorf("a worker that answers pings and proves nothing: %v", err)
		}
	})
	return func(t *testing.T) {
		all.Wait()
		if err := await(func() bool { return m.refused("slow") >= before+4*each }, patience); err != nil {
			t.Errorf("%d of %d slow clients are counted", m.refused("slow")-before, 4*each)
		}
		if m.refused("handshake") <= handshakes {
			t.Error("a worker that proves nothing is not counted")
		}
	}
}

// dribble says little by little until it is hung up on.
func dribble(t *testing.T, conn net.Conn, begin string) {
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, begin)
	began, tick := time.Now(), time.NewTicker(500*time.Millisecond)
	defer tick.Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = conn.SetReadDeadline(began.Add(slack * 40 * time.Second))
		_, _ = io.Copy(io.Discard, conn)
	}()
	for {
		select {
		case <-ended:
			if time.Since(began) >= slack*40*time.Second {
				t.Errorf("%.20q: it was let go on for %s", begin, time.Since(began))
			}
			return
		case <-tick.C:
			if begin != "" {
				_, _ = conn.Write([]byte("x")) // the end is for who reads to say
			}
		}
	}
}
