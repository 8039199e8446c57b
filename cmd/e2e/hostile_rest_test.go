package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// ask sends a request and answers its status and body.
func ask(t *testing.T, m *Member, method, path, body string, header http.Header) (status int, said string, response *http.Response) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, m.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err = http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	data, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, string(data), response
}

// operator is who has signed in as one.
func operator(t *testing.T, m *Member) http.Header {
	t.Helper()
	status, said, response := ask(t, m, "POST", "/auth/login", `{"password":"`+wordOfOperators+`"}`, nil)
	if status != http.StatusOK || len(response.Cookies()) == 0 {
		t.Fatalf("sign in: %d %s", status, said)
	}
	c := response.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
		t.Errorf("the cookie is %+v", c)
	}
	return http.Header{"Cookie": {c.Name + "=" + c.Value}}
}

// invited is an invitation that an operator has made.
func (s *siege) invited(t *testing.T, admin http.Header, wish string) (id, token string) {
	t.Helper()
	status, said, _ := ask(t, s.Coordinators[0], "POST", "/api/v1/rooms/"+s.room+"/invitations", wish, admin)
	var made struct{ ID, Token string }
	if err := json.Unmarshal([]byte(said), &made); err != nil || status != http.StatusCreated {
		t.Fatalf("invite: %d %s", status, said)
	}
	return made.ID, made.Token
}

// invitations are forged, expired, of another room, revoked and used twice.
func (s *siege) invitations(t *testing.T) {
	admin := operator(t, s.Coordinators[0])
	mint := func(secret string, i signal.Invitation) string {
		i.ID = signal.NewID()
		if i.Room == "" {
			i.Room = s.room
		}
		if i.Expires.IsZero() {
			i.Expires = time.Now().Add(time.Hour)
		}
		return signal.MintInvite(signal.InviteKey(secret, i.Room), i)
	}
	revoked, token := s.invited(t, admin, `{"watch":true}`)
	if status, said, _ := ask(t, s.Coordinators[1], "DELETE", "/api/v1/rooms/"+s.room+"/invitations/"+revoked, "", operator(t, s.Coordinators[1])); status != 204 {
		t.Fatalf("revoke at the other: %d %s", status, said)
	}
	good := mint(fleetSecret, signal.Invitation{})
	session := signal.MintToken(fleetSecret, signal.Session{ID: signal.NewID(), Room: s.room, Expires: time.Now().Add(time.Hour).Unix()})
	for name, test := range map[string]struct {
		token string
		code  signal.Code
	}{
		"none":                    {"", signal.CodeInvite},
		"forged":                  {mint("the secret of somebody else's site", signal.Invitation{}), signal.CodeDenied},
		"for player 1, not 2":     {strings.Replace(mint(fleetSecret, signal.Invitation{Player: 1}), ".1.p.", ".2.p.", 1), signal.CodeDenied},
		"cut":                     {good[:len(good)-1], signal.CodeDenied},
		"a session token":         {session, signal.CodeDenied},
		"of another room":         {mint(fleetSecret, signal.Invitation{Room: strings.Repeat("a", 26)}), signal.CodeDenied},
		"expired":                 {mint(fleetSecret, signal.Invitation{Expires: time.Now().Add(-time.Hour)}), signal.CodeExpired},
		"revoked":                 {token, signal.CodeRevoked},
		"signed, but not made":    {good, signal.CodeRevoked},
		"signed, until year 9999": {mint(fleetSecret, signal.Invitation{Expires: time.Unix(253402300799, 0)}), signal.CodeRevoked},
	} {
		for _, m := range s.Coordinators {
			counted(t, m, string(test.code), 1, func() {
				ws := knock(t, m, "/ws", nil)
				ws.say(signal.TypeJoin, "q", signal.Join{Room: s.room, SDP: s.sdp, Invite: test.token})
				ws.denied(name, "q", test.code)
			})
		}
	}
	// One person's, by two at both coordinators at the same moment.
	_, single := s.invited(t, admin, `{"watch":true,"single":true}`)
	sockets := [2]*stranger{knock(t, s.Coordinators[0], "/ws", nil), knock(t, s.Coordinators[1], "/ws", nil)}
	var heard [2]signal.Envelope
	before := s.Coordinators[0].refused("used") + s.Coordinators[1].refused("used")
	both(func(i int) {
		sockets[i].say(signal.TypeJoin, "q", signal.Join{Room: s.room, SDP: s.sdp, Invite: single})
		heard[i], _ = sockets[i].hears(signal.TypeAnswer, signal.TypeError)
	})
	in := 0
	for _, e := range heard {
		if e.Type == signal.TypeAnswer {
			in++
		}
	}
	if in != 1 || !strings.Contains(string(heard[0].Data)+string(heard[1].Data), `"used"`) {
		t.Errorf("%d came in by an invitation for one: %s, %s", in, heard[0].Type, heard[1].Type)
	}
	counts := func() bool { return s.Coordinators[0].refused("used")+s.Coordinators[1].refused("used") == before+1 }
	if err := await(counts, patience); err != nil {
		t.Error("the second is not counted")
	}
}

