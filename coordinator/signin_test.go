package coordinator

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/signin"
)

const (
	indexPage  = "<!doctype html><title>page</title>"
	signInPage = "<!doctype html><title>who are you</title>"
	adminPage  = "<!doctype html><title>buttons</title>"
)

// guarded is a door that asks for a password.
func guarded(t *testing.T, change func(*Config)) *door {
	t.Helper()
	return start(t, func(cfg *Config) {
		files := web()
		files["signin.html"], files["admin.html"] = &fstest.MapFile{Data: []byte(signInPage)}, &fstest.MapFile{Data: []byte(adminPage)}
		cfg.Web = files
		cfg.SignIn = signin.Config{Method: signin.MethodPassword, Password: "for players", AdminPassword: "for admins"}
		if change != nil {
			change(cfg)
		}
	})
}

// signIn is the header with the cookie of who knows a password.
func (d *door) signIn(password string) string {
	d.t.Helper()
	response, err := http.Post(d.url("http", "/auth/login"), "application/json", strings.NewReader(`{"password":"`+password+`"}`))
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || len(response.Cookies()) != 1 {
		d.t.Fatalf("signing in with %q: %d", password, response.StatusCode)
	}
	c := response.Cookies()[0]
	return "Cookie: " + c.Name + "=" + c.Value + "\r\n"
}

func TestPagesAreGuarded(t *testing.T) {
	d := guarded(t, nil)
	player, admin := d.signIn("for players"), d.signIn("for admins")
	const room = "/room/abcdefghijklmnopqrstuvwxyz"
	for _, test := range []struct {
		path, cookie string
		status       int
		body         string
	}{
		{"/", "", http.StatusUnauthorized, signInPage},
		{"/index.html", "", http.StatusUnauthorized, signInPage},
		{"/play/pong", "", http.StatusUnauthorized, signInPage},
		{room, "", http.StatusUnauthorized, signInPage},
		{"/play/NONE", "", http.StatusUnauthorized, signInPage},
		{"/admin", "", http.StatusUnauthorized, signInPage},
		{"/admin.html", "", http.StatusUnauthorized, signInPage},
		{"/", "Cookie: cloudretro=forged\r\n", http.StatusUnauthorized, signInPage},
		{"/signin", "", http.StatusOK, signInPage},
		{"/signin.html", "", http.StatusOK, signInPage},
		{"/auth/callback?code=x&state=y", "", http.StatusOK, signInPage},
		{"/app.js", "", http.StatusOK, "export {}"}, // that page needs some of these
		{"/", player, http.StatusOK, indexPage},
		{"/play/pong", player, http.StatusOK, indexPage},
		{room, player, http.StatusOK, indexPage},
		{"/play/NONE", player, http.StatusNotFound, indexPage},
		{"/signin", player, http.StatusOK, signInPage},
		{"/admin", player, http.StatusForbidden, signInPage},
		{"/admin.html", player, http.StatusForbidden, signInPage},
		{"/admin", admin, http.StatusOK, adminPage},
		{"/", admin, http.StatusOK, indexPage},
	} {
		r := d.get("GET", test.path, test.cookie)
		if got := body(t, r); r.StatusCode != test.status || got != test.body {
			t.Errorf("%s with %q: %d %q", test.path, test.cookie, r.StatusCode, got)
		}
		cache, vary := r.Header.Get("Cache-Control"), r.Header.Get("Vary")
		switch test.body {
		case signInPage:
			if cache != "no-store" || r.Header.Get("ETag") != "" {
				t.Errorf("%s: the sign-in may be kept: %q", test.path, cache)
			}
		case indexPage, adminPage:
			if !strings.Contains(cache, "private") || !strings.Contains(vary, "Cookie") {
				t.Errorf("%s: others may be given it: %q, %q", test.path, cache, vary)
			}
		}
		if head := d.get("HEAD", test.path, test.cookie); head.StatusCode != test.status {
			t.Errorf("HEAD %s: %d", test.path, head.StatusCode)
		}
	}
	if refused := d.stats.refusals(); refused["denied"] == 0 || refused["token"] == 0 {
		t.Errorf("counted: %v", refused)
	}
}

