package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func TestClaims(t *testing.T) {
	s := newServer(t)
	v, _ := s.verifier(t)
	in := func(d time.Duration) *jwt.NumericDate { return jwt.NewNumericDate(time.Now().Add(d)) }
	for name, tt := range map[string]struct {
		change func(*claims)
		says   string // "" = taken
	}{
		"as it should be":      {nil, ""},
		"several audiences":    {func(c *claims) { c.Audience = append(c.Audience, "other") }, ""},
		"clocks differ":        {func(c *claims) { c.Expiry, c.NotBefore = in(-20*time.Second), in(20*time.Second) }, ""},
		"expired":              {func(c *claims) { c.Expiry = in(-time.Minute) }, "expired"},
		"for ever":             {func(c *claims) { c.Expiry = nil }, "expired"},
		"not yet":              {func(c *claims) { c.NotBefore = in(time.Minute) }, "not valid yet"},
		"no audience":          {func(c *claims) { c.Audience = nil }, "audience"},
		"another audience":     {func(c *claims) { c.Audience = jwt.Audience{"cloudretro.example.org"} }, "audience"},
		"another account":      {func(c *claims) { c.Subject = "system:serviceaccount:arcade:worker2" }, "it is of"},
		"another namespace":    {func(c *claims) { c.Subject = "system:serviceaccount:arcade2:worker" }, "it is of"},
		"no account":           {func(c *claims) { c.Subject = "" }, "it is of"},
		"a long subject":       {func(c *claims) { c.Subject = strings.Repeat("x", 4000) }, "it is of"},
		"namespace differs":    {func(c *claims) { c.Kubernetes.Namespace = "other" }, "names another"},
		"account differs":      {func(c *claims) { c.Kubernetes.ServiceAccount.Name = "other" }, "names another"},
		"no pod":               {func(c *claims) { c.Kubernetes.Pod.Name = "" }, "no pod"},
		"a pod of odd name":    {func(c *claims) { c.Kubernetes.Pod.Name = "../x\n" }, "no pod"},
		"a pod without uid":    {func(c *claims) { c.Kubernetes.Pod.UID = "" }, "no pod"},
		"another issuer":       {func(c *claims) { c.Issuer = "https://example.org" }, "issuer"},
		"an issuer like it":    {func(c *claims) { c.Issuer = issuer + "/" }, "issuer"},
		"a bigger pod's uid":   {func(c *claims) { c.Kubernetes.Pod.UID = strings.Repeat("u", 65) }, "no pod"},
		"nothing but the name": {func(c *claims) { *c = claims{Claims: jwt.Claims{Subject: c.Subject}} }, "names another"},
	} {
		token := s.token(t, "one", tt.change)
		who, err := v.Verify(t.Context(), token)
		switch {
		case tt.says == "" && signal.TokenPod(token) != who.UID:
			t.Errorf("%s: the worker reads that it is in pod %q", name, signal.TokenPod(token))
		case tt.says == "" && (err != nil || who != (Identity{"worker-1", "u"})):
			t.Errorf("%s: %+v, %v", name, who, err)
		case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says) || errors.Is(err, ErrUnknown) || who != (Identity{}) || len(err.Error()) > 400):
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
}

// TestForgeries: what is no token of the API server costs it nothing.
func TestForgeries(t *testing.T) {
	s, other := newServer(t), newServer(t)
	v, _ := s.verifier(t)
	good := s.token(t, "one", nil)
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	asked := s.reviews.Load()
	encode := base64.RawURLEncoding.EncodeToString
	parts := strings.Split(good, ".")
	shared := jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}
	for name, token := range map[string]string{
		"empty": "", "garbage": "garbage", "dots": "..", "many dots": strings.Repeat(".", 8000), "a megabyte": strings.Repeat("a", 1<<20),
		"a long one":            parts[0] + "." + strings.Repeat("a", 9000) + "." + parts[2],
		"algorithm none":        encode([]byte(`{"alg":"none","kid":"one"}`)) + "." + parts[1] + ".",
		"none with a signature": encode([]byte(`{"alg":"none","kid":"one"}`)) + "." + parts[1] + "." + parts[2],
		"a shared key":          mint(t, shared, "one", nil),
		"without key id":        encode([]byte(`{"alg":"ES256"}`)) + "." + parts[1] + "." + parts[2],
		"no JSON":               parts[0] + "." + encode([]byte("[]")) + "." + parts[2],
		"another's key":         other.token(t, "one", nil),
		"another algorithm":     encode([]byte(`{"alg":"RS256","kid":"one"}`)) + "." + parts[1] + "." + parts[2],
		"changed claims":        parts[0] + "." + encode([]byte(strings.Replace(string(decode(t, parts[1])), "worker-1", "worker-2", 1))) + "." + parts[2],
		"of two":                parts[0] + "." + parts[1] + "." + strings.Split(s.token(t, "one", func(c *claims) { c.ID = "x" }), ".")[2],
	} {
		if who, err := v.Verify(t.Context(), token); err == nil || errors.Is(err, ErrUnknown) || who != (Identity{}) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	if n := s.reviews.Load(); n != asked || s.fetches.Load() != 1 {
		t.Errorf("%d reviews and %d fetches for forgeries", n-asked, s.fetches.Load())
	}
}

