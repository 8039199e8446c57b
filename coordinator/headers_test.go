package coordinator

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// Every answer carries them, errors and refusals too.
func TestSecurityHeaders(t *testing.T) {
	d := start(t, nil)
	for _, path := range []string{"/", "/app.js", "/api/games", "/nothing", "/ws", "/ws/worker", "/ws/other"} {
		h := d.get("GET", path, "").Header
		for name, parts := range map[string][]string{
			"Content-Security-Policy": {
				"default-src 'none'", "script-src 'self';", "style-src 'self';", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
				"connect-src 'self' ws://" + d.Addr().String() + " wss://" + d.Addr().String(),
			},
			"X-Content-Type-Options":       {"nosniff"},
			"Referrer-Policy":              {"no-referrer"},
			"Permissions-Policy":           {"camera=()", "microphone=()", "geolocation=()", "usb=()"},
			"Cross-Origin-Opener-Policy":   {"same-origin"},
			"Cross-Origin-Resource-Policy": {"same-origin"},
		} {
			for _, part := range parts {
				if !strings.Contains(h.Get(name), part) {
					t.Errorf("%s: %s is %q, without %q", path, name, h.Get(name), part)
				}
			}
		}
		for _, loose := range []string{"unsafe", "*", "data:", "blob:", "ws: ", "http:"} {
			if policy := h.Get("Content-Security-Policy"); strings.Contains(policy, loose) {
				t.Errorf("%s: the policy %q allows %s", path, policy, loose)
			}
		}
	}
}

// A Host header does not write the policy.
func TestSocketSources(t *testing.T) {
	for host, want := range map[string]string{
		"play.example.org": " ws://play.example.org wss://play.example.org", "PLAY.example.org:8000": " ws://play.example.org:8000 wss://play.example.org:8000",
		"[::1]:8000": " ws://[::1]:8000 wss://[::1]:8000",
		"":           "", "*": "", "a; script-src *": "", "a b": "", "a,b": "", "a'": "", "x:1;y": "", "x:*": "", "*.example.org": "", "a\r\nb": "",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		if got := sockets(r); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "https://play.example.org/", nil)
	if got := sockets(r); got != " wss://play.example.org" {
		t.Errorf("over TLS: %q", got)
	}
}

// Whoever sends slowly, or too much, is cut: the server ends the connection
// while the client still could go on for ever.
func TestSlowAndLargeClients(t *testing.T) {
	d := startTLS(t, nil)
	dialTLS := func(t *testing.T) net.Conn {
		conn, err := tls.Dial("tcp", d.Addr().String(), &tls.Config{RootCAs: d.pool})
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	dialPlain := func(addr net.Addr) func(t *testing.T) net.Conn {
		return func(t *testing.T) net.Conn {
			conn, err := net.Dial("tcp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			return conn
		}
	}
	large := "GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("a", 2*maxHeader) + "\r\n\r\n"
	for name, test := range map[string]struct {
		dial   func(t *testing.T) net.Conn
		send   string // at first
		drip   string // again and again
		status int    // 0: the connection just ends
	}{
		"half a header":        {dialTLS, "GET / HTTP/1.1\r\nHost: x\r\n", "", 0},
		"header byte by byte":  {dialTLS, "GET / HTTP/1.1\r\nX-Slow: ", "a", 0},
		"no request":           {dialTLS, "", "", 0},
		"no handshake":         {dialPlain(d.listener.Addr()), "", "", 0},
		"half a handshake":     {dialPlain(d.listener.Addr()), "\x16\x03\x01\x02\x00\x01", "", 0},
		"large header":         {dialTLS, large, "", http.StatusRequestHeaderFieldsTooLarge},
		"plain, half a header": {dialPlain(d.plain.Addr()), "GET / HTTP/1.1\r\nHost: x\r\n", "", 0},
		"plain, drop by drop":  {dialPlain(d.plain.Addr()), "GET / HTTP/1.1\r\nX-Slow: ", "a", 0},
		"plain, large header":  {dialPlain(d.plain.Addr()), large, "", http.StatusRequestHeaderFieldsTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := test.dial(t)
			defer conn.Close()
			if _, err := fmt.Fprint(conn, test.send); err != nil && test.status == 0 {
				t.Fatal(err)
			}
			stop, dripped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(dripped)
				for test.drip != "" {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
						if _, err := fmt.Fprint(conn, test.drip); err != nil {
							return
						}
					}
				}
			}()
			defer func() { close(stop); <-dripped }()
			_ = conn.SetReadDeadline(time.Now().Add(3 * patient))
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				t.Error("the connection is kept")
			case err == nil && response.StatusCode != max(test.status, http.StatusRequestTimeout):
				t.Errorf("answered with %d", response.StatusCode)
			case err != nil && test.status != 0:
				t.Errorf("want status %d: %v", test.status, err)
			}
			if err == nil {
				response.Body.Close()
			}
		})
	}
}
