package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	shared, file := filepath.Join(dir, "shared"), filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(shared, 0o755), os.Chmod(shared, 0o755), os.WriteFile(file, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(dir, "private")
	for name, test := range map[string]struct {
		cfg  Config
		says string
	}{
		"no domain":      {Config{CacheDir: private}, "no domain"},
		"no folder":      {Config{Domains: []string{"a.example.org"}}, "asks for new ones"},
		"others enter":   {Config{Domains: []string{"a.example.org"}, CacheDir: shared}, "chmod 700"},
		"a file":         {Config{Domains: []string{"a.example.org"}, CacheDir: file}, "name one that this user may write to"},
		"wildcard":       {Config{Domains: []string{"*.example.org"}, CacheDir: private}, `"*.example.org"`},
		"address":        {Config{Domains: []string{"192.0.2.1"}, CacheDir: private}, `"192.0.2.1"`},
		"one label":      {Config{Domains: []string{"localhost"}, CacheDir: private}, `"localhost"`},
		"port":           {Config{Domains: []string{"a.example.org:443"}, CacheDir: private}, "a.example.org:443"},
		"no CA file":     {Config{Domains: []string{"a.example.org"}, CacheDir: private, CAFile: "missing.pem"}, "missing.pem"},
		"CA without any": {Config{Domains: []string{"a.example.org"}, CacheDir: private, CAFile: file}, "name a PEM file"},
	} {
		if _, err := New(test.cfg); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v does not say %q", name, err, test.says)
		}
	}
	if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder that was made: %v %v", info, err)
	}
	if left, err := os.ReadDir(private); err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v %v", left, err)
	}
}

func newIssuer(t *testing.T, domains ...string) *Issuer {
	t.Helper()
	i, err := New(Config{Domains: domains, CacheDir: filepath.Join(t.TempDir(), "acme")})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestAllows(t *testing.T) {
	i := newIssuer(t, "Play.Example.org", "spiele-über.example.org", "play.example.org")
	if len(i.order) != 2 {
		t.Errorf("%d domains, one stands there twice", len(i.order))
	}
	for host, want := range map[string]bool{
		"play.example.org": true, "PLAY.example.ORG": true, "play.example.org:8443": true, "play.example.org.": true,
		"spiele-über.example.org": true, "xn--spiele-ber-geb.example.org": true,
		"": false, "example.org": false, "x.play.example.org": false, "play.example.org.evil.org": false, "192.0.2.1": false,
		"play.example.org:443:443": false, "play.example.org/x": false, "play.example.org\x00": false, "play.example.org@evil.org": false,
	} {
		if got := i.Allows(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
		if err := i.policy(t.Context(), host); (err == nil) != want {
			t.Errorf("policy of %q: %v", host, err)
		}
	}
}

// Nobody but the authority gets anything before there is a certificate, and no
// request to the authority is made for it.
func TestVisitorsBeforeTheCertificate(t *testing.T) {
	i := newIssuer(t, "play.example.org")
	for _, hello := range []*tls.ClientHelloInfo{
		{ServerName: "play.example.org"},
		{ServerName: "other.example.org"},
		{},
		{ServerName: "play.example.org", SupportedProtos: []string{Proto}},
		{ServerName: "play.example.org", SupportedProtos: []string{Proto, "h2"}},
	} {
		if c, err := i.GetCertificate(hello); err == nil {
			t.Errorf("%q %v gets %v", hello.ServerName, hello.SupportedProtos, c)
		}
	}
	if s := i.Status(); len(s) != 1 || s[0].Name != "play.example.org" || !s[0].Expires.IsZero() {
		t.Errorf("status %+v", s)
	}
}

func TestChallengesOfOthers(t *testing.T) {
	i := newIssuer(t, "play.example.org")
	handler := i.Challenges(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) }))
	for _, test := range []struct {
		host, path string
		want       int
	}{
		{"play.example.org", "/", http.StatusTeapot},
		{"play.example.org", "/.well-known/acme-challenge/unknown", http.StatusNotFound},
		{"play.example.org", "/.well-known/acme-challenge/acme_account+key", http.StatusNotFound},
		{"play.example.org", "/.well-known/acme-challenge/../../etc/passwd", http.StatusNotFound},
		{"evil.example.org", "/.well-known/acme-challenge/unknown", http.StatusForbidden},
	} {
		request := httptest.NewRequest(http.MethodGet, "http://"+test.host+"/", nil)
		request.URL.Path = test.path
		rw := httptest.NewRecorder()
		handler.ServeHTTP(rw, request)
		if rw.Code != test.want {
			t.Errorf("%s %s: %d, want %d", test.host, test.path, rw.Code, test.want)
		}
	}
}

