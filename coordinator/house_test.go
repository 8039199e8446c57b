package coordinator

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/cloudretro/cloudretro/coordinator/api"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

const adminPassword = "for admins only"

// inquirer asks the API of a coordinator and holds each answer against the document.
type inquirer struct {
	d      *door
	router routers.Router
	cookie *http.Cookie // nil is nobody's
	token  string       // of a session
}

// inquirers are an admin, and somebody who has not signed in.
func (d *door) inquirers() (admin, nobody *inquirer) {
	d.t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Document())
	if err != nil {
		d.t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		d.t.Fatal(err)
	}
	nobody = &inquirer{d: d, router: router}
	response := nobody.send(http.MethodPost, "/auth/login", `{"password":"`+adminPassword+`"}`)
	defer response.Body.Close()
	if len(response.Cookies()) == 0 {
		d.t.Fatalf("sign-in of an admin: status %d", response.StatusCode)
	}
	return &inquirer{d: d, router: router, cookie: response.Cookies()[0]}, nobody
}

func withAdmin(cfg *Config) { cfg.SignIn.AdminPassword = adminPassword }

func (c *inquirer) send(method, path, body string) *http.Response {
	c.d.t.Helper()
	request, err := http.NewRequest(method, c.d.url("http", path), strings.NewReader(body))
	if err != nil {
		c.d.t.Fatal(err)
	}
	request.Close = true
	request.Header.Set("Content-Type", "application/json")
	if c.cookie != nil {
		request.AddCookie(c.cookie)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.d.t.Fatal(err)
	}
	return response
}

// ask wants a status and decodes the answer into v, if there is one.
func (c *inquirer) ask(method, path, body string, status int, v any) {
	t := c.d.t
	t.Helper()
	response := c.send(method, api.Prefix+path, body)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, response.StatusCode, status, data)
	}
	request := response.Request.Clone(t.Context())
	request.URL.Scheme, request.URL.Host = "", ""
	route, params, err := c.router.FindRoute(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route},
		Status:                 response.StatusCode, Header: response.Header, Body: io.NopCloser(bytes.NewReader(data)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}); err != nil {
		t.Errorf("%s %s is not answered as openapi.json says: %v\n%s", method, path, err, data)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, data)
	}
}

// playing is a worker with a room, and the token of somebody who plays there.
func playing(t *testing.T, d *door) (w *worker, room, session, token string) {
	t.Helper()
	room, session = signal.NewID(), signal.NewID()
	w = d.worker(func(r *signal.Register) {
		r.Name, r.Zone, r.Probe = "attic", "eu", "https://eu.example.org/echo"
		r.Load = signal.Load{State: signal.StateReady, Places: 4, Free: 3, Sessions: 3, Late: 7}
		r.Rooms = []signal.Room{{ID: room, Game: "pong", Players: 1, Viewers: 2, Seats: 2, Closed: true}}
	})
	until(t, "the library", func() bool { r, ok := d.registry.room(room); return ok && r.System != "" })
	return w, room, session, signal.MintToken(secret, signal.Session{ID: session, Worker: w.id, Room: room, Expires: time.Now().Add(time.Hour).Unix()})
}

