package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

const (
	fleetSecret     = "a-secret-for-the-tests-of-32-bytes" // of StartFleet
	wordOfOperators = "an-operator's-word"
	patience        = 30 * time.Second // for what should be there at once
)

// siege is an installation that is attacked while a game is played on it.
type siege struct {
	*Fleet
	page *Page
	room string
	sdp  string // an offer that a worker takes
}

// TestHostileDoor attacks both coordinators in every way that we know of: each
// attempt is refused and counted under its cause, the game does not notice, and
// all processes end in form with hardly more memory than before.
func TestHostileDoor(t *testing.T) {
	f := fleet(t, FleetOptions{Coordinators: 2, Workers: 1, CoordinatorConfig: map[string]string{
		"CLOUDRETRO_COORDINATOR_SIGNIN_ADMINPASSWORD": wordOfOperators,
	}})
	s := &siege{Fleet: f, page: open(t, f.Coordinators[0].URL+"/play/test-card")}
	until(t, s.page, "probe.frames.length > 120", 10*time.Second)
	s.room, s.sdp = eval[string](t, s.page, "cloudretro.room"), eval[string](t, s.page, "probe.pc.localDescription.sdp")
	since := eval[float64](t, s.page, "performance.now()")
	before := [2]Usage{usage(t, f.Coordinators[0]), usage(t, f.Coordinators[1])}

	slow := s.slowClients(t) // they take half a minute; the others go on meanwhile
	t.Run("other sites", s.otherSites)
	t.Run("messages", s.messages)
	t.Run("tokens", s.tokens)
	t.Run("invitations", s.invitations)
	t.Run("paths and requests", s.requests)
	t.Run("REST", s.rest)
	t.Run("roles", s.roles)
	t.Run("lies of a worker", s.lies)
	t.Run("slow clients", func(t *testing.T) { slow(t) })

	notDisturbed(t, s.page, since)
	hold(t, s.page, "KeyZ", presses, rests)
	for i, c := range f.Coordinators {
		after := usage(t, c)
		t.Logf("coordinator %d: %d MB before, %d MB after", i, before[i].RSS>>20, after.RSS>>20)
		if after.RSS > before[i].RSS+300<<20 {
			t.Errorf("coordinator %d grew by %d MB", i, (after.RSS-before[i].RSS)>>20)
		}
	}
	s.page.Close()
	for _, m := range append(f.Coordinators[:2:2], f.Workers...) {
		begin := time.Now()
		if err := m.Stop(); err != nil || time.Since(begin) > slack*8*time.Second {
			t.Errorf("%s ended after %s: %v", m.Name, time.Since(begin), err)
		}
	}
}

