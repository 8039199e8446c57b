package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func decode[T any](t *testing.T, rec *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("status %d, %v: %s", rec.Code, err, rec.Body)
	}
	return v
}

func TestUnknownPathsAndMethods(t *testing.T) {
	for _, tt := range []struct {
		method, path string
		status       int
		says, allow  string
	}{
		{"GET", "/nothing", 404, "not-found", ""},
		{"GET", "/", 404, "openapi.json", ""},
		{"GET", "/rooms/" + roomA + "/else", 404, "not-found", ""},
		{"PUT", "/rooms", 405, "method", "GET"},
		{"POST", "/rooms/" + roomA, 405, "method", "DELETE, GET"},
		{"OPTIONS", "/workers", 405, "method", "GET"},
		{"GET", "/workers/w1/drain", 405, "method", "POST"},
	} {
		rec := do(newHouse(), request(tt.method, tt.path, ""))
		wantStatus(t, rec, tt.status, tt.says)
		if got := rec.Header().Get("Allow"); got != tt.allow {
			t.Errorf("%s %s: Allow %q, want %q", tt.method, tt.path, got, tt.allow)
		}
		if e := decode[Error](t, rec); e.Code == "" || e.Message == "" {
			t.Errorf("%s %s: %+v", tt.method, tt.path, e)
		}
	}
}

// TestGamesAreAlikeAtBothPaths: the older one is not in the document.
func TestGamesAreAlikeAtBothPaths(t *testing.T) {
	for _, h := range []*fakeHouse{newHouse(), required(newHouse()), required(newHouse().asPlayer())} {
		old := httptest.NewRequest(http.MethodGet, Games, nil)
		a, b := do(h, old), do(h, request("GET", "/games", ""))
		if a.Code != b.Code || a.Body.String() != b.Body.String() || !reflect.DeepEqual(a.Header(), b.Header()) {
			t.Errorf("%d %v %s, but %d %v %s", a.Code, a.Header(), a.Body, b.Code, b.Header(), b.Body)
		}
		if private := strings.HasPrefix(a.Header().Get("Cache-Control"), "private"); a.Code == 200 && private != h.required {
			t.Errorf("Cache-Control %q", a.Header().Get("Cache-Control"))
		}
	}
	wantStatus(t, do(newHouse(), httptest.NewRequest(http.MethodPost, Games, nil)), 405, "method")
}

func TestHeadHasNoBody(t *testing.T) {
	for _, path := range []string{"/health", "/rooms", "/openapi.json", "/workers"} {
		rec := do(newHouse(), request("HEAD", path, ""))
		if rec.Body.Len() > 0 || rec.Code != 200 && path != "/workers" {
			t.Errorf("HEAD %s: status %d, %d bytes", path, rec.Code, rec.Body.Len())
		}
	}
}

// TestHealthElsewhere: pages whose coordinator died look for another one.
func TestHealthElsewhere(t *testing.T) {
	for _, path := range []string{"/health", "/rooms", "/me", "/zones"} {
		r := request("GET", path, "")
		r.Header.Set("Origin", "https://a.example.org")
		got, want := do(newHouse(), r).Header().Get("Access-Control-Allow-Origin"), ""
		if path == "/health" {
			want = "*"
		}
		if got != want {
			t.Errorf("GET %s: Access-Control-Allow-Origin %q, want %q", path, got, want)
		}
	}
}

// TestCrossSite: another site's page has the cookie sent along by old browsers.
func TestCrossSite(t *testing.T) {
	changes := []*http.Request{
		request("DELETE", "/rooms/"+roomA, ""), request("DELETE", "/sessions/s1", ""), request("POST", "/workers/w1/drain", "{}"),
		request("POST", "/rooms/"+roomA+"/invitations", "{}"), request("DELETE", "/rooms/"+roomA+"/invitations/i1", ""),
	}
	for _, r := range changes {
		for _, headers := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
			h, crossed := newHouse().asAdmin(), r.Clone(t.Context())
			crossed.Header.Set(headers[0], headers[1])
			wantStatus(t, do(h, crossed), 403, "cross-site")
			if !slices.Equal(h.refused, []string{"cross-site"}) {
				t.Errorf("counted %v", h.refused)
			}
		}
		own := r.Clone(t.Context())
		own.Header.Set("Sec-Fetch-Site", "same-origin")
		if rec := do(newHouse().asAdmin(), own); rec.Code >= 400 {
			t.Errorf("%s %s of our own page: %d", own.Method, own.URL, rec.Code)
		}
	}
	read := request("GET", "/rooms", "", "Sec-Fetch-Site: cross-site")
	wantStatus(t, do(newHouse(), read), 200, "totals")
}

