package signin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func TestSignInAtProvider(t *testing.T) {
	p := newIDP(t)
	s := open(t, p.with(nil))
	b := s.browser()
	const back = "/room/abcdefghijklmnopqrstuvwxyz?player=2"
	location := b.begin(back)
	asked, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"client_id": "cloudretro", "response_type": "code", "scope": "openid profile email",
		"redirect_uri": s.server.URL + callbackPath, "code_challenge_method": "S256",
	} {
		if got := asked.Query().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(asked.Query().Get(name)) < 26 {
			t.Errorf("%s is %q", name, asked.Query().Get(name))
		}
	}
	code, state := p.authorize(location)
	status, said := b.post(callbackPath, fields{"code": code, "state": state})
	user := b.state().User
	if status != http.StatusOK || said["return"] != back || user == nil || user.Name != "Ada" || user.Role != signal.RolePlayer || user.Validate() != nil {
		t.Fatalf("%d %v, %v is signed in", status, said, user)
	}
	if b.cookie(flowCookie) != "" {
		t.Error("the flow is kept")
	}
	// Who comes again is the same one, in any browser.
	other := s.browser()
	if status, said := other.signIn(p); status != http.StatusOK || other.state().User.ID != user.ID {
		t.Errorf("%d %v", status, said)
	}
	// In the address bar, history and logs stands nothing that lets somebody in.
	if strings.Contains(location, "s3cret") || strings.Contains(location, p.redeemed[0].Get("code_verifier")) {
		t.Errorf("%s tells a secret", location)
	}
}

// Each of these is refused, and nobody is signed in by it.
func TestRefusedFlows(t *testing.T) {
	p := newIDP(t)
	for name, test := range map[string]struct {
		do    func(s *site, b *browser) (int, map[string]any)
		cause string
	}{
		"forged state": {func(_ *site, b *browser) (int, map[string]any) {
			code, _ := p.authorize(b.begin("/"))
			return b.post(callbackPath, fields{"code": code, "state": "forged"})
		}, "state"},
		"no state": {func(_ *site, b *browser) (int, map[string]any) {
			code, _ := p.authorize(b.begin("/"))
			return b.post(callbackPath, fields{"code": code})
		}, "state"},
		"another browser's sign-in": {func(s *site, b *browser) (int, map[string]any) {
			code, state := p.authorize(s.browser().begin("/"))
			b.begin("/")
			return b.post(callbackPath, fields{"code": code, "state": state})
		}, "state"},
		"another browser's code": {func(s *site, b *browser) (int, map[string]any) {
			code, _ := p.authorize(s.browser().begin("/"))
			_, state := p.authorize(b.begin("/"))
			return b.post(callbackPath, fields{"code": code, "state": state})
		}, "denied"},
		"forged cookie": {func(_ *site, b *browser) (int, map[string]any) {
			code, state := p.authorize(b.begin("/"))
			value := b.cookie(flowCookie)
			b.setCookie(flowCookie, value[:30]+flip(value[30])+value[31:])
			return b.post(callbackPath, fields{"code": code, "state": state})
		}, "state"},
		"a session for a flow": {func(s *site, b *browser) (int, map[string]any) {
			code, state := p.authorize(b.begin("/"))
			b.setCookie(flowCookie, s.seal.seal(forSession, []byte(`[]`)))
			return b.post(callbackPath, fields{"code": code, "state": state})
		}, "state"},
		"expired flow": {func(s *site, b *browser) (int, map[string]any) {
			code, state := p.authorize(b.begin("/"))
			later := time.Now().Add(flowLife)
			s.now = func() time.Time { return later }
			return b.post(callbackPath, fields{"code": code, "state": state})
		}, "state"},
		"replayed": {func(_ *site, b *browser) (int, map[string]any) {
			code, state := p.authorize(b.begin("/"))
			b.post(callbackPath, fields{"code": code, "state": state})
			b.post("/auth/logout", fields{})
			return b.post(callbackPath, fields{"code": code, "state": state})
		}, "state"},
		"replayed with its cookie": {func(_ *site, b *browser) (int, map[string]any) {
			code, state := p.authorize(b.begin("/"))
			cookie := b.cookie(flowCookie)
			b.post(callbackPath, fields{"code": code, "state": state})
			b.post("/auth/logout", fields{})
			b.setCookie(flowCookie, cookie)
			return b.post(callbackPath, fields{"code": code, "state": state})
		}, "denied"},
		"no code": {func(_ *site, b *browser) (int, map[string]any) {
			_, state := p.authorize(b.begin("/"))
			return b.post(callbackPath, fields{"state": state})
		}, "denied"},
		"huge code": {func(_ *site, b *browser) (int, map[string]any) {
			_, state := p.authorize(b.begin("/"))
			return b.post(callbackPath, fields{"state": state, "code": strings.Repeat("x", maxCode+1)})
		}, "denied"},
		"the provider refuses": {func(_ *site, b *browser) (int, map[string]any) {
			code, state := p.authorize(b.begin("/"))
			return b.post(callbackPath, fields{"code": code, "state": state, "error": "access_denied"})
		}, "denied"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, p.with(nil))
			b := s.browser()
			status, said := test.do(s, b)
			if status != http.StatusForbidden || said["code"] != test.cause || b.role() != "" || s.counted.of(test.cause) != 1 {
				t.Errorf("%d %v, %q is signed in, counted %v", status, said, b.role(), s.counted.all)
			}
		})
	}
}

