package signin

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The site starts without its provider and says so to who wants to sign in.
func TestProviderThatComesLater(t *testing.T) {
	p := newIDP(t)
	p.broken = true
	s := open(t, p.with(func(o *OIDC) { o.Name = "Example" }))
	b := s.browser()
	status, said := b.post("/auth/start", fields{"return": "/"})
	if status != http.StatusBadGateway || s.counted.of("failed") != 1 || b.cookie(flowCookie) != "" {
		t.Errorf("%d %v", status, said)
	}
	contains(t, said["message"], "Example", "try again")
	if text, _ := said["message"].(string); strings.Contains(text, "127.0.0.1") {
		t.Errorf("%q tells where the provider is", text)
	}
	p.set(func() { p.broken = false })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	for s.provider.known() == nil { // at most a second or two
		if ctx.Err() != nil {
			t.Fatal("not found")
		}
		wait := time.NewTimer(10 * time.Millisecond)
		<-wait.C
	}
	if status, said := b.signIn(p); status != http.StatusOK {
		t.Errorf("now that it is there: %d %v", status, said)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// roundTrip answers requests without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The provider is asked again and again, ever more rarely.
func TestProviderIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var asked []time.Duration
		d := newDoor(t, Config{Method: MethodOIDC, OIDC: OIDC{Issuer: "https://accounts.example.org", ClientID: "x"}})
		d.provider.client = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			asked = append(asked, time.Since(began))
			return &http.Response{StatusCode: http.StatusBadGateway, Body: io.NopCloser(strings.NewReader("x")), Header: http.Header{}}, nil
		})}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
		if n := len(asked); n < 12 || n > 30 {
			t.Errorf("asked %d times in 10 minutes: %v", n, asked)
		}
		for i := 1; i < len(asked); i++ {
			if gap := asked[i] - asked[i-1]; gap > longPause || gap < firstPause/2 {
				t.Errorf("asked after %s", gap)
			}
		}
		if time.Since(began) != 10*time.Minute {
			t.Errorf("Run ended after %s", time.Since(began))
		}
	})
}

// Many who sign in while the provider is away ask it once.
func TestProviderIsAskedOnce(t *testing.T) {
	p := newIDP(t)
	p.broken = true
	s := open(t, p.with(nil))
	if _, err := s.provider.find(t.Context()); err == nil {
		t.Fatal("found")
	}
	p.set(func() { p.broken = false })
	if _, err := s.provider.find(t.Context()); err == nil || !strings.Contains(err.Error(), "a moment ago") {
		t.Errorf("asked at once again: %v", err)
	}
}

// It may go away in the middle of a sign-in, or send us elsewhere.
func TestProviderThatGoesAway(t *testing.T) {
	p := newIDP(t)
	s := open(t, p.with(nil))
	b := s.browser()
	code, state := p.authorize(b.begin("/"))
	p.Close()
	if status, said := b.post(callbackPath, fields{"code": code, "state": state}); status != http.StatusBadGateway || said["code"] != "failed" || b.role() != "" {
		t.Errorf("%d %v", status, said)
	}
	good := newIDP(t)
	elsewhere := serveOnce(t, func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, good.URL+r.URL.Path, http.StatusFound)
	})
	if _, err := newProvider(OIDC{Issuer: elsewhere}, s.cfg.Logger).find(t.Context()); err == nil || !strings.Contains(err.Error(), "302") {
		t.Errorf("a redirect is followed: %v", err)
	}
}

// Who leaves while the provider is asked does not keep others from asking.
func TestProviderAndWhoLeaves(t *testing.T) {
	s := open(t, newIDP(t).with(nil))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.provider.find(gone); err == nil {
		t.Fatal("found")
	}
	if _, err := s.provider.find(t.Context()); err != nil {
		t.Error(err)
	}
}

// An answer without an end is not read to it.
func TestLimitedAnswers(t *testing.T) {
	d := newDoor(t, Config{Method: MethodOIDC, OIDC: OIDC{Issuer: "https://a", ClientID: "x"}})
	server := serveOnce(t, func(rw http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat("x", 64<<10))
		for range 4 * maxAnswer / len(chunk) {
			if _, err := rw.Write(chunk); err != nil {
				return
			}
		}
	})
	response, err := d.provider.client.Get(server)
	if err != nil {
		t.Fatal(err)
	}
	defer d.provider.client.CloseIdleConnections()
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || len(data) != maxAnswer {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestRunWithoutProvider(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newDoor(t, Config{}).Run(ctx); err != nil {
		t.Error(err)
	}
}

func serveOnce(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server.URL
}