func TestAPIOfWhatThereIs(t *testing.T) {
	d := start(t, withAdmin)
	w, room, _, token := playing(t, d)
	admin, nobody := d.inquirers()

	var health api.Health
	nobody.ask("GET", "health", "", 200, &health)
	if health.Coordinator != d.id || health.Workers != 1 {
		t.Errorf("health %+v", health)
	}
	var zones []api.Zone
	nobody.ask("GET", "zones", "", 200, &zones)
	if len(zones) != 1 || zones[0] != (api.Zone{Name: "eu", Probe: "https://eu.example.org/echo"}) {
		t.Errorf("zones %+v", zones)
	}
	var rooms api.Rooms
	nobody.ask("GET", "rooms", "", 200, &rooms)
	if len(rooms.Rooms) != 0 || rooms.Totals != (api.Totals{Workers: 1, Rooms: 1, Players: 1, Viewers: 2}) {
		t.Errorf("nobody sees %+v", rooms)
	}
	want := api.Room{ID: room, Game: "pong", Title: "Game pong", System: "nes", Players: 1, Viewers: 2, Seats: 2, Closed: true}
	player := &inquirer{d: d, router: nobody.router, token: token}
	player.ask("GET", "rooms", "", 200, &rooms)
	if len(rooms.Rooms) != 1 || rooms.Rooms[0] != want {
		t.Errorf("a player sees %+v", rooms)
	}
	want.Worker = w.id
	admin.ask("GET", "rooms", "", 200, &rooms)
	if len(rooms.Rooms) != 1 || rooms.Rooms[0] != want {
		t.Errorf("an admin sees %+v", rooms)
	}
	var workers api.Workers
	admin.ask("GET", "workers", "", 200, &workers)
	if len(workers.Workers) != 1 {
		t.Fatalf("workers %+v", workers)
	}
	one := workers.Workers[0]
	since, err := time.Parse(time.RFC3339, one.Since)
	one.Since = ""
	if err != nil || time.Since(since) > time.Minute || one != (api.Worker{
		ID: w.id, Name: "attic", Zone: "eu", Probe: "https://eu.example.org/echo", State: "ready",
		Places: 4, Free: 3, Rooms: 1, Sessions: 3, Games: 1, Late: 7,
	}) {
		t.Errorf("%v: %+v", err, workers.Workers[0])
	}
	nobody.ask("GET", "workers", "", 401, nil)
	nobody.ask("GET", "rooms/"+room, "", 404, nil)
	for _, path := range []string{"games", "me", "openapi.json"} {
		nobody.ask("GET", path, "", 200, nil)
	}
}

// answering has a worker answer the next request of a type.
func (w *worker) answering(want signal.Type, answer func(e signal.Envelope)) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		answer(w.next(want))
	}()
	return func() { <-done }
}

func TestAPIOfInvitations(t *testing.T) {
	d := start(t, withAdmin)
	w, room, session, token := playing(t, d)
	_, nobody := d.inquirers()
	host := &inquirer{d: d, router: nobody.router, token: token}

	wait := w.answering(signal.TypeInvite, func(e signal.Envelope) {
		if i := read[signal.Invite](t, e); i != (signal.Invite{Room: room, Session: session, Player: 2, Seconds: 60}) {
			t.Errorf("asked for %+v", i)
		}
		w.say(signal.TypeInvited, e.ID, "", signal.Invited{ID: "i1", Token: "i1.token", Expires: time.Now().Unix()})
	})
	var made api.Invitation
	host.ask("POST", "rooms/"+room+"/invitations", `{"player":2,"seconds":60}`, 201, &made)
	wait()
	if made.Path != "/room/"+room+"#invite=i1.token" {
		t.Errorf("%+v", made)
	}
	wait = w.answering(signal.TypeRevoke, func(e signal.Envelope) { w.no(e, signal.CodeHost) })
	host.ask("DELETE", "rooms/"+room+"/invitations/i1", "", 403, nil)
	wait()
	wait = w.answering(signal.TypeRevoke, func(e signal.Envelope) { w.say(signal.TypeDone, e.ID, "", nil) })
	host.ask("DELETE", "rooms/"+room+"/invitations/i1", "", 204, nil)
	wait()
	wait = w.answering(signal.TypeInvite, func(e signal.Envelope) { w.say(signal.TypeDone, e.ID, "", nil) }) // nonsense
	host.ask("POST", "rooms/"+room+"/invitations", "{}", 502, nil)
	wait()
	nobody.ask("POST", "rooms/"+room+"/invitations", "{}", 401, nil)
	host.token += "x"
	host.ask("POST", "rooms/"+room+"/invitations", "{}", 401, nil)
}