func TestRoomsThatTheCallerMaySee(t *testing.T) {
	totals := Totals{Workers: 2, Rooms: 2, Players: 3, Viewers: 2, Waiting: 4}
	for _, tt := range []struct {
		name  string
		house *fakeHouse
		req   *http.Request
		want  []string
	}{
		{"nobody", newHouse(), request("GET", "/rooms", ""), nil},
		{"player elsewhere", newHouse().asPlayer(), request("GET", "/rooms", "", bearer(tokenGuest)), nil},
		{"player in a room", newHouse(), request("GET", "/rooms", "", bearer(tokenA)), []string{roomA + " "}},
		{"player in a room, further on", newHouse(), request("GET", "/rooms?after="+roomB, "", bearer(tokenA)), nil},
		{"admin", newHouse().asAdmin(), request("GET", "/rooms", ""), []string{roomA + " w1", roomB + " w2"}},
		{"admin in a room", newHouse().asAdmin(), request("GET", "/rooms", "", bearer(tokenA)), []string{roomA + " w1", roomB + " w2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := decode[Rooms](t, do(tt.house, tt.req))
			var got []string
			for _, r := range list.Rooms {
				got = append(got, r.ID+" "+r.Worker)
			}
			if !slices.Equal(got, tt.want) || list.Totals != totals {
				t.Errorf("%v, totals %+v; want %v", got, list.Totals, tt.want)
			}
		})
	}
}

func TestOneRoom(t *testing.T) {
	wantStatus(t, do(newHouse(), request("GET", "/rooms/"+roomA, "")), 404, "not-found")
	wantStatus(t, do(newHouse().asAdmin(), request("GET", "/rooms/"+roomGone, "")), 404, "not-found")
	wantStatus(t, do(newHouse().asAdmin(), request("GET", "/rooms/..%2f..", "")), 404, "not-found")
	if r := decode[Room](t, do(newHouse(), request("GET", "/rooms/"+roomA, "", bearer(tokenA)))); r.ID != roomA || r.Worker != "" || r.Viewers != 2 {
		t.Errorf("%+v", r)
	}
}

// TestSignInRequired: where players must sign in, a session's token says who
// has, as on another address of the site, where there is no cookie.
func TestSignInRequired(t *testing.T) {
	for _, path := range []string{"/games", "/zones", "/rooms", "/rooms/" + roomA} {
		wantStatus(t, do(required(newHouse()), request("GET", path, "")), 401, "sign-in")
		wantStatus(t, do(required(newHouse()), request("GET", path, "", bearer(tokenA))), 401, "sign-in") // of nobody
		if rec := do(required(newHouse()), request("GET", path, "", bearer(tokenGuest))); rec.Code == 401 {
			t.Errorf("%s with the token of a user: %s", path, rec.Body)
		}
		if rec := do(required(newHouse().asPlayer()), request("GET", path, "")); rec.Code == 401 {
			t.Errorf("%s with a cookie: %s", path, rec.Body)
		}
	}
	me := decode[Me](t, do(required(newHouse()), request("GET", "/me", "", bearer("forged"))))
	if me.User != nil || !me.Required {
		t.Errorf("%+v", me)
	}
	me = decode[Me](t, do(newHouse().asPlayer(), request("GET", "/me", "")))
	if !reflect.DeepEqual(me, Me{User: &User{"u1", "Una", "player"}}) {
		t.Errorf("%+v", me)
	}
}

// TestTokensMakeNoAdmins: scripts of the page can read them.
func TestTokensMakeNoAdmins(t *testing.T) {
	for _, r := range []*http.Request{
		request("GET", "/workers", "", bearer(tokenGuest)), request("GET", "/sessions", "", bearer(tokenGuest)),
		request("DELETE", "/rooms/"+roomA, "", bearer(tokenGuest)), request("DELETE", "/sessions/s1", "", bearer(tokenGuest)),
		request("POST", "/workers/w1/drain", "", bearer(tokenGuest)),
	} {
		h := newHouse()
		wantStatus(t, do(h, r), 401, "sign-in")
		if h.asked != "" || h.ended != (signal.End{}) {
			t.Errorf("%s %s: a worker was asked", r.Method, r.URL)
		}
	}
	if rec := do(newHouse().asPlayer(), request("GET", "/sessions", "", bearer(tokenGuest))); rec.Code != 403 {
		t.Errorf("status %d", rec.Code)
	}
}