func TestProblemsOf(t *testing.T) {
	const urn = "urn:ietf:params:acme:error:"
	for name, test := range map[string]struct {
		status int
		body   string
		want   []problem
	}{
		"fine":      {200, `{"status":"valid"}`, nil},
		"nonsense":  {200, `<html>`, nil},
		"problem":   {429, `{"type":"` + urn + `rateLimited","detail":"later","status":429}`, []problem{{kind: "rateLimited", detail: "later"}}},
		"no type":   {400, `{"detail":"d"}`, []problem{{kind: "problem", detail: "d"}}},
		"html":      {502, `<html>`, []problem{{kind: "status 502", detail: "the answer says no more"}}},
		"wrong":     {400, `{"type":7}`, []problem{{kind: "status 400", detail: "the answer says no more"}}},
		"long":      {400, `{"type":"` + urn + `x","detail":"` + strings.Repeat("a", 999) + `"}`, []problem{{kind: "x", detail: strings.Repeat("a", 400)}}},
		"challenge": {200, `{"status":"invalid","identifier":{"type":"dns","value":"a.b"},"challenges":[{"type":"http-01"},{"error":{"type":"` + urn + `dns","detail":"x"}}]}`, []problem{{"dns", "a.b", "x"}}},
		"order":     {200, `{"status":"invalid","identifiers":[{"value":"a.b"}],"error":{"type":"` + urn + `caa","detail":"x"}}`, []problem{{"caa", "a.b", "x"}}},
	} {
		got := problemsOf(test.status, []byte(test.body))
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func FuzzProblemsOf(f *testing.F) {
	f.Add(400, []byte(`{"type":"urn:ietf:params:acme:error:dns","detail":"x"}`))
	f.Add(200, []byte(`{"identifier":{"value":"a"},"challenges":[{"error":{"detail":"x"}}]}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		for _, p := range problemsOf(status, body) {
			if p.kind == "" || len(p.detail) > 400 || len(p.domain) > 400 || len(p.kind) > 400 {
				t.Errorf("%+v", p)
			}
		}
	})
}

func TestRemedies(t *testing.T) {
	for kind, want := range map[string]string{
		"dns": "CAA", "caa": "CAA", "connection": "port 443", "unauthorized": "port 443", "tls": "port 443", "rateLimited": "wait",
		"rejectedIdentifier": "take it out", "invalidContact": "acme.email", "other": "authority says", "": "acme.caFile",
	} {
		if got := (problem{kind: kind, detail: "x"}).remedy(); !strings.Contains(got, want) {
			t.Errorf("%q: %q does not say %q", kind, got, want)
		}
	}
	if got := (problem{}).remedy(); got != "see the cause" {
		t.Errorf("no problem: %q", got)
	}
}

func TestWitnessKeepsTheNewest(t *testing.T) {
	w, err := newWitness("")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 * maxProblems {
		w.keep(problem{"dns", "a.b", fmt.Sprint(n)})
	}
	w.keep(problem{"dns", "c.d", "other"})
	w.keep(problem{"badNonce", "a.b", "retried anyway"})
	if len(w.problems) != maxProblems {
		t.Errorf("%d are kept", len(w.problems))
	}
	if got := w.last("a.b"); got.detail != fmt.Sprint(3*maxProblems-1) {
		t.Errorf("the last is %v", got)
	}
	if got := w.last("a.b"); got != (problem{}) {
		t.Errorf("taken twice: %v", got)
	}
	if got := w.last("c.d"); got.detail != "other" {
		t.Errorf("another domain's is %v", got)
	}
}

func TestBoundPoll(t *testing.T) {
	for text, want := range map[string]string{"": "", "3": "3", "600": "5", "-1": "1", "0": "1", "Wed, 21 Oct 2026 07:28:00 GMT": "5"} {
		header := http.Header{}
		if text != "" {
			header.Set("Retry-After", text)
		}
		if boundPoll(header); header.Get("Retry-After") != want {
			t.Errorf("%q became %q, want %q", text, header.Get("Retry-After"), want)
		}
	}
}

func TestRetryEnds(t *testing.T) {
	if d := retry(1, nil, &http.Response{StatusCode: 429}); d > 0 {
		t.Errorf("a limited request is made again in %s", d)
	}
	for n := 1; n <= 6; n++ {
		if d := retry(n, nil, &http.Response{StatusCode: 500}); d <= 0 || d > 5*time.Second {
			t.Errorf("attempt %d waits for %s", n, d)
		}
	}
	if d := retry(7, nil, &http.Response{StatusCode: 500}); d > 0 {
		t.Errorf("there is no end: %s", d)
	}
}

// An authority that hangs does not hold up the end of Run.
func TestRunEndsWhileTheAuthorityHangs(t *testing.T) {
	asked, done := make(chan struct{}, 8), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-done
	}))
	defer server.Close()
	defer close(done)
	i, err := New(Config{Domains: []string{"play.example.org"}, CacheDir: filepath.Join(t.TempDir(), "acme"), DirectoryURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- i.Run(ctx) }()
	<-asked
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patient):
		t.Fatal("Run waits for the authority")
	}
}