func TestAPIOfAdmins(t *testing.T) {
	d := start(t, withAdmin)
	w, room, session, token := playing(t, d)
	admin, nobody := d.inquirers()

	info := signal.SessionInfo{
		ID: session, Room: room, Game: "pong", Player: 1, Hosting: true, Since: time.Now().UnixMilli(),
		User: &signal.User{ID: "una", Name: "Una", Role: signal.RolePlayer},
	}
	var sessions api.Sessions
	for _, query := range []string{"", "?worker=" + w.id} {
		wait := w.answering(signal.TypeList, func(e signal.Envelope) {
			w.say(signal.TypeSessions, e.ID, "", signal.Sessions{Sessions: []signal.SessionInfo{info}})
		})
		admin.ask("GET", "sessions"+query, "", 200, &sessions)
		wait()
		if len(sessions.Sessions) != 1 || sessions.Sessions[0].ID != session || sessions.Sessions[0].User.ID != "una" || sessions.Sessions[0].Worker != w.id {
			t.Errorf("%+v", sessions)
		}
	}
	admin.ask("GET", "sessions?worker=nobody", "", 404, nil)
	for _, path := range []string{"sessions/" + session, "sessions/" + session + "?worker=" + w.id, "rooms/" + room} {
		wait := w.answering(signal.TypeEnd, func(e signal.Envelope) {
			if end := read[signal.End](t, e); (end.Session == session) == (end.Room == room) || end.Reason == "" {
				t.Errorf("%s: %+v", path, end)
			}
			w.say(signal.TypeDone, e.ID, "", nil)
		})
		admin.ask("DELETE", path, "", 204, nil)
		wait()
	}
	admin.ask("DELETE", "rooms/"+signal.NewID(), "", 404, nil)
	wait := w.answering(signal.TypeDrain, func(e signal.Envelope) {
		if read[signal.Drain](t, e).Off {
			t.Error("not drained")
		}
	})
	admin.ask("POST", "workers/"+w.id+"/drain", "", 202, nil)
	wait()
	admin.ask("POST", "workers/nobody/drain", "", 404, nil)
	player := &inquirer{d: d, router: nobody.router, token: token}
	for _, c := range []*inquirer{nobody, player} {
		c.ask("DELETE", "rooms/"+room, "", 401, nil)
		c.ask("GET", "sessions", "", 401, nil)
	}
}

// TestAPIWhereAllMustSignIn: a session's token counts, if somebody was signed in.
func TestAPIWhereAllMustSignIn(t *testing.T) {
	d := start(t, func(cfg *Config) {
		withAdmin(cfg)
		cfg.SignIn.Method, cfg.SignIn.Password = "password", "for players"
	})
	_, _, _, token := playing(t, d)
	admin, nobody := d.inquirers()
	var me api.Me
	nobody.ask("GET", "me", "", 200, &me)
	if !me.Required || me.User != nil {
		t.Errorf("%+v", me)
	}
	admin.ask("GET", "me", "", 200, &me)
	if me.User == nil || me.User.Role != signal.RoleAdmin {
		t.Errorf("%+v", me)
	}
	player := &inquirer{d: d, router: nobody.router, token: token}
	for _, path := range []string{"games", "zones", "rooms"} {
		admin.ask("GET", path, "", 200, nil)
		nobody.ask("GET", path, "", 401, nil)
		player.ask("GET", path, "", 401, nil)
	}
	player.token = signal.MintToken(secret, signal.Session{
		ID: signal.NewID(), User: &signal.User{ID: "una", Name: "Una", Role: signal.RolePlayer}, Expires: time.Now().Add(time.Hour).Unix(),
	})
	for _, path := range []string{"games", "zones", "rooms"} {
		player.ask("GET", path, "", 200, nil)
	}
}

// TestAPIIsLimitedByAddress: one who asks without end does not keep others waiting.
func TestAPIIsLimitedByAddress(t *testing.T) {
	d := start(t, func(cfg *Config) { cfg.Limits.RequestsPerMinute = 5 })
	var codes []int
	for range 6 {
		request, err := http.NewRequest(http.MethodGet, d.url("http", api.Prefix+"health"), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Close, request.Header = true, from("203.0.113.1")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		codes = append(codes, response.StatusCode)
	}
	if !slices.Equal(codes, []int{200, 200, 200, 200, 200, 429}) {
		t.Errorf("%v", codes)
	}
	if d.Stats().Refused["requests"] != 1 {
		t.Error("not counted")
	}
	response := (&inquirer{d: d}).send(http.MethodGet, "/", "")
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("the page is answered with %d", response.StatusCode)
	}
}

// TestPagesAreReadOnly: what is not of the API is only read.
func TestPagesAreReadOnly(t *testing.T) {
	d := start(t, nil)
	c := &inquirer{d: d}
	for _, path := range []string{"/", "/play/pong", "/ws", "/api/games", "/api"} {
		response := c.send(http.MethodPost, path, "{}")
		response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: status %d", path, response.StatusCode)
		}
	}
}