func decode(t *testing.T, part string) []byte {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestUnknownKeys in a loop do not make a storm, and do not keep a new key out.
func TestUnknownKeys(t *testing.T) {
	s := newServer(t)
	v, clock := s.verifier(t)
	if _, err := v.Verify(t.Context(), s.token(t, "one", nil)); err != nil {
		t.Fatal(err)
	}
	other := newServer(t)
	var group sync.WaitGroup
	for i := range 200 {
		id := fmt.Sprint("made-up-", i)
		other.rotate(t, id)
		token := other.token(t, id, nil)
		group.Go(func() {
			if _, err := v.Verify(t.Context(), token); err == nil || errors.Is(err, ErrUnknown) {
				t.Errorf("made up: %v", err)
			}
		})
	}
	group.Wait()
	if n := s.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
	s.rotate(t, "two")
	clock.pass(fetchPause)
	if _, err := v.Verify(t.Context(), s.token(t, "two", nil)); err != nil {
		t.Errorf("with the new key: %v", err)
	}
	if n := s.fetches.Load(); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

// TestServerAway: what is known holds; of what is not known nothing is said.
func TestServerAway(t *testing.T) {
	s := newServer(t)
	v, clock := s.verifier(t)
	s.down.Store(true)
	if _, err := v.Verify(t.Context(), s.token(t, "one", nil)); !errors.Is(err, ErrUnknown) {
		t.Errorf("without any key: %v", err)
	}
	s.down.Store(false)
	clock.pass(fetchPause)
	if _, err := v.Verify(t.Context(), s.token(t, "one", nil)); err != nil {
		t.Errorf("it is back: %v", err)
	}
	s.down.Store(true)
	lasts := func(c *claims) { c.ID, c.Expiry = "again", jwt.NewNumericDate(time.Now().Add(time.Hour)) }
	clock.pass(fetchAgain)
	if _, err := v.Verify(t.Context(), s.token(t, "one", lasts)); err != nil {
		t.Errorf("with a known key, old by now: %v", err)
	}
	s.rotate(t, "two")
	clock.pass(fetchPause)
	if _, err := v.Verify(t.Context(), s.token(t, "two", lasts)); !errors.Is(err, ErrUnknown) {
		t.Errorf("with a key that is not known: %v", err)
	}
}

// TestReviewsAreFew: a token is shown once in a while, and none after it was
// forbidden, for a while.
func TestReviewsAreFew(t *testing.T) {
	s := newServer(t)
	v, clock := s.verifier(t)
	token := s.token(t, "one", func(c *claims) { c.Expiry = jwt.NewNumericDate(time.Now().Add(time.Hour)) })
	verify := func(want int32) {
		t.Helper()
		for range 10 {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.reviews.Load(); n != want {
			t.Errorf("%d reviews, want %d", n, want)
		}
	}
	verify(1)
	clock.pass(remember)
	verify(2)
	s.forbidden.Store(true)
	clock.pass(remember)
	verify(3)
	clock.pass(remember)
	verify(3)
	s.forbidden.Store(false)
	clock.pass(forbiddenPause)
	verify(4)
}

func TestCacheIsBounded(t *testing.T) {
	c, now := newCache(), time.Now()
	for i := range maxCached + 10 {
		c.put(fmt.Sprint(i), result{}, now)
	}
	if _, ok := c.get("0", now); !ok || len(c.all) != maxCached {
		t.Errorf("%d are remembered", len(c.all))
	}
	later := now.Add(remember)
	c.put("later", result{}, later)
	if _, ok := c.get("0", later); ok || len(c.all) != 1 {
		t.Errorf("%d are remembered later", len(c.all))
	}
}

func TestKeysAsTheyCome(t *testing.T) {
	for document, want := range map[string]int{
		"": 0, "[]": 0, `{"keys":[]}`: 0, `{"keys":[7,{}]}`: 0, `{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}`: 0,
		`{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},{"kty":"new"}]}`: 1,
	} {
		if keys, err := parseKeys([]byte(document)); len(keys) != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %d keys, %v", document, len(keys), err)
		}
	}
	if _, err := parseIssuer([]byte(`{"issuer":""}`)); err == nil {
		t.Error("no issuer is taken")
	}
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	for _, cfg := range []Config{{}, {Namespace: "a", ServiceAccount: "b"}, {Namespace: "a", ServiceAccount: "b", Audience: "c"}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

func FuzzParse(f *testing.F) {
	s := newServer(f)
	v, _ := s.verifier(f)
	f.Add(s.token(f, "one", nil))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOjd9.AAAA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := parse(token)
		if err != nil {
			return
		}
		if p.key == "" || len(token) > maxToken {
			t.Errorf("taken: %q", token)
		}
		_ = v.admits(p.claims, time.Now())
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"AA","y":"AA"}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, err := parseKeys(document)
		if len(keys) > maxKeys || (err == nil) != (len(keys) > 0) {
			t.Errorf("%d keys, %v", len(keys), err)
		}
	})
}

// TestHangUp: who hangs up while the keys are fetched for its token does not
// spoil the fetch, which is not tried again at once, for the others.
func TestHangUp(t *testing.T) {
	s := newServer(t)
	v, _ := s.verifier(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	s.forbidden.Store(true)
	token := s.token(t, "one", nil)
	_, _ = v.Verify(gone, token) // or its turn never came
	if _, err := v.Verify(t.Context(), s.token(t, "one", func(c *claims) { c.Kubernetes.Pod.UID = "v" })); err != nil {
		t.Error(err)
	}
	if n := s.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// TestHugeDocument: no more of a document is read than it may have.
func TestHugeDocument(t *testing.T) {
	huge := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write(make([]byte, maxDocument+1))
	}))
	defer huge.Close()
	v, _ := (&server{Server: huge}).verifier(t)
	if _, err := v.keys.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "has more than") {
		t.Error(err)
	}
	huge.Config.Handler = http.NotFoundHandler()
	if _, err := v.keys.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), issuerPath) {
		t.Error(err)
	}
}
