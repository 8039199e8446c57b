package coordinator

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/acme"
	"github.com/cloudretro/cloudretro/coordinator/acme/acmetest"
	"github.com/cloudretro/cloudretro/coordinator/certificate/certificatetest"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// secured is a door with a certificate of files, for 127.0.0.1.
type secured struct {
	*door
	*certificatetest.Mount
	pool *x509.CertPool
}

func startTLS(t *testing.T, change func(*Config)) *secured {
	t.Helper()
	pair := certificatetest.New(t, "127.0.0.1", time.Now().Add(time.Hour))
	m := certificatetest.NewMount(t, pair)
	d := start(t, func(c *Config) {
		c.TLS = TLS{CertFile: m.Cert, KeyFile: m.Key, RedirectAddress: "127.0.0.1:0"}
		if change != nil {
			change(c)
		}
	})
	return &secured{d, m, pair.Pool()}
}

// client is an HTTP client that trusts the door and follows no redirect.
func (s *secured) client(offer ...string) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.pool, NextProtos: offer}, DisableKeepAlives: true, ForceAttemptHTTP2: len(offer) > 0}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func TestTLS(t *testing.T) {
	d := startTLS(t, nil)
	for _, offer := range [][]string{nil, {"h2", "http/1.1"}} {
		r, err := d.client(offer...).Get(d.url("https", "/api/games"))
		if err != nil {
			t.Fatal(err)
		}
		if got := body(t, r); got != "[]" || r.ProtoMajor != 1 {
			t.Errorf("games %q by %s", got, r.Proto)
		}
		r.Body.Close()
		if got := r.Header.Get("Strict-Transport-Security"); got != "" {
			t.Errorf("HSTS %q though nobody asked for it", got)
		}
	}
	// Plain HTTP at the door of HTTPS is told what is wrong.
	if r := d.get("GET", "/", ""); r.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP is answered with %d", r.StatusCode)
	}
}

