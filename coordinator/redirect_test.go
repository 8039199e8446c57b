package coordinator

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// plainGet sends a request exactly as given.
func plainGet(t *testing.T, addr net.Addr, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patient))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// Nothing that a client says leads to a host that is not ours.
func TestRedirect(t *testing.T) {
	d := startTLS(t, func(c *Config) { c.TLS.RedirectPort = 443 })
	for _, test := range []struct {
		line, host string
		status     int
		location   string
	}{
		{"GET /", "127.0.0.1", 307, "https://127.0.0.1/"},
		{"HEAD /", "127.0.0.1", 307, "https://127.0.0.1/"},
		{"GET /room/abc?x=1&y=%20", "127.0.0.1:80", 307, "https://127.0.0.1/room/abc?x=1&y=%20"},
		{"GET //evil.example.org/x", "127.0.0.1", 307, "https://127.0.0.1//evil.example.org/x"},
		{"GET /%0d%0aSet-Cookie:x", "127.0.0.1", 307, "https://127.0.0.1/%0d%0aSet-Cookie:x"},
		{"GET /\\evil.example.org", "127.0.0.1", 307, "https://127.0.0.1/%5Cevil.example.org"},
		{"GET http://127.0.0.1/x", "evil.example.org", 307, "https://127.0.0.1/x"},
		{"GET http://evil.example.org/x", "127.0.0.1", 421, ""},
		{"GET /", "evil.example.org", 421, ""},
		{"GET /", "127.0.0.1.evil.example.org", 421, ""},
		{"GET /", "127.0.0.1@evil.example.org", 421, ""},
		{"GET /", "127.0.0.2", 421, ""},
		{"GET /", "", 421, ""},
		{"GET x:.evil.example.org/", "127.0.0.1", 421, ""},
		{"POST /", "127.0.0.1", 405, ""},
		{"OPTIONS *", "127.0.0.1", 405, ""},
	} {
		r := plainGet(t, d.plain.Addr(), test.line+" HTTP/1.1\r\nHost: "+test.host+"\r\nContent-Length: 0\r\n\r\n")
		// net/http answers some of these itself, with 400 or 200, and no way on.
		if got := r.Header.Get("Location"); got != test.location || test.location != "" && r.StatusCode != test.status {
			t.Errorf("%s at %q: %d to %q, want %d to %q", test.line, test.host, r.StatusCode, got, test.status, test.location)
		}
		if test.location != "" && (r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Content-Security-Policy") == "") {
			t.Errorf("%s: headers %v", test.line, r.Header)
		}
	}
	for _, path := range []string{"/ws", "/ws/worker", "/api/games"} {
		if r := plainGet(t, d.plain.Addr(), "GET "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"); r.StatusCode != 307 {
			t.Errorf("%s without TLS: %d", path, r.StatusCode)
		}
	}
}

func TestRedirectHosts(t *testing.T) {
	allows := func(host string) bool { return host == "2001:db8::1" || host == "play.example.org" }
	for host, want := range map[string]string{
		"[2001:db8::1]:80": "https://[2001:db8::1]:8443/", "PLAY.example.org": "https://play.example.org:8443/", "play.example.org:1": "https://play.example.org:8443/",
		"play.example.org:443:1": "", "play.example.org/": "", "play example.org": "",
	} {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Host = host
		rw := httptest.NewRecorder()
		redirector{allows, 8443}.ServeHTTP(rw, request)
		if got := rw.Header().Get("Location"); got != want {
			t.Errorf("%q leads to %q, want %q", host, got, want)
		}
	}
}

func FuzzRedirect(f *testing.F) {
	for _, seed := range [][2]string{{"/", "play.example.org"}, {"//evil", "play.example.org"}, {"http://evil/", "play.example.org"}, {"x:y", "play.example.org:1"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, target, host string) {
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
		if err != nil {
			return
		}
		rw := httptest.NewRecorder()
		redirector{func(host string) bool { return host == "play.example.org" }, 443}.ServeHTTP(rw, request)
		if to := rw.Header().Get("Location"); to != "" && !strings.HasPrefix(to, "https://play.example.org/") {
			t.Errorf("%q at %q leads to %q", target, host, to)
		}
	})
}