// A page that was kept before its user signed out is not shown again.
func TestSignedOutPage(t *testing.T) {
	d := guarded(t, nil)
	cookie := d.signIn("for players")
	etag := d.get("GET", "/", cookie).Header.Get("ETag")
	if r := d.get("GET", "/", cookie+"If-None-Match: "+etag+"\r\n"); r.StatusCode != http.StatusNotModified {
		t.Errorf("signed in: %d", r.StatusCode)
	}
	if r := d.get("GET", "/", "If-None-Match: "+etag+"\r\n"); r.StatusCode != http.StatusUnauthorized || body(t, r) != signInPage {
		t.Errorf("signed out: %d", r.StatusCode)
	}
}

func TestAdminPage(t *testing.T) {
	withFiles := func(change func(*Config)) *door {
		return guarded(t, func(cfg *Config) {
			cfg.SignIn = signin.Config{AdminPassword: "for admins"}
			change(cfg)
		})
	}
	d := withFiles(func(*Config) {})
	if r := d.get("GET", "/", ""); r.StatusCode != http.StatusOK || r.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("players must sign in: %d", r.StatusCode)
	}
	if r := d.get("GET", "/admin", ""); r.StatusCode != http.StatusUnauthorized || body(t, r) != signInPage {
		t.Errorf("/admin is for everybody: %d", r.StatusCode)
	}
	if r := d.get("GET", "/admin", d.signIn("for admins")); r.StatusCode != http.StatusOK || body(t, r) != adminPage {
		t.Errorf("/admin is not for admins: %d", r.StatusCode)
	}
	// Nobody can be an admin: that page explains it.
	d = withFiles(func(cfg *Config) { cfg.SignIn = signin.Config{} })
	if r := d.get("GET", "/admin", ""); r.StatusCode != http.StatusUnauthorized || body(t, r) != signInPage {
		t.Errorf("without admins: %d", r.StatusCode)
	}
	if r := d.get("GET", "/none.html", "Accept: text/html\r\n"); r.StatusCode != http.StatusNotFound || body(t, r) != indexPage {
		t.Errorf("no page: %d", r.StatusCode)
	}
	// A page without these parts says so.
	d = withFiles(func(cfg *Config) { cfg.Web = web() })
	for path, cookie := range map[string]string{"/admin": d.signIn("for admins"), "/signin": ""} {
		if r := d.get("GET", path, cookie); r.StatusCode != http.StatusNotFound || !strings.Contains(body(t, r), "there is no") {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
}

// Every coordinator of a site knows who is signed in.
func TestSignedInAtAnother(t *testing.T) {
	one, two := guarded(t, nil), guarded(t, nil)
	cookie := one.signIn("for players")
	if r := two.get("GET", "/", cookie); r.StatusCode != http.StatusOK {
		t.Errorf("the other coordinator: %d", r.StatusCode)
	}
	other := guarded(t, func(cfg *Config) { cfg.SessionSecret = "the secret of another site" })
	if r := other.get("GET", "/", cookie); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("another site: %d", r.StatusCode)
	}
}

func TestPathTricks(t *testing.T) {
	d := start(t, nil)
	tricks := []string{
		"//etc/passwd", "/css//style.css", "/css/../app.js", "/css/./style.css", "/..", "/%2e%2e/app.js", "/css/%2E%2e/app.js", "/css%2fstyle.css",
		"/css%2Fstyle.css", "/..%2f..%2fetc/passwd", "/..%5c..%5cx", "/css%5cstyle.css", "/app.js%00", "/app.js%0d%0aSet-Cookie:x", "/%ff%fe",
		"/" + strings.Repeat("a", maxPath), "/" + strings.Repeat("%61", maxPath), "/room/%7f", "/auth/../admin", "//auth/state", "/ws//worker",
	}
	for i, path := range tricks {
		r := d.get([]string{"GET", "POST"}[i%2], path, "Accept: "+[]string{"text/html", "*/*", "application/json"}[i%3]+"\r\nContent-Length: 0\r\n")
		if said := body(t, r); r.StatusCode != http.StatusNotFound || said != indexPage && said != "there is no such page\n" {
			t.Errorf("%s: %d %q", path, r.StatusCode, said)
		}
		if n := d.stats.refusals()["path"]; n != uint64(i+1) {
			t.Errorf("%s: counted %d", path, n)
		}
	}
	asked := guarded(t, nil)
	if r := asked.get("GET", "/room/..%2fx", ""); r.StatusCode != http.StatusUnauthorized || body(t, r) != signInPage {
		t.Errorf("a trick gets past the sign-in: %d", r.StatusCode)
	}
	for _, path := range []string{"/", "/css/style.css", "/app%2ejs", "/css/", "/play/pong-2?x=../..//%00", "/" + strings.Repeat("a", maxPath-1)} {
		d.get("GET", path, "")
	}
	if n := d.stats.refusals()["path"]; n != uint64(len(tricks)) {
		t.Errorf("paths that are straight are counted: %d", n)
	}
}