func TestTLSVersionsAndCiphers(t *testing.T) {
	d := startTLS(t, nil)
	for name, test := range map[string]struct {
		cfg *tls.Config
		ok  bool
	}{
		"TLS 1.3":             {&tls.Config{MinVersion: tls.VersionTLS13}, true},
		"TLS 1.2":             {&tls.Config{MaxVersion: tls.VersionTLS12}, true},
		"TLS 1.1":             {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		"CBC":                 {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
		"challenge of nobody": {&tls.Config{NextProtos: []string{acme.Proto}}, false},
	} {
		test.cfg.RootCAs = d.pool
		conn, err := tls.Dial("tcp", d.Addr().String(), test.cfg)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			conn.Close()
		}
	}
}

func TestHSTS(t *testing.T) {
	d := startTLS(t, func(c *Config) { c.TLS.HSTS = 24 * time.Hour })
	r, err := d.client().Get(d.url("https", "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if got := r.Header.Get("Strict-Transport-Security"); got != "max-age=86400" {
		t.Errorf("HSTS %q", got)
	}
	plain, err := d.client().Get("http://" + d.plain.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Body.Close()
	if got := plain.Header.Get("Strict-Transport-Security"); got != "" {
		t.Errorf("HSTS %q without TLS (RFC 6797 7.2)", got)
	}
}

// Sockets work over TLS, and a page without TLS may not open one.
func TestSocketsOverTLS(t *testing.T) {
	d := startTLS(t, nil)
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: d.pool}}
	host := d.Addr().String()
	for origin, ok := range map[string]bool{"https://" + host: true, "http://" + host: false, "https://evil.example.org": false} {
		conn, response, err := dialer.Dial("wss://"+host+"/ws", http.Header{"Origin": {origin}})
		if (err == nil) != ok {
			t.Errorf("origin %s: %v", origin, err)
		}
		if err == nil {
			if _, data, err := conn.ReadMessage(); err != nil || !strings.Contains(string(data), string(signal.TypeHello)) {
				t.Errorf("hello is %s, %v", data, err)
			}
			conn.Close()
		}
		if response != nil {
			response.Body.Close()
		}
	}
}

// Workers of this process join beside the door, whose certificate is not for
// this machine's own address; nobody else finds anything there.
func TestLocal(t *testing.T) {
	d := startTLS(t, func(c *Config) { c.Local = true })
	local := d.LocalAddr().String()
	if !strings.HasPrefix(local, "127.0.0.1:") {
		t.Fatalf("it listens at %s", local)
	}
	conn, response, err := websocket.DefaultDialer.Dial("ws://"+local+"/ws/worker", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	defer conn.Close()
	if _, data, err := conn.ReadMessage(); err != nil || !strings.Contains(string(data), string(signal.TypeChallenge)) {
		t.Errorf("challenge is %s, %v", data, err)
	}
	for _, path := range []string{"/", "/ws", "/api/games"} {
		r, err := d.client().Get("http://" + local + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
}

func TestTLSRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	m := certificatetest.NewMount(t, certificatetest.New(t, "127.0.0.1", time.Now().Add(time.Hour)))
	other := certificatetest.NewMount(t, certificatetest.New(t, "127.0.0.1", time.Now().Add(time.Hour)))
	authority := acme.Config{Domains: []string{"play.example.org"}}
	for name, test := range map[string]struct {
		tls  TLS
		says string
	}{
		"no key":         {TLS{CertFile: m.Cert}, "httpsKey"},
		"another's key":  {TLS{CertFile: m.Cert, KeyFile: other.Key}, "private key does not match"},
		"both ways":      {TLS{CertFile: m.Cert, KeyFile: m.Key, ACME: authority}, "choose one"},
		"no folder":      {TLS{ACME: authority}, "coordinator.server.tls.acme"},
		"plain port":     {TLS{CertFile: m.Cert, KeyFile: m.Key, RedirectAddress: taken.Addr().String()}, "in use"},
		"plain nonsense": {TLS{CertFile: m.Cert, KeyFile: m.Key, RedirectAddress: "nonsense"}, "plain HTTP"},
	} {
		c, err := New(Config{Address: "127.0.0.1:0", Web: web(), Secret: secret, TLS: test.tls})
		if err == nil {
			t.Errorf("%s: accepted, %v", name, c.Close())
		} else if !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %q does not say %q", name, err, test.says)
		}
		var plain RedirectError
		if is := strings.HasPrefix(name, "plain"); errors.As(err, &plain) != is {
			t.Errorf("%s: a RedirectError is %v", name, !is)
		}
	}
}

// A certificate that is replaced is shown to who comes next; who is here stays.
func TestCertificateIsReplaced(t *testing.T) {
	d := startTLS(t, nil)
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: d.pool}}
	conn, response, err := dialer.Dial("wss://"+d.Addr().String()+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	defer conn.Close()
	before := d.Certificates()
	next := certificatetest.New(t, "127.0.0.1", time.Now().Add(48*time.Hour))
	d.Swap(next)
	until30(t, "the new certificate", func() bool {
		c, err := tls.Dial("tcp", d.Addr().String(), &tls.Config{RootCAs: next.Pool()})
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	if after := d.Certificates(); len(after) != 1 || after[0].Name != d.Cert || !after[0].Expires.After(before[0].Expires) {
		t.Errorf("certificates %v, before %v", after, before)
	}
	if _, _, err := conn.ReadMessage(); err != nil {
		t.Errorf("a socket ended with the certificate: %v", err)
	}
}

// until30 waits for what takes as long as the files are read again.
func until30(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * patient); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
	}
}

// The whole door with a real authority: it listens, proves itself by its plain
// listener, shows what was issued, and sends browsers on.
func TestACME(t *testing.T) {
	a := acmetest.New(t)
	d := start(t, func(c *Config) {
		c.TLS = TLS{RedirectAddress: "127.0.0.1:0", ACME: acme.Config{
			Domains: []string{"play.example.org"}, CacheDir: filepath.Join(t.TempDir(), "acme"), DirectoryURL: a.DirectoryURL, CAFile: a.CAFile,
		}}
	})
	if s := d.Certificates(); len(s) != 1 || s[0].Name != "play.example.org" || !s[0].Expires.IsZero() {
		t.Errorf("certificates at first: %v", s)
	}
	port := func(addr net.Addr) int { return addr.(*net.TCPAddr).Port }
	a.Serve(port(d.plain.Addr()), port(d.Addr()), time.Hour)
	until30(t, "the certificate", func() bool { return !d.Certificates()[0].Expires.IsZero() })
	conn, err := tls.Dial("tcp", d.Addr().String(), &tls.Config{ServerName: "play.example.org", RootCAs: a.Roots()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /api/games HTTP/1.1\r\nHost: play.example.org\r\nConnection: close\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if data, err := io.ReadAll(r.Body); err != nil || string(data) != "[]" {
		t.Errorf("games %q, %v", data, err)
	}
	r = plainGet(t, d.plain.Addr(), "GET / HTTP/1.1\r\nHost: play.example.org\r\n\r\n")
	if want := fmt.Sprintf("https://play.example.org:%d/", port(d.Addr())); r.Header.Get("Location") != want {
		t.Errorf("sent on to %q with %d, want %q", r.Header.Get("Location"), r.StatusCode, want)
	}
}