// raw sends bytes and answers the status of what comes back, 0 for nothing.
func raw(t *testing.T, m *Member, request string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address(m))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, request) // it may be refused before its end
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// requests are what no browser would send, to paths that lead elsewhere.
func (s *siege) requests(t *testing.T) {
	m := s.Coordinators[1]
	get := func(target string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	}
	for name, test := range map[string]struct {
		request, cause string
		status         []int
	}{
		"dots":              {get("/app/../../etc/passwd"), "path", []int{404}},
		"dots, escaped":     {get("/%2e%2e/%2e%2e/etc/passwd"), "path", []int{404}},
		"slash, escaped":    {get("/..%2f..%2fetc/passwd"), "path", []int{404}},
		"two slashes":       {get("//evil.example.org/app/main.js"), "path", []int{404}},
		"NUL":               {get("/app/main.js%00.css"), "path", []int{404}},
		"backslash":         {get(`/app\main.js`), "path", []int{404}},
		"backslash escaped": {get("/..%5c..%5cx"), "path", []int{404}},
		"line break":        {get("/x%0d%0aSet-Cookie:%20a=b"), "path", []int{404}},
		"no UTF-8":          {get("/%ff%fe"), "path", []int{404}},
		"100 KB":            {get("/" + strings.Repeat("a", 100<<10)), "bad-request", []int{431, 0}},
		"20 KB":             {get("/" + strings.Repeat("a", 20<<10)), "path", []int{404}},
		"another's address": {get("http://evil.example.org/../x"), "path", []int{404}},
		"CONNECT":           {"CONNECT evil.example.org:443 HTTP/1.1\r\nHost: evil.example.org:443\r\nConnection: close\r\n\r\n", "path", []int{404}},
		"TRACE":             {"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "method", []int{405}},
		"an asterisk":       {"OPTIONS /app/main.js HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "method", []int{405}},
		"unknown method":    {"DANCE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "method", []int{405}},
		"Host with a space": {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "bad-request", []int{400}},
		"two Hosts":         {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "bad-request", []int{400}},
		"no HTTP":           {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "bad-request", []int{400}},
		"many headers":      {"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 20_000) + "\r\n", "bad-request", []int{431, 0}},
		"two lengths":       {"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "bad-request", []int{400}},
		"a smuggled one":    {"POST /auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", "bad-request", []int{501, 400}},
	} {
		counted(t, m, test.cause, 1, func() {
			if status := raw(t, m, test.request); !slices.Contains(test.status, status) {
				t.Errorf("%s: %d, want %v", name, status, test.status)
			}
		})
	}
	for _, host := range []string{"evil.example.org", "a'; script-src *", "[::1", strings.Repeat("a", 300)} {
		conn, err := net.Dial("tcp", address(m))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		data, _ := io.ReadAll(conn)
		_ = conn.Close()
		if head, _, _ := strings.Cut(string(data), "\r\n\r\n"); strings.Contains(head, "script-src *") || strings.Contains(head, "\nLocation:") {
			t.Errorf("Host %.40q: %s", host, head)
		}
	}
}

// rest asks the API for what it does not give.
func (s *siege) rest(t *testing.T) {
	m := s.Coordinators[0]
	admin := operator(t, m)
	with := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	bearer := func(secret, room string) http.Header {
		token := signal.MintToken(secret, signal.Session{
			ID: signal.NewID(), Room: room, Expires: time.Now().Add(time.Hour).Unix(),
			User: &signal.User{ID: "mallory", Name: "Mallory", Role: signal.RoleAdmin},
		})
		return with("Authorization", "Bearer "+token)
	}
	crossed := func(pairs ...string) http.Header {
		h := admin.Clone()
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	room, invitations := "/api/v1/rooms/"+s.room, "/api/v1/rooms/"+s.room+"/invitations"
	for name, test := range map[string]struct {
		method, path, body string
		header             http.Header
		status             int
		cause              string
	}{
		"evict as nobody":           {"DELETE", room, "", nil, 401, "sign-in"},
		"evict by a session":        {"DELETE", room, "", bearer(fleetSecret, s.room), 401, "sign-in"},
		"evict from another site":   {"DELETE", room, "", crossed("Sec-Fetch-Site", "cross-site"), 403, "cross-site"},
		"drain from another origin": {"POST", "/api/v1/workers/w/drain", "{}", crossed("Origin", "https://evil.example.org"), 403, "cross-site"},
		"sign in from another site": {"POST", "/auth/login", "{}", with("Sec-Fetch-Site", "cross-site"), 403, "cross-site"},
		"a form":                    {"POST", "/auth/login", "password=x", with("Content-Type", "text/plain"), 415, "bad-request"},
		"a wrong password":          {"POST", "/auth/login", `{"password":"password"}`, nil, 401, "password"},
		"a forged cookie":           {"GET", "/api/v1/workers", "", with("Cookie", "cloudretro=AAAA"), 401, "token"},
		"a cookie that was changed": {"GET", "/api/v1/sessions", "", with("Cookie", admin.Get("Cookie")+"x"), 401, "token"},
		"invite as nobody":          {"POST", invitations, "{}", nil, 401, "denied"},
		"invite by a forged token":  {"POST", invitations, "{}", bearer("somebody else's secret", s.room), 401, "denied"},
		"invite into another's":     {"POST", invitations, "{}", bearer(fleetSecret, strings.Repeat("a", 26)), 404, "not-found"},
		"invite as a guest":         {"POST", invitations, "{}", bearer(fleetSecret, s.room), 403, "not-host"},
		"revoke as a guest":         {"DELETE", invitations + "/x", "", bearer(fleetSecret, s.room), 403, "not-host"},
		"see another's":             {"GET", room, "", bearer(fleetSecret, strings.Repeat("a", 26)), 404, "not-found"},
		"no bearer":                 {"GET", room, "", with("Authorization", "Basic eDp5"), 401, "denied"},
		"1 MB":                      {"POST", invitations, `{"x":"` + strings.Repeat("x", 1<<20) + `"}`, admin, 413, "too-large"},
		"unknown fields":            {"POST", invitations, `{"admin":true}`, admin, 400, "bad-request"},
		"two of them":               {"POST", invitations, `{}{}`, admin, 400, "bad-request"},
		"deep":                      {"POST", invitations, strings.Repeat("[", 4000), admin, 400, "bad-request"},
		"a week and more":           {"POST", invitations, `{"seconds":9999999}`, admin, 400, "bad-request"},
		"player 99":                 {"POST", invitations, `{"player":99}`, admin, 400, "bad-request"},
		"no such worker":            {"POST", "/api/v1/workers/../drain", "{}", admin, 404, "path"},
		"no such method":            {"PATCH", room, "", admin, 405, "method"},
		"a limit":                   {"GET", "/api/v1/rooms?limit=1e9", "", admin, 400, "bad-request"},
		"a reason":                  {"DELETE", "/api/v1/sessions/x?reason=%0a", "", admin, 400, "bad-request"},
	} {
		counted(t, m, test.cause, 1, func() {
			if status, said, _ := ask(t, m, test.method, test.path, test.body, test.header); status != test.status {
				t.Errorf("%s: %d %.200s, want %d", name, status, said, test.status)
			}
		})
	}
	if rooms, err := API[struct{ Rooms []any }](m, "/rooms"); err != nil || len(rooms.Rooms) != 0 {
		t.Errorf("strangers are told of rooms: %v, %v", rooms, err)
	}
	// The metrics and logs have no secrets.
	text := m.Metrics() + s.Log()
	for _, word := range []string{fleetSecret, wordOfOperators, strings.SplitN(admin.Get("Cookie"), "=", 2)[1]} {
		if strings.Contains(text, word) {
			t.Errorf("%.12s... is logged", word)
		}
	}
}