func TestAuthorizationOfOtherKinds(t *testing.T) {
	for _, header := range []string{"Basic dTpw", "Bearer", "Bearer ", tokenA} {
		rec := do(newHouse(), request("GET", "/rooms", "", "Authorization: "+header))
		wantStatus(t, rec, 401, "denied")
		if rec.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("WWW-Authenticate %q", rec.Header().Get("WWW-Authenticate"))
		}
	}
	wantStatus(t, do(newHouse(), request("GET", "/rooms", "", "Authorization: bearer "+tokenA)), 200, roomA)
}

func TestInvitations(t *testing.T) {
	h := newHouse()
	made := decode[Invitation](t, do(h, request("POST", "/rooms/"+roomA+"/invitations", `{"watch":true,"single":true,"seconds":60}`, bearer(tokenA))))
	want := Invitation{ID: "i1", Token: "i1.secret", Path: "/room/" + roomA + "#invite=i1.secret", Expires: "2026-01-02T03:04:05Z"}
	if made != want || h.invited != (signal.Invite{Room: roomA, Session: "s1", Watch: true, Single: true, Seconds: 60}) {
		t.Errorf("%+v, asked for %+v", made, h.invited)
	}
	do(h.asAdmin(), request("POST", "/rooms/"+roomB+"/invitations", ""))
	if h.invited != (signal.Invite{Room: roomB}) {
		t.Errorf("an admin asked for %+v", h.invited)
	}
	h = newHouse()
	do(h, request("DELETE", "/rooms/"+roomA+"/invitations/i1", "", bearer(tokenA)))
	if h.revoked != (signal.Revoke{Room: roomA, Session: "s1", ID: "i1"}) {
		t.Errorf("revoked %+v", h.revoked)
	}
	wantStatus(t, do(newHouse(), request("DELETE", "/rooms/"+roomA+"/invitations/NO", "", bearer(tokenA))), 404, "not-found")
	wantStatus(t, do(newHouse(), request("POST", "/rooms/nonsense/invitations", "{}", bearer(tokenA))), 404, "not-found")
	for _, body := range []string{`{"player":1,"watch":true}`, `{"seconds":-1}`, `{"room":"x"}`, `{} {}`, `[]`, `{"player":"1"}`, `{`} {
		wantStatus(t, do(newHouse(), request("POST", "/rooms/"+roomA+"/invitations", body, bearer(tokenA))), 400, "bad-request")
	}
}

func TestOperating(t *testing.T) {
	h := newHouse().asAdmin()
	wantStatus(t, do(h, request("POST", "/workers/w1/drain", `{"off":true}`)), 202, "")
	if h.asked != "w1" || !h.drained.Off {
		t.Errorf("%s was told %+v", h.asked, h.drained)
	}
	wantStatus(t, do(h, request("POST", "/workers/w2/drain", "")), 202, "")
	if h.asked != "w2" || h.drained.Off {
		t.Errorf("%s was told %+v", h.asked, h.drained)
	}
	wantStatus(t, do(h, request("DELETE", "/rooms/"+roomA, "")), 204, "")
	if h.ended.Room != roomA || h.ended.Session != "" || h.ended.Reason == "" {
		t.Errorf("ended %+v", h.ended)
	}
	wantStatus(t, do(h, request("DELETE", "/rooms/"+roomA+"?reason=back+at+nine", "")), 204, "")
	if h.ended.Reason != "an operator has closed the room: back at nine" {
		t.Errorf("ended %+v", h.ended)
	}
	for _, reason := range []string{strings.Repeat("x", signal.MaxText), "%00", "%0a", "%ff"} {
		h.ended = signal.End{}
		wantStatus(t, do(h, request("DELETE", "/rooms/"+roomA+"?reason="+reason, "")), 400, "reason")
		wantStatus(t, do(h, request("DELETE", "/sessions/s1?reason="+reason, "")), 400, "reason")
		if h.ended != (signal.End{}) {
			t.Errorf("ended %+v", h.ended)
		}
	}
	wantStatus(t, do(h, request("DELETE", "/sessions/s1?worker=w1", "")), 204, "")
	if h.asked != "w1" || h.ended.Session != "s1" || h.ended.Room != "" {
		t.Errorf("%s ended %+v", h.asked, h.ended)
	}
	for _, r := range []*http.Request{
		request("DELETE", "/rooms/nonsense", ""), request("DELETE", "/sessions/No", ""), request("POST", "/workers/No/drain", ""),
	} {
		wantStatus(t, do(h, r), 404, "not-found")
	}
}

