package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloudretro/cloudretro/coordinator/acme/acmetest"
)

const patient = time.Minute // for what takes seconds

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, acmetest.Leaks()) }

// said is a log that is read while it is written.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within %s", what, patient)
}

// site is an issuer behind its two listeners.
type site struct {
	*Issuer
	t           *testing.T
	log         *said
	http, https net.Listener
	stop        func()
}

// open serves cfg's domains, by an Issuer that was changed. Without challenges there
// is TLS-ALPN-01 only.
func open(t *testing.T, cfg Config, challenges bool, change ...func(*Issuer)) *site {
	t.Helper()
	s := &site{t: t, log: &said{}}
	cfg.Logger = slog.New(slog.NewTextHandler(s.log, nil))
	issuer, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	issuer.lookout = 50 * time.Millisecond
	for _, f := range change {
		f(issuer)
	}
	s.Issuer = issuer
	var group sync.WaitGroup
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	next := http.Handler(http.NotFoundHandler())
	s.http, s.https = listen(), listen()
	plain := next
	if challenges {
		plain = issuer.Challenges(next)
	}
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	servers := []*http.Server{{Handler: plain, ErrorLog: quiet}, {Handler: next, ErrorLog: quiet}}
	group.Go(func() { _ = servers[0].Serve(s.http) })
	secure := tls.NewListener(s.https, &tls.Config{GetCertificate: issuer.GetCertificate, NextProtos: []string{"http/1.1", Proto}})
	group.Go(func() { _ = servers[1].Serve(secure) })
	ctx, cancel := context.WithCancel(context.Background())
	group.Go(func() {
		if err := issuer.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	s.stop = sync.OnceFunc(func() {
		cancel()
		_, _ = servers[0].Close(), servers[1].Close()
		group.Wait()
	})
	t.Cleanup(s.stop)
	return s
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// closed is a port where nobody listens.
func closed(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return port(l)
}

// dial asks for a domain, trusting the authority alone.
func (s *site) dial(a *acmetest.Authority, domain string) (tls.ConnectionState, error) {
	conn, err := tls.Dial("tcp", s.https.Addr().String(), &tls.Config{ServerName: domain, RootCAs: a.Roots()})
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

func (s *site) issued(domain string) func() bool {
	return func() bool {
		for _, one := range s.Status() {
			if one.Name == domain {
				return !one.Expires.IsZero()
			}
		}
		return false
	}
}

func config(t *testing.T, a *acmetest.Authority, domains ...string) Config {
	return Config{
		Domains: domains, Email: "ops@example.org", CacheDir: filepath.Join(t.TempDir(), "acme"), DirectoryURL: a.DirectoryURL, CAFile: a.CAFile,
	}
}

// Each way of proving a domain works alone.
func TestIssues(t *testing.T) {
	for _, way := range []string{"http-01", "tls-alpn-01"} {
		t.Run(way, func(t *testing.T) {
			a := acmetest.New(t)
			cfg := config(t, a, "play.example.org", "Spiel.example.org")
			s := open(t, cfg, way == "http-01")
			if way == "http-01" {
				a.Serve(port(s.http), closed(t), time.Hour)
			} else {
				a.Serve(closed(t), port(s.https), time.Hour)
			}
			for _, domain := range []string{"play.example.org", "spiel.example.org"} {
				until(t, domain, s.issued(domain))
				if _, err := s.dial(a, domain); err != nil {
					t.Errorf("%s: %v", domain, err)
				}
			}
			if _, err := s.dial(a, "other.example.org"); err == nil {
				t.Error("another domain is served")
			}
			files, err := filepath.Glob(filepath.Join(cfg.CacheDir, "*.example.org"))
			if err != nil || len(files) != 2 {
				t.Errorf("certificates kept: %v %v", files, err)
			}
			for _, name := range append(files, cfg.CacheDir) {
				if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
					t.Errorf("rights of %s: %v %v", name, info.Mode(), err)
				}
			}
		})
	}
}

// Certificates are renewed while they are shown, and the time of their end moves
// on. They are renewed after some seconds and hold for a minute: the manager tries a
// renewal again after half an hour only, so that the first one must do.
func TestRenews(t *testing.T) {
	a := acmetest.New(t)
	s := open(t, config(t, a, "play.example.org"), false, func(i *Issuer) { i.manager.RenewBefore = 57 * time.Second })
	a.Serve(closed(t), port(s.https), time.Minute)
	until(t, "the first certificate", s.issued("play.example.org"))
	first, err := s.dial(a, "play.example.org")
	if err != nil {
		t.Fatal(err)
	}
	expires := s.Status()[0].Expires
	until(t, "another certificate", func() bool {
		now, err := s.dial(a, "play.example.org")
		return err == nil && now.PeerCertificates[0].SerialNumber.Cmp(first.PeerCertificates[0].SerialNumber) != 0
	})
	until(t, "the log", func() bool { return strings.Contains(s.log.String(), "certificate renewed") })
	if !s.Status()[0].Expires.After(expires) {
		t.Errorf("it ends at %s, the one before at %s", s.Status()[0].Expires, expires)
	}
}

// What was issued is not asked for again after a restart, though the authority
// is away.
func TestCacheSurvivesARestart(t *testing.T) {
	a := acmetest.New(t)
	cfg := config(t, a, "play.example.org")
	s := open(t, cfg, false)
	a.Serve(closed(t), port(s.https), time.Hour)
	until(t, "the certificate", s.issued("play.example.org"))
	s.stop()
	cfg.DirectoryURL = "https://127.0.0.1:1/dir"
	again := open(t, cfg, false)
	until(t, "the certificate from the folder", again.issued("play.example.org"))
	if _, err := again.dial(a, "play.example.org"); err != nil {
		t.Error(err)
	}
}

// The log says what the authority said, and what helps.
func TestFailuresAreTold(t *testing.T) {
	for name, test := range map[string]struct {
		domain string
		setUp  func(a *acmetest.Authority, s *site)
		says   []string
	}{
		"unreachable from there": {
			"play.example.org", func(a *acmetest.Authority, s *site) { a.Serve(closed(s.t), closed(s.t), time.Hour) },
			[]string{"connection refused", "must reach this coordinator"},
		},
		"not issued for": {
			"bank.example.org", func(a *acmetest.Authority, s *site) {
				a.Serve(port(s.http), port(s.https), time.Hour, "bank.example.org")
			},
			[]string{"rejectedIdentifier", "take it out"},
		},
		"authority is away": {"play.example.org", func(a *acmetest.Authority, s *site) {}, []string{"authority=", "status 503"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := acmetest.New(t)
			cfg := config(t, a, test.domain)
			s := open(t, cfg, true)
			test.setUp(a, s)
			until(t, "a failure", func() bool { return s.Status()[0].Failures > 0 })
			until(t, "the log", func() bool { return strings.Contains(s.log.String(), "no certificate") })
			for _, text := range append(test.says, "again=") {
				if !strings.Contains(s.log.String(), text) {
					t.Errorf("%q is missing in %s", text, s.log)
				}
			}
			// Visitors neither wait nor have it tried again.
			orders := a.Orders.Load()
			if _, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: test.domain}); err == nil || !strings.Contains(err.Error(), "yet") {
				t.Errorf("a visitor is told %v", err)
			}
			if s.issued(test.domain)() || a.Orders.Load() != orders {
				t.Error("a visitor made the authority work")
			}
		})
	}
}

func TestAnUnknownAuthorityIsNotTrusted(t *testing.T) {
	a := acmetest.New(t)
	cfg := config(t, a, "play.example.org")
	cfg.CAFile = ""
	s := open(t, cfg, false)
	until(t, "a failure", func() bool { return strings.Contains(s.log.String(), "acme.caFile") })
	if !strings.Contains(s.log.String(), "x509") {
		t.Errorf("the log is %s", s.log)
	}
}
