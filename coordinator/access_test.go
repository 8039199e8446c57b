package coordinator

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// journal is a log that is read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// accessLine is one line of the access log.
type accessLine struct {
	Msg, Method, Path, From, User string
	Status                        int
	Bytes                         int64
	Duration                      time.Duration
}

// requests are the lines of requests.
func (j *journal) requests(t *testing.T) []accessLine {
	t.Helper()
	var lines []accessLine
	for text := range strings.Lines(j.String()) {
		var line accessLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if line.Msg == "request" {
			lines = append(lines, line)
		}
	}
	return lines
}

// logging starts a coordinator with an access log of everything.
func logging(t *testing.T, change func(*Config)) (*door, *journal) {
	t.Helper()
	j := &journal{}
	return start(t, func(cfg *Config) {
		cfg.AccessLog = true
		cfg.Logger = slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
		if change != nil {
			change(cfg)
		}
	}), j
}

func TestAccessLog(t *testing.T) {
	d, j := logging(t, func(cfg *Config) { cfg.SignIn.AdminPassword = "for admins only" })
	room := signal.NewID()
	body := strings.NewReader(`{"password":"for admins only"}`)
	request, err := http.NewRequest(http.MethodPost, d.url("http", "/auth/login"), body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if len(response.Cookies()) == 0 {
		t.Fatalf("status %d, no cookie", response.StatusCode)
	}
	cookie := response.Cookies()[0]
	for _, path := range []string{"/", "/nothing", "/api/v1/rooms/" + room} {
		request, err := http.NewRequest(http.MethodGet, d.url("http", path), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.AddCookie(cookie)
		request.Header.Set("X-Forwarded-For", "203.0.113.7")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	want := []accessLine{
		{Method: "POST", Path: "/auth/login", Status: 204, From: "127.0.0.1"},
		{Method: "GET", Path: "/", Status: 200, From: "203.0.113.7/32"},
		{Method: "GET", Path: "/nothing", Status: 404, From: "203.0.113.7/32"},
		{Method: "GET", Path: "/api/v1/rooms/" + room, Status: 404, From: "203.0.113.7/32"},
	}
	until(t, "four lines", func() bool { return len(j.requests(t)) == len(want) })
	for i, line := range j.requests(t) {
		if w := want[i]; line.Method != w.Method || line.Path != w.Path || line.From != w.From || i > 0 && (line.Status != w.Status || line.User == "" || line.Bytes == 0) || line.Duration <= 0 {
			t.Errorf("line %+v, want %+v", line, w)
		}
	}
}

// TestAccessLogOfASocket: one line, when it has ended.
func TestAccessLogOfASocket(t *testing.T) {
	d, j := logging(t, nil)
	p := d.dial("/ws", nil)
	p.next(signal.TypeHello)
	if lines := j.requests(t); len(lines) > 0 {
		t.Errorf("logged while it lasts: %+v", lines)
	}
	p.close()
	until(t, "a line", func() bool { return len(j.requests(t)) == 1 })
	if line := j.requests(t)[0]; line.Path != "/ws" || line.Status != 101 || line.Bytes < 100 {
		t.Errorf("%+v", line)
	}
}

// TestSecretsAreNotLogged: neither by the access log nor by anything else, at
// any level.
func TestSecretsAreNotLogged(t *testing.T) {
	d, j := logging(t, func(cfg *Config) {
		cfg.SignIn.Method, cfg.SignIn.Password, cfg.SignIn.AdminPassword = "password", "hidden-password", "hidden-for-admins"
	})
	room := signal.NewID()
	token := signal.MintToken(secret, signal.Session{ID: signal.NewID(), Worker: "w", Room: room, Expires: time.Now().Add(time.Hour).Unix()})
	invite := signal.MintInvite(signal.InviteKey(secret, room), signal.Invitation{ID: signal.NewID(), Room: room, Expires: time.Now().Add(time.Hour)})
	const code = "hidden-code-of-oidc"
	for _, r := range []struct{ method, path, body string }{
		{"GET", "/room/" + room + "?invite=" + invite, ""},
		{"GET", "/room/" + room + "%23invite=" + invite, ""}, // pasted by somebody's mail program
		{"GET", "/room/" + invite, ""},
		{"GET", "/auth/callback?state=" + code + "&code=" + code, ""},
		{"POST", "/auth/callback", `{"state":"` + code + `","code":"` + code + `"}`},
		{"POST", "/auth/login", `{"password":"hidden-password"}`},
		{"POST", "/auth/login", `{"password":"hidden-passwort"}`},
		{"GET", "/api/v1/rooms/" + room + "?token=" + token, ""},
		{"GET", "/api/v1/rooms/" + token, ""},
		{"GET", "/" + strings.Repeat(code, 40), ""},
	} {
		request, err := http.NewRequest(r.method, d.url("http", r.path), strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Cookie", "cloudretro="+code)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range response.Cookies() {
			if c.Value != "" && strings.Contains(j.String(), c.Value) {
				t.Error("a cookie is logged")
			}
		}
		response.Body.Close()
	}
	until(t, "ten lines", func() bool { return len(j.requests(t)) >= 10 })
	mac := func(s string) string { return s[strings.LastIndexByte(s, '.')+1:] }
	for _, hidden := range []string{token, invite, mac(token), mac(invite), code, "hidden-passwor", "hidden-for-admins"} {
		if strings.Contains(j.String(), hidden) {
			t.Errorf("%q is logged:\n%s", hidden, j)
		}
	}
}

func TestLoggedPath(t *testing.T) {
	for path, want := range map[string]string{
		"/":                              "/",
		"/play/pong":                     "/play/pong",
		"/app/main.js":                   "/app/main.js",
		"/room/Up":                       "/room/*",
		"/a b/\x00":                      "/*/*",
		"/" + strings.Repeat("a", 65):    "/*",
		"/" + strings.Repeat("a/", 1000): "/" + strings.Repeat("a/", 79) + "a",
		"":                               "",
	} {
		if got := loggedPath(path); got != want {
			t.Errorf("loggedPath(%q) = %q, want %q", path, got, want)
		}
	}
}