// What the provider signs must be for us, for this sign-in and for now.
func TestRefusedTokens(t *testing.T) {
	p := newIDP(t)
	s := open(t, p.with(nil))
	other := newIDP(t)
	for name, change := range map[string]func(map[string]any){
		"nonce":              func(c map[string]any) { c["nonce"] = "another" },
		"no nonce":           func(c map[string]any) { delete(c, "nonce") },
		"audience":           func(c map[string]any) { c["aud"] = "another" },
		"audiences":          func(c map[string]any) { c["aud"] = []string{"another", "one more"} },
		"no audience":        func(c map[string]any) { delete(c, "aud") },
		"made for another":   func(c map[string]any) { c["aud"], c["azp"] = []string{"cloudretro", "another"}, "another" },
		"issuer":             func(c map[string]any) { c["iss"] = other.URL },
		"expired":            func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() },
		"no subject":         func(c map[string]any) { delete(c, "sub") },
		"signed by another":  func(map[string]any) { p.key = other.key },
		"audience of a type": func(c map[string]any) { c["aud"] = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			key := p.key
			p.set(func() { p.claims = change })
			defer p.set(func() { p.key = key })
			b := s.browser()
			before := s.counted.of("token")
			status, said := b.signIn(p)
			if status != http.StatusForbidden || said["code"] != "token" || b.role() != "" || s.counted.of("token") != before+1 {
				t.Errorf("%d %v, %q is signed in", status, said, b.role())
			}
		})
	}
	p.set(func() { p.claims = nil })
	if status, said := s.browser().signIn(p); status != http.StatusOK {
		t.Errorf("a good one after all these: %d %v", status, said)
	}
}

// Several tabs may be on their way at once; there is an end to it.
func TestTabs(t *testing.T) {
	p := newIDP(t)
	s := open(t, p.with(nil))
	b := s.browser()
	var locations []string
	for range maxFlows + 1 {
		locations = append(locations, b.begin("/play/pong?"+strings.Repeat("x", maxReturn-len("/play/pong?"))))
	}
	for i, location := range locations {
		code, state := p.authorize(location)
		status, said := b.post(callbackPath, fields{"code": code, "state": state})
		if want := map[bool]int{true: http.StatusForbidden, false: http.StatusOK}[i == 0]; status != want {
			t.Errorf("tab %d: %d %v", i, status, said)
		}
	}
}

func TestFlowsFit(t *testing.T) {
	d := newDoor(t, Config{})
	all := make([]flow, maxFlows)
	for i := range all {
		all[i] = flow{string(rune('a' + i)), "n", "v", strings.Repeat("u", 1500), "/", time.Now().Unix() + 9}
	}
	rw := httptest.NewRecorder()
	d.keep(rw, request("/"), all)
	c := given(rw)[flowCookie]
	kept := d.flows(request("/", c))
	if len(c.Value) > maxSealed || len(kept) == 0 || kept[len(kept)-1].State != "d" {
		t.Errorf("%d flows in %d bytes", len(kept), len(c.Value))
	}
	if c.MaxAge != int(flowLife/time.Second) || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
		t.Errorf("cookie: %v", c)
	}
	rw = httptest.NewRecorder()
	if d.keep(rw, request("/"), nil); given(rw)[flowCookie].MaxAge != -1 {
		t.Error("nothing to keep is kept")
	}
}

