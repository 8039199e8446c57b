package signin

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSecret = "a secret of the tests"

// counted are the causes that were refused.
type counted struct {
	mu  sync.Mutex
	all map[string]int
}

func (c *counted) refused(cause string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]int{}
	}
	c.all[cause]++
}

func (c *counted) of(cause string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[cause]
}

// site is a Door behind a server. What it says is the path and who is there.
type site struct {
	*Door
	t       *testing.T
	server  *httptest.Server
	counted *counted
}

// open serves a Door; the clock can be turned before the first request.
func open(t *testing.T, cfg Config) *site {
	t.Helper()
	c := &counted{}
	if cfg.Secret == "" {
		cfg.Secret = testSecret
	}
	cfg.Refused = c.refused
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	d.Routes(mux)
	s := &site{Door: d, t: t, server: httptest.NewServer(mux), counted: c}
	t.Cleanup(func() {
		s.server.Close()
		if d.provider != nil {
			d.provider.client.CloseIdleConnections()
		}
	})
	return s
}

// browser keeps cookies.
type browser struct {
	t      *testing.T
	client *http.Client
	base   string
}

func newBrowser(t *testing.T, base string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, &http.Client{Jar: jar, Transport: transport, Timeout: 2 * time.Minute}, base}
}

func (s *site) browser() *browser { return newBrowser(s.t, s.server.URL) }

// do sends a request with a JSON body, unless that is nil, and answers status
// and body.
func (b *browser) do(method, path string, body any, header http.Header) (*http.Response, []byte) {
	b.t.Helper()
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		reader = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, reader)
	if err != nil {
		b.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(r.Header, header)
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response, data
}

// post answers the status and what was said.
func (b *browser) post(path string, body any) (int, map[string]any) {
	b.t.Helper()
	response, data := b.do(http.MethodPost, path, body, nil)
	said := map[string]any{}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &said); err != nil {
			b.t.Fatalf("%s: %s", path, data)
		}
	}
	return response.StatusCode, said
}

func (b *browser) state() state {
	b.t.Helper()
	_, data := b.do(http.MethodGet, "/auth/state", nil, nil)
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		b.t.Fatalf("state: %s", data)
	}
	return s
}

func (b *browser) role() string {
	b.t.Helper()
	if user := b.state().User; user != nil {
		return user.Role
	}
	return ""
}

// cookie is the value of one of ours.
func (b *browser) cookie(name string) string {
	u, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (b *browser) setCookie(name, value string) {
	u, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// idp is a provider that can be as bad as a test wants it.
type idp struct {
	*httptest.Server
	key *rsa.PrivateKey

	mu       sync.Mutex
	claims   func(claims map[string]any) // changes those of an ID token
	info     map[string]any              // of the user info, nil = there is none
	broken   bool                        // nothing is answered as it should
	codes    map[string]url.Values       // what was asked for with a code that is good yet
	redeemed []url.Values                // requests for tokens
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &idp{key: key, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.serveDiscovery)
	mux.HandleFunc("GET /keys", func(rw http.ResponseWriter, _ *http.Request) {
		answer(rw, http.StatusOK, map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1",
			"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("POST /token", p.serveToken)
	mux.HandleFunc("GET /info", func(rw http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		answer(rw, http.StatusOK, p.info)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *idp) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *idp) serveDiscovery(rw http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		http.Error(rw, "out of order", http.StatusServiceUnavailable)
		return
	}
	known := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
		"jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"},
	}
	if p.info != nil {
		known["userinfo_endpoint"] = p.URL + "/info"
	}
	answer(rw, http.StatusOK, known)
}

// authorize is what a browser does at the provider: it comes back with a code.
func (p *idp) authorize(location string) (code, state string) {
	u, err := url.Parse(location)
	if err != nil {
		panic(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	code = rand.Text()
	p.codes[code] = u.Query()
	return code, u.Query().Get("state")
}

func (p *idp) serveToken(rw http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	p.redeemed = append(p.redeemed, r.PostForm)
	asked := p.codes[r.PostForm.Get("code")]
	delete(p.codes, r.PostForm.Get("code"))
	challenge := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if asked == nil || asked.Get("code_challenge_method") != "S256" || asked.Get("redirect_uri") != r.PostForm.Get("redirect_uri") ||
		asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]) {
		answer(rw, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	claims := map[string]any{
		"iss": p.URL, "sub": "user-1", "aud": asked.Get("client_id"), "nonce": asked.Get("nonce"), "name": "Ada",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "email": "ada@example.org", "email_verified": true,
	}
	if p.claims != nil {
		p.claims(claims)
	}
	answer(rw, http.StatusOK, map[string]any{"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": sign(p.key, claims)})
}

// sign makes a JWT, RFC 7519 and RFC 7515.
func sign(key *rsa.PrivateKey, claims map[string]any) string {
	data, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	body := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + base64.RawURLEncoding.EncodeToString(data)
	sum := sha256.Sum256([]byte(body))
	mac, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return body + "." + base64.RawURLEncoding.EncodeToString(mac)
}

// with is a configuration for this provider.
func (p *idp) with(change func(*OIDC)) Config {
	o := OIDC{Issuer: p.URL, ClientID: "cloudretro", ClientSecret: "s3cret"}
	if change != nil {
		change(&o)
	}
	return Config{Method: MethodOIDC, OIDC: o}
}

// begin starts a sign-in and answers what the provider is to be asked.
func (b *browser) begin(back string) string {
	b.t.Helper()
	status, said := b.post("/auth/start", map[string]string{"return": back})
	location, _ := said["location"].(string)
	if status != http.StatusOK || location == "" {
		b.t.Fatalf("start: %d %v", status, said)
	}
	return location
}

// signIn does all of it.
func (b *browser) signIn(p *idp) (int, map[string]any) {
	b.t.Helper()
	code, state := p.authorize(b.begin("/"))
	return b.post(callbackPath, map[string]string{"code": code, "state": state})
}

func player() signal.User {
	return signal.User{ID: "someone", Name: "Some One", Role: signal.RolePlayer}
}

func request(target string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

// given are the cookies of an answer by name.
func given(rw *httptest.ResponseRecorder) map[string]*http.Cookie {
	all := map[string]*http.Cookie{}
	for _, c := range rw.Result().Cookies() {
		all[c.Name] = c
	}
	return all
}

func contains(t *testing.T, text any, parts ...string) {
	t.Helper()
	s, _ := text.(string)
	for _, part := range parts {
		if !strings.Contains(s, part) {
			t.Errorf("%q does not say %q", s, part)
		}
	}
}