func usage(t *testing.T, m *Member) Usage {
	t.Helper()
	u, err := UsageOf(m.Pid())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// refused is how often a coordinator has refused something for a cause.
func (m *Member) refused(cause string) int {
	_, rest, _ := strings.Cut(m.Metrics(), fmt.Sprintf("cloudretro_coordinator_refused_total{cause=%q} ", cause))
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(line, 64)
	if err != nil {
		return -1
	}
	return int(n)
}

// counted checks that attempt is counted n times for a cause, and no more for a while.
func counted(t *testing.T, m *Member, cause string, n int, attempt func()) {
	t.Helper()
	before := m.refused(cause)
	attempt()
	if err := await(func() bool { return m.refused(cause) >= before+n }, patience); err != nil || before < 0 {
		t.Errorf("%s: counted %d times for %q, want %d", m.URL, m.refused(cause)-before, cause, n)
	}
}

// stranger is a WebSocket that says what no page or role would say.
type stranger struct {
	t *testing.T
	*websocket.Conn
}

func knock(t *testing.T, m *Member, path string, header http.Header) *stranger {
	t.Helper()
	conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(m.URL, "http")+path, header)
	if err != nil {
		t.Fatalf("dial %s: %v", path, err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	return &stranger{t, conn}
}

func (s *stranger) say(kind signal.Type, id string, payload any) {
	s.t.Helper()
	data, err := signal.Encode(kind, id, "", payload)
	if err != nil {
		s.t.Fatal(err)
	}
	s.text(string(data))
}

func (s *stranger) text(text string) {
	_ = s.SetWriteDeadline(time.Now().Add(patience))
	_ = s.WriteMessage(websocket.TextMessage, []byte(text)) // it may be closed already, which is for who reads to say
}

// hears reads until a message of one of the types comes; the Envelope is empty if
// the socket ends before.
func (s *stranger) hears(kinds ...signal.Type) (e signal.Envelope, err error) {
	for {
		_ = s.SetReadDeadline(time.Now().Add(patience))
		_, data, err := s.ReadMessage()
		if err != nil {
			return signal.Envelope{}, err
		}
		if e, err = signal.Decode(data, signal.MaxInternal); err != nil {
			return e, err
		}
		for _, kind := range kinds {
			if e.Type == kind {
				return e, nil
			}
		}
	}
}

// denied checks that an error with the code comes for a request.
func (s *stranger) denied(what, id string, code signal.Code) {
	s.t.Helper()
	e, err := s.hears(signal.TypeError, signal.TypeAnswer, signal.TypeResumed, signal.TypeAccepted)
	var said signal.Error
	if err == nil {
		err = json.Unmarshal(e.Data, &said)
	}
	if err != nil || e.Type != signal.TypeError || e.ID != id || said.Code != code || said.Message == "" {
		s.t.Errorf("%s: %s %q %s, %v; want %s", what, e.Type, e.ID, e.Data, err, code)
	}
}

// closed waits for the end of the socket and checks its code.
func (s *stranger) closed(what string, code int) {
	s.t.Helper()
	_, err := s.hears()
	var end *websocket.CloseError
	if !errors.As(err, &end) || end.Code != code {
		s.t.Errorf("%s: it ended with %v, want close code %d", what, err, code)
	}
}

// cutOff is closed for who still sends: what is left unread of that may have the
// kernel reset the connection, and the close frame be lost.
func (s *stranger) cutOff(what string, code int) {
	s.t.Helper()
	_, err := s.hears()
	var end *websocket.CloseError
	var timeout net.Error
	if errors.As(err, &end) && end.Code != code && end.Code != websocket.CloseAbnormalClosure || errors.As(err, &timeout) && timeout.Timeout() {
		s.t.Errorf("%s: it ended with %v, want close code %d", what, err, code)
	}
}

// otherSites opens all WebSockets as a page of another site would.
func (s *siege) otherSites(t *testing.T) {
	for i, path := range []string{"/ws", "/ws/worker", "/ws/turn"} {
		m := s.Coordinators[i%2]
		for _, origin := range []string{"https://evil.example.org", "null", m.URL + ".evil.example.org", "http://127.0.0.1:1"} {
			counted(t, m, "origin", 1, func() {
				url := "ws" + strings.TrimPrefix(m.URL, "http") + path
				conn, response, err := websocket.DefaultDialer.Dial(url, http.Header{"Origin": {origin}})
				if err == nil {
					_ = conn.Close()
				}
				if response == nil || response.StatusCode != http.StatusForbidden {
					t.Errorf("%s from %s: %v, %v", path, origin, response, err)
				}
			})
		}
	}
}

// messages sends what is malformed, too large, or too much.
func (s *siege) messages(t *testing.T) {
	m := s.Coordinators[0]
	ws := knock(t, m, "/ws", nil)
	start := func(data string) string { return `{"v":1,"type":"start","id":"q","data":` + data + `}` }
	for name, test := range map[string]struct {
		text, id string
		code     signal.Code
	}{
		"over 64 KiB":      {start(`{"game":"` + strings.Repeat("x", signal.MaxMessage) + `"}`), "", signal.CodeTooLarge},
		"15 MB":            {strings.Repeat("x", 15<<20), "", signal.CodeTooLarge},
		"no JSON":          {"}{", "", signal.CodeBadRequest},
		"deep JSON":        {start(strings.Repeat("[", 30_000)), "", signal.CodeBadRequest},
		"deep and whole":   {start(strings.Repeat(`{"a":`, 9_000) + "1" + strings.Repeat("}", 9_000)), "q", signal.CodeBadRequest},
		"unknown type":     {`{"v":1,"type":"dance","id":"q"}`, "q", signal.CodeBadRequest},
		"other version":    {`{"v":2,"type":"start","id":"q"}`, "q", signal.CodeVersion},
		"of a worker":      {`{"v":1,"type":"reserved","id":"q","data":{"ticket":"t","seconds":1}}`, "q", signal.CodeBadRequest},
		"of an operator":   {`{"v":1,"type":"end","id":"q","data":{"room":"` + s.room + `"}}`, "q", signal.CodeBadRequest},
		"of a coordinator": {`{"v":1,"type":"reserve","id":"q"}`, "q", signal.CodeBadRequest},
		"numbers":          {start(`{"game":"test-card","latencies":{"eu":1e99}}`), "q", signal.CodeBadRequest},
		"zones":            {start(`{"game":"test-card","latencies":{"eu":-1}}`), "q", signal.CodeBadRequest},
		"game is a path":   {start(`{"game":"../../etc/passwd"}`), "q", signal.CodeBadRequest},
		"ticket of nobody": {start(`{"game":"test-card","ticket":"nobody","sdp":"v=0"}`), "q", signal.CodeExpired},
		"control in zone":  {start(`{"game":"test-card","zone":"a\nb"}`), "q", signal.CodeBadRequest},
	} {
		counted(t, m, string(test.code), 1, func() {
			ws.text(test.text)
			ws.denied(name, test.id, test.code)
		})
	}
	counted(t, m, "bad-request", 1, func() {
		_ = ws.WriteMessage(websocket.BinaryMessage, []byte{0, 1, 2})
		ws.denied("binary", "", signal.CodeBadRequest)
	})
	flood := knock(t, s.Coordinators[1], "/ws", nil)
	counted(t, s.Coordinators[1], "rate", 200, func() {
		for range 2_000 {
			flood.text(`{"v":1,"type":"servers"}`)
		}
		flood.cutOff("flood", websocket.ClosePolicyViolation)
	})
	huge := knock(t, s.Coordinators[1], "/ws", nil)
	huge.text(strings.Repeat("x", 17<<20))
	if _, err := huge.hears(signal.TypeError); err == nil {
		t.Error("17 MB are read to their end")
	}
}

// tokens are forged, changed, expired, or of another installation.
func (s *siege) tokens(t *testing.T) {
	mint := func(secret string, change func(*signal.Session)) string {
		one := signal.Session{ID: signal.NewID(), Room: s.room, Expires: time.Now().Add(time.Hour).Unix()}
		if change != nil {
			change(&one)
		}
		return signal.MintToken(secret, one)
	}
	good := mint(fleetSecret, nil)
	invite := signal.MintInvite(signal.InviteKey(fleetSecret, s.room), signal.Invitation{ID: signal.NewID(), Room: s.room, Expires: time.Now().Add(time.Hour)})
	flipped := func(at int) string { return good[:at] + string(good[at]^1) + good[at+1:] }
	forged := map[string]string{
		"of another installation": mint("the secret of somebody else's site", nil),
		"without a signature":     good[:strings.LastIndexByte(good, '.')],
		"first byte flipped":      flipped(0),
		"a byte flipped":          flipped(len(good) / 3),
		"signature flipped":       flipped(len(good) - 2),
		"an invitation":           invite,
		"of nothing":              "",
		"of dots":                 strings.Repeat(".", 1000),
	}
	for i, m := range s.Coordinators {
		ws := knock(t, m, "/ws", nil)
		for name, token := range forged {
			counted(t, m, "token", 1, func() {
				ws.say(signal.TypeResume, "q", signal.Resume{Token: token})
				ws.denied(name, "q", signal.CodeDenied)
			})
			if token == "" {
				continue // joins without one
			}
			counted(t, m, "token", 1, func() {
				ws.say(signal.TypeJoin, "q", signal.Join{Room: s.room, SDP: s.sdp, Token: token})
				ws.denied("join with "+name, "q", signal.CodeDenied)
			})
		}
		old := mint(fleetSecret, func(one *signal.Session) { one.Expires = time.Now().Add(-time.Hour).Unix() })
		counted(t, m, "token", 1, func() {
			ws.say(signal.TypeResume, "q", signal.Resume{Token: old})
			ws.denied("expired", "q", signal.CodeDenied)
		})
		elsewhere := mint(fleetSecret, func(one *signal.Session) { one.Room = strings.Repeat("a", 26) })
		counted(t, m, "denied", 1, func() {
			ws.say(signal.TypeJoin, "q", signal.Join{Room: s.room, SDP: s.sdp, Token: elsewhere})
			ws.denied("of another room", "q", signal.CodeDenied)
		})
		counted(t, m, "too-large", 1, func() {
			ws.say(signal.TypeResume, "q", signal.Resume{Token: strings.Repeat("x", signal.MaxMessage)})
			ws.denied("64 KiB", "", signal.CodeTooLarge)
		})
		if i == 0 { // one that holds, for comparison
			ws.say(signal.TypeResume, "q", signal.Resume{Token: mint(fleetSecret, func(one *signal.Session) { one.Room = "" })})
			if _, err := ws.hears(signal.TypeResumed); err != nil {
				t.Errorf("a token of ours: %v", err)
			}
		}
	}
}

// both does the same at both coordinators at the same moment.
func both(one func(i int)) {
	var all sync.WaitGroup
	for i := range 2 {
		all.Go(func() { one(i) })
	}
	all.Wait()
}
