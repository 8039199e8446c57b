package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Rooms and sessions of the fake house. roomA is the room of tokenA's session.
const (
	roomA, roomB       = "aaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbb"
	roomGone           = "zzzzzzzzzzzzzzzzzzzzzzzzzz"
	tokenA, tokenGuest = "token-a", "token-guest"
)

// fakeHouse is everything an API asks.
type fakeHouse struct {
	roomList   []Room
	workerList []Worker
	sessions   []Session
	zoneList   []Zone
	silent     []string
	user       *signal.User // by cookie
	required   bool
	full       bool  // the address has asked too often
	stopping   error // why it is not ready
	err        error // of what a worker is asked for
	games      string

	ended   signal.End
	asked   string // worker
	drained signal.Drain
	invited signal.Invite
	revoked signal.Revoke
	refused []string
}

func newHouse() *fakeHouse {
	return &fakeHouse{
		roomList: []Room{
			{ID: roomA, Game: "pong", Title: "Pong", System: "nes", Worker: "w1", Players: 1, Viewers: 2, Seats: 2, Since: "2026-01-02T03:04:05Z"},
			{ID: roomB, Game: "pong", Title: "pong", Worker: "w2", Players: 2, Seats: 2, Closed: true},
		},
		workerList: []Worker{
			{ID: "w1", Name: "one", Zone: "eu", Since: "2026-01-02T03:04:05Z", State: signal.StateReady, Places: 4, Free: 3, Rooms: 1, Sessions: 3, Games: 10, Late: 2},
			{ID: "w2", Name: "two", Since: "2026-01-02T03:04:05Z", State: signal.StateDraining, Places: 4, Free: 3, Rooms: 1},
		},
		sessions: []Session{
			{ID: "s2", Worker: "w1", Room: roomA, Game: "pong", Since: "2026-01-02T03:04:05Z"},
			{ID: "s1", Worker: "w1", Room: roomA, Game: "pong", Player: 1, Hosting: true, User: &User{"u1", "Una", signal.RolePlayer}, Since: "2026-01-02T03:04:05Z"},
		},
		zoneList: []Zone{{Name: "eu", Probe: "https://eu.example.org/echo"}, {Name: "us"}},
		games:    `[{"id":"pong","title":"Pong","system":"nes","players":2},{"id":"x","title":"X","system":"gb"}]`,
	}
}

func (h *fakeHouse) Zones() []Zone     { return h.zoneList }
func (h *fakeHouse) Rooms() []Room     { return h.roomList }
func (h *fakeHouse) Workers() []Worker { return h.workerList }
func (h *fakeHouse) Totals() Totals {
	return Totals{Workers: 2, Rooms: 2, Players: 3, Viewers: 2, Waiting: 4}
}

func (h *fakeHouse) Room(id string) (Room, bool) {
	for _, r := range h.roomList {
		if r.ID == id {
			return r, true
		}
	}
	return Room{}, false
}

func (h *fakeHouse) Sessions(_ context.Context, worker string) ([]Session, []string, error) {
	h.asked = worker
	return append([]Session(nil), h.sessions...), h.silent, h.err
}

func (h *fakeHouse) End(_ context.Context, worker string, end signal.End) error {
	h.asked, h.ended = worker, end
	return h.err
}

func (h *fakeHouse) Drain(worker string, d signal.Drain) error {
	h.asked, h.drained = worker, d
	return h.err
}

func (h *fakeHouse) Invite(_ context.Context, i signal.Invite) (signal.Invited, error) {
	h.invited = i
	return signal.Invited{ID: "i1", Token: "i1.secret", Expires: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Unix()}, h.err
}

func (h *fakeHouse) Revoke(_ context.Context, r signal.Revoke) error {
	h.revoked = r
	return h.err
}

func (h *fakeHouse) User(*http.Request) *signal.User { return h.user }
func (h *fakeHouse) Required() bool                  { return h.required }

func (h *fakeHouse) Session(token string) (signal.Session, error) {
	switch token {
	case tokenA:
		return signal.Session{ID: "s1", Worker: "w1", Room: roomA}, nil
	case tokenGuest:
		return signal.Session{ID: "s9", User: &signal.User{ID: "u9", Name: "Nina", Role: signal.RoleAdmin}}, nil
	}
	return signal.Session{}, errors.New("the session token is not one of ours")
}

// serve is an API over the house.
func (h *fakeHouse) serve() *API {
	return New(Config{
		Coordinator: "c1", Directory: h, Lobby: h, Operator: h, Hosts: h, Gatekeeper: h,
		Games: func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			if r.Header.Get("If-None-Match") != "" {
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = io.WriteString(rw, h.games)
		},
		Allow:   func(*http.Request) bool { return !h.full },
		Ready:   func() error { return h.stopping },
		Refused: func(cause string) { h.refused = append(h.refused, cause) },
	})
}

// asAdmin has an admin's cookie come with each request.
func (h *fakeHouse) asAdmin() *fakeHouse {
	h.user = &signal.User{ID: "root", Name: "Root", Role: signal.RoleAdmin}
	return h
}

// asPlayer has a player's cookie come with each request.
func (h *fakeHouse) asPlayer() *fakeHouse {
	h.user = &signal.User{ID: "u1", Name: "Una", Role: signal.RolePlayer}
	return h
}

// request is one, with headers as "Name: value" and a body of JSON unless a
// header says otherwise.
func request(method, path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, Prefix+strings.TrimPrefix(path, "/"), strings.NewReader(body))
	if body == "" {
		r.Body = http.NoBody
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return r
}

// bearer is the header of a token.
func bearer(token string) string { return "Authorization: Bearer " + token }

func do(h *fakeHouse, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	h.serve().ServeHTTP(rec, r)
	return rec
}

func wantStatus(t *testing.T, rec *httptest.ResponseRecorder, status int, says string) {
	t.Helper()
	if rec.Code != status || !strings.Contains(rec.Body.String(), says) {
		t.Errorf("status %d, body %s; want %d and %q", rec.Code, rec.Body, status, says)
	}
}