func TestLocalPath(t *testing.T) {
	for _, path := range []string{"/", "/play/pong", "/room/abc?player=2", "/admin", "/a/../b", "/x?u=https://example.org"} {
		if got := localPath(path); got != path {
			t.Errorf("%s: %s", path, got)
		}
	}
	for _, path := range []string{
		"", "x", "//evil.example.org", "/\\evil.example.org", "\\\\evil", "https://evil.example.org/", "javascript:alert(1)", "/\t/evil.example.org",
		"/\n/evil", "/x#y", "/auth/callback?code=1", "/auth/x", "/" + strings.Repeat("x", maxReturn), "/%zz", "/é", "///evil", "http:/x", " /x", "/x\x00",
	} {
		if got := localPath(path); got != "/" {
			t.Errorf("%q: %q", path, got)
		}
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/", "//x", "/\\x", "/play/x?y=z", "https://x", "/auth/"} {
		f.Add(s)
	}
	base := &url.URL{Scheme: "https", Host: "play.example.org", Path: "/signin"}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := base.Parse(localPath(s))
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme || u.User != nil {
			t.Errorf("%q leads to %v, %v", s, u, err)
		}
	})
}

func TestRedirect(t *testing.T) {
	d := newDoor(t, Config{Method: MethodOIDC, OIDC: OIDC{Issuer: "https://a", ClientID: "b"}})
	for host, want := range map[string]string{
		"play.example.org": "https://play.example.org/auth/callback", "play.example.org:8443": "https://play.example.org:8443/auth/callback",
		"[::1]:8000": "https://[::1]:8000/auth/callback", "127.0.0.1": "https://127.0.0.1/auth/callback",
		"": "", "a b": "", "a/b": "", "evil.example.org/x?": "", "a@b": "", "a:b:c": "", "a#": "", "a?b": "", "-a": "", "a:99x": "", "a,b": "",
	} {
		r := request("https://x/")
		r.Host = host
		if got := d.redirect(r); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
	d.cfg.OIDC.RedirectURL = "https://fixed.example.org/auth/callback"
	if got := d.redirect(request("http://other/")); got != d.cfg.OIDC.RedirectURL {
		t.Errorf("as configured: %q", got)
	}
	s := open(t, newIDP(t).with(nil))
	r := httptest.NewRequest(http.MethodPost, "/auth/start", strings.NewReader(`{}`))
	r.Header.Set("Content-Type", "application/json")
	r.Host = "evil.example.org/x"
	rw := httptest.NewRecorder()
	if s.server.Config.Handler.ServeHTTP(rw, r); rw.Code != http.StatusBadRequest || len(given(rw)) != 0 {
		t.Errorf("a host that is none: %d", rw.Code)
	}
}

func TestCrossSiteFlow(t *testing.T) {
	p := newIDP(t)
	s := open(t, p.with(nil))
	b := s.browser()
	code, state := p.authorize(b.begin("/"))
	cross := http.Header{"Sec-Fetch-Site": {"cross-site"}}
	for path, body := range map[string]fields{"/auth/start": {}, callbackPath: {"code": code, "state": state}} {
		if response, _ := b.do(http.MethodPost, path, body, cross); response.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
	if b.role() != "" || s.counted.of("cross-site") != 2 {
		t.Errorf("%q is signed in, counted %v", b.role(), s.counted.all)
	}
}

func FuzzFlows(f *testing.F) {
	now := time.Unix(1000, 0)
	f.Add([]byte(`[{"s":"a","n":"b","v":"c","u":"https://d/","r":"/","e":2000}]`))
	f.Add([]byte(`[{"s":"a","n":"b","v":"c","u":"d","r":"//evil","e":2000},{"s":"","n":"","v":"","u":"","r":"/","e":-1}]`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		live := decodeFlows(data, now)
		if len(live) > maxFlows || slices.ContainsFunc(live, func(f flow) bool {
			return f.State == "" || f.Nonce == "" || f.Verifier == "" || f.Return != localPath(f.Return) || f.Expires <= 1000
		}) {
			t.Errorf("%+v", live)
		}
		if one, _ := pick(live, ""); one != nil {
			t.Errorf("no state picks %+v", one)
		}
		again, err := json.Marshal(live)
		if err != nil || len(decodeFlows(again, now)) != len(live) {
			t.Errorf("not the same again: %s", again)
		}
	})
}