func TestPages(t *testing.T) {
	h := newHouse().asAdmin()
	h.sessions = nil
	for i := range 250 {
		h.sessions = append(h.sessions, Session{ID: fmt.Sprintf("s%03d", 249-i)})
	}
	var all []string
	for after, rounds := "", 0; rounds < 10; rounds++ {
		list := decode[Sessions](t, do(h, request("GET", "/sessions?limit=99&after="+after, "")))
		for _, s := range list.Sessions {
			all = append(all, s.ID)
		}
		if after = list.Next; after == "" {
			break
		}
		if len(list.Sessions) != 99 {
			t.Fatalf("%d sessions of 99", len(list.Sessions))
		}
	}
	if len(all) != 250 || !slices.IsSorted(all) || len(slices.Compact(all)) != 250 {
		t.Errorf("%d sessions", len(all))
	}
	if n := len(decode[Sessions](t, do(h, request("GET", "/sessions", ""))).Sessions); n != defaultLimit {
		t.Errorf("%d sessions by default", n)
	}
	for _, query := range []string{"limit=1001", "limit=-1", "limit=x", "after=" + strings.Repeat("a", 65)} {
		wantStatus(t, do(h, request("GET", "/sessions?"+query, "")), 400, "bad-request")
	}
}

func TestEmptyListsAreLists(t *testing.T) {
	h := (&fakeHouse{}).asAdmin()
	for path, want := range map[string]string{"/zones": "[]", "/rooms": `"rooms":[]`, "/workers": `"workers":[]`, "/sessions": `"sessions":[]`} {
		wantStatus(t, do(h, request("GET", path, "")), 200, want)
	}
}

func TestStatuses(t *testing.T) {
	for code, status := range map[signal.Code]int{
		signal.CodeBadRequest: 400, signal.CodeVersion: 400, signal.CodeTooLarge: 413, signal.CodeNotFound: 404, signal.CodeSignIn: 401,
		signal.CodeDenied: 403, signal.CodeHost: 403, signal.CodeInvite: 403, signal.CodeRemoved: 403, signal.CodeExpired: 410,
		signal.CodeRevoked: 410, signal.CodeUsed: 410, signal.CodeFull: 409, signal.CodeDraining: 409, signal.CodeBusy: 409,
		signal.CodeNoWorker: 503, signal.CodeFailed: 502, "new": 502,
	} {
		h := failing(newHouse().asAdmin(), code)
		wantStatus(t, do(h, request("DELETE", "/rooms/"+roomA, "")), status, string(code))
		if !slices.Equal(h.refused, []string{string(code)}) {
			t.Errorf("counted %v", h.refused)
		}
	}
	h := newHouse().asAdmin()
	h.err = fmt.Errorf("of ours: %s", "secret detail")
	rec := do(h, request("DELETE", "/rooms/"+roomA, ""))
	wantStatus(t, rec, 500, "failed")
	if strings.Contains(rec.Body.String(), "secret detail") {
		t.Error("an error of ours is told to everybody")
	}
}

// FuzzRequests: whatever comes, the answer is JSON or empty, and never 500.
func FuzzRequests(f *testing.F) {
	for _, e := range examples() {
		f.Add(e.req.Method, e.req.URL.RequestURI(), e.req.Header.Get("Authorization"), "{}")
	}
	f.Fuzz(func(t *testing.T, method, target, token, body string) {
		r, err := http.NewRequest(method, "http://play.example.org", strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		if r.URL, err = r.URL.Parse(target); err != nil || !strings.HasPrefix(r.URL.Path, "/") {
			t.Skip()
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", token)
		rec := do(newHouse().asAdmin(), r)
		if rec.Code >= 500 || rec.Code >= 400 && !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%s %q: %d %s", method, target, rec.Code, rec.Body)
		}
	})
}