func FuzzStraightPath(f *testing.F) {
	for _, s := range []string{"/", "/a/b", "/..", "//", "/%2e%2e/", "/a\\b", "/\x00", "*", "/%2f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.ParseRequestURI(s)
		if err != nil || !straightPath(u) {
			return
		}
		again := (&url.URL{Path: "/"}).JoinPath(u.Path)
		if again.Path != u.Path || strings.ContainsAny(u.Path, "\\\x00") {
			t.Errorf("%q is straight and means %q", s, again.Path)
		}
	})
}

// The page may reach the other addresses of its site, and where zones are measured.
func TestSourcesElsewhere(t *testing.T) {
	for _, test := range []struct {
		origins []string
		sockets bool
		want    string
	}{
		{nil, true, ""},
		{[]string{"https://B.example.org", "http://a:8000"}, true, " http://a:8000 https://b.example.org ws://a:8000 wss://b.example.org"},
		{[]string{"https://z.example.org", "https://z.example.org"}, false, " https://z.example.org"},
		{[]string{"https://*", "https://a; script-src *", "ftp://a", "a", "", "https://a b", "https://a'", "https://*.a"}, true, ""},
		{[]string{"https://a/path?x; script-src *"}, false, " https://a"},
	} {
		if got := sources(test.origins, test.sockets); got != test.want {
			t.Errorf("%v: %q, want %q", test.origins, got, test.want)
		}
	}
	d := start(t, func(cfg *Config) { cfg.Alternates = []string{"https://b.example.org"} })
	const alternate = " https://b.example.org wss://b.example.org"
	if csp := d.get("GET", "/", "").Header.Get(policyHeader); !strings.HasSuffix(csp, alternate) || !strings.Contains(csp, "connect-src 'self' ws://") {
		t.Errorf("the page: %q", csp)
	}
	d.worker(func(r *signal.Register) { r.Zone, r.Probe = "eu", "https://probe.example.org:8443/echo" })
	if csp := d.get("GET", "/play/pong", "").Header.Get(policyHeader); !strings.HasSuffix(csp, alternate+" https://probe.example.org:8443") {
		t.Errorf("with a zone: %q", csp)
	}
	if csp := d.get("GET", "/app.js", "").Header.Get(policyHeader); strings.Contains(csp, "example.org") {
		t.Errorf("a script: %q", csp)
	}
}

func TestAlternatesAreOrigins(t *testing.T) {
	allowed, err := newOrigins([]string{"http://a:1"}, "https://B.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]bool{
		"https://b.example.org": true, "http://a:1": true, "http://b.example.org": false, "https://b.example.org:8443": false, "https://evil.example.org": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "https://play.example.org/ws", nil)
		r.Header.Set("Origin", origin)
		if got := allowed.allow(r); got != want {
			t.Errorf("%s: %v", origin, got)
		}
	}
	for _, s := range []string{"*", "", "b.example.org", "https://b.example.org/x", "https://b; script-src *", "https://a@b", "https://b?", "https://b#"} {
		if _, err := newOrigins(nil, s); err == nil {
			t.Errorf("%q is an alternate", s)
		}
	}
}

// Roles are no browsers: whoever sends an Origin is none, from whatever site.
func TestOriginOfRoles(t *testing.T) {
	d := start(t, func(cfg *Config) { cfg.Alternates = []string{"https://b.example.org"} })
	upgrade := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	for _, path := range []string{"/ws/worker", "/ws/turn"} {
		for _, origin := range []string{"https://b.example.org", d.url("http", "")} {
			if r := d.get("GET", path, upgrade+"Origin: "+origin+"\r\n"); r.StatusCode != http.StatusForbidden {
				t.Errorf("%s from %s: %d", path, origin, r.StatusCode)
			}
		}
	}
	if user := d.door.User(httptest.NewRequest(http.MethodGet, "/", nil)); user != (*signal.User)(nil) {
		t.Errorf("%v is signed in", user)
	}
}
