package coordinator

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// get does one request with the path exactly as given.
func (d *door) get(method, path, header string) *http.Response {
	d.t.Helper()
	conn, err := net.Dial("tcp", d.Addr().String())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", method, path, d.Addr(), header)
	if _, err := conn.Write([]byte(request)); err != nil {
		d.t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patient))
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	return response
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestPages(t *testing.T) {
	d := start(t, nil)
	const index = "<!doctype html><title>page</title>"
	for _, test := range []struct {
		path, kind, body string
	}{
		{"/", "text/html; charset=utf-8", index},
		{"/?player=2", "text/html; charset=utf-8", index},
		{"/index.html", "text/html; charset=utf-8", index},
		{"/play/pong-2", "text/html; charset=utf-8", index},
		{"/room/abcdefghijklmnopqrstuvwxyz?relay=1", "text/html; charset=utf-8", index},
		{"/app.js", "text/javascript; charset=utf-8", "export {}"},
		{"/css/style.css", "text/css; charset=utf-8", "body{}"},
		{"/api/games", "application/json", "[]"},
	} {
		r := d.get("GET", test.path, "")
		if got := body(t, r); r.StatusCode != 200 || got != test.body || r.Header.Get("Content-Type") != test.kind {
			t.Errorf("%s: %d %s %q", test.path, r.StatusCode, r.Header.Get("Content-Type"), got)
		}
		if csp := r.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", test.path, csp)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Referrer-Policy") == "" || r.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: headers %v", test.path, r.Header)
		}
		etag := r.Header.Get("ETag")
		if again := d.get("GET", test.path, "If-None-Match: "+etag+"\r\n"); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s again with its ETag %s: %d", test.path, etag, again.StatusCode)
		}
		if head := d.get("HEAD", test.path, ""); head.StatusCode != 200 || head.Header.Get("ETag") != etag {
			t.Errorf("HEAD %s: %d", test.path, head.StatusCode)
		}
	}
}

func TestPathsThatAreNone(t *testing.T) {
	d := start(t, nil)
	for _, path := range []string{
		"/nothing", "/css", "/css/", "/.hidden", "/css/.hidden.js", "/play/", "/play/a/b", "/play/UPPER", "/room/x", "/room/..%2f..%2fx",
		"/play/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/..%5c..%5cx", "/app.js/", "/app.js%00", "/css/..%2fapp.js", "//etc/passwd",
		"/api/", "/api/games/x", "/ws/other",
	} {
		r := d.get("GET", path, "")
		for range 3 { // the mux cleans some paths by a redirect
			if r.StatusCode/100 == 3 {
				r = d.get("GET", r.Header.Get("Location"), "")
			}
		}
		if r.StatusCode != http.StatusNotFound || strings.Contains(body(t, r), "secret") {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	for method, path := range map[string]string{"POST": "/", "DELETE": "/api/games", "PUT": "/app.js"} {
		if r := d.get(method, path, "Content-Length: 0\r\n"); r.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d", method, path, r.StatusCode)
		}
	}
	for _, path := range []string{"/ws", "/ws/worker", "/ws/turn"} {
		if r := d.get("GET", path, ""); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s without a WebSocket: %d", path, r.StatusCode)
		}
	}
}

func FuzzLoadAsset(f *testing.F) {
	files := web()
	for _, name := range []string{"index.html", "../x", "/etc/passwd", "css/../app.js", "css/.hidden.js", "", ".", "a\x00b"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		a, err := loadAsset(files, name)
		if err == nil && (files[name] == nil || strings.Contains(name, "hidden") || string(a.body) != string(files[name].Data)) {
			t.Errorf("%q is served", name)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, test := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"port in use": {func(c *Config) { c.Address = taken.Addr().String() }, "in use"},
		"address":     {func(c *Config) { c.Address = "nonsense" }, "coordinator.server.address"},
		"no secret":   {func(c *Config) { c.Secret = "" }, "secrets.worker"},
		"no page":     {func(c *Config) { c.Web = nil }, "page"},
		"empty page":  {func(c *Config) { c.Web = fstest.MapFS{} }, "index.html"},
		"origin":      {func(c *Config) { c.Origins = []string{"x"} }, `"x"`},
		"ttl":         {func(c *Config) { c.CredentialTTL = time.Second }, "1s"},
		"ice":         {func(c *Config) { c.ICEServers = []signal.ICEServer{{URLs: []string{"x"}}} }, "webrtc.iceServers"},
		"cert":        {func(c *Config) { c.TLS.CertFile = "missing.pem" }, "missing.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Address: "127.0.0.1:0", Web: web(), Secret: secret}
			test.change(&cfg)
			c, err := New(cfg)
			if err == nil {
				t.Fatalf("New accepted it: %v", c.Close())
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q does not say %q", err, test.says)
			}
		})
	}
}

func TestCloseWithoutRun(t *testing.T) {
	c, err := New(Config{Address: "127.0.0.1:0", Web: web(), Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := c.Run(t.Context()); err == nil {
		t.Error("Run of a closed coordinator ends without an error")
	}
}
