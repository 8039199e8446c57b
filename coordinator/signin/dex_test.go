package signin

import (
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/signin/signintest"
)

// dexSite is a Door whose provider is a real one.
func dexSite(t *testing.T, change func(*OIDC)) *site {
	t.Helper()
	s := &site{t: t, counted: &counted{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+callbackPath, func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, "the page of the sign-in")
	})
	s.server = httptest.NewServer(mux)
	t.Cleanup(s.server.Close)
	o := OIDC{
		Issuer: signintest.StartDex(t, s.server.URL+callbackPath), ClientID: signintest.ClientID, ClientSecret: signintest.ClientSecret,
		Admins: []string{signintest.Admin}, AdminClaim: "groups=" + signintest.Group, Scopes: []string{"openid", "profile", "email", "groups"},
	}
	if change != nil {
		change(&o)
	}
	d, err := New(Config{Method: MethodOIDC, OIDC: o, Secret: testSecret, Refused: s.counted.refused})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.provider.client.CloseIdleConnections)
	d.Routes(mux)
	s.Door = d
	return s
}

// page loads a page of the provider and answers where it was and what it says.
func (b *browser) page(r *http.Request, err error) (*url.URL, string) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response.Request.URL, string(data)
}

// follow is the address in a page that an expression finds.
func follow(t *testing.T, at *url.URL, page, expression string) string {
	t.Helper()
	found := regexp.MustCompile(expression).FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("%s has no %s:\n%s", at, expression, page)
	}
	u, err := at.Parse(html.UnescapeString(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// atDex signs in at Dex and answers what it sends the browser back with. Without
// an address it is by a click.
func (b *browser) atDex(location, email, password string) url.Values {
	b.t.Helper()
	ctx := b.t.Context()
	at, text := b.page(http.NewRequestWithContext(ctx, http.MethodGet, location, nil))
	way := `href="([^"]*/auth/click[^"]*)"`
	if email != "" {
		way = `href="([^"]*/auth/local[^"]*)"`
	}
	at, text = b.page(http.NewRequestWithContext(ctx, http.MethodGet, follow(b.t, at, text, way), nil))
	if email != "" {
		form := url.Values{"login": {email}, "password": {password}}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, follow(b.t, at, text, `<form method="post" action="([^"]*)"`), strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		at, text = b.page(r, err)
	}
	if at.Path != callbackPath || !strings.HasPrefix(b.base, "http://"+at.Host) {
		b.t.Logf("Dex keeps the browser at %s:\n%s", at, text)
		return nil
	}
	return at.Query()
}

// come ends a sign-in with what the provider gave to the browser.
func (b *browser) come(query url.Values) (int, map[string]any) {
	b.t.Helper()
	return b.post(callbackPath, fields{"code": query.Get("code"), "state": query.Get("state"), "error": query.Get("error")})
}

func TestDex(t *testing.T) {
	s := dexSite(t, nil)
	ids := map[string]bool{}
	for _, who := range []struct{ email, name, role string }{
		{signintest.Player, "player", signal.RolePlayer},
		{signintest.Admin, "admin", signal.RoleAdmin},
		{"", "Kilgore Trout", signal.RoleAdmin}, // by a group
	} {
		for range 2 {
			b := s.browser()
			status, said := b.come(b.atDex(b.begin("/play/pong"), who.email, signintest.Password))
			user := b.state().User
			if status != http.StatusOK || said["return"] != "/play/pong" || user == nil || user.Name != who.name || user.Role != who.role {
				t.Fatalf("%s: %d %v, %v is signed in", who.name, status, said, user)
			}
			ids[user.ID] = true
			b.post("/auth/logout", fields{})
			if b.role() != "" {
				t.Error("signed in still")
			}
		}
	}
	if len(ids) != 3 {
		t.Errorf("3 people are %d users", len(ids))
	}
	t.Run("refused", func(t *testing.T) { testDexRefused(t, s) })
}

func testDexRefused(t *testing.T, s *site) {
	b := s.browser()
	if query := b.atDex(b.begin("/"), signintest.Player, "a wrong password"); query != nil {
		t.Errorf("Dex lets in by a wrong password: %v", query)
	}
	query := b.atDex(b.begin("/"), signintest.Player, signintest.Password)
	forged := url.Values{"code": query["code"], "state": {"forged"}}
	if status, said := b.come(forged); status != http.StatusForbidden || said["code"] != "state" {
		t.Errorf("forged state: %d %v", status, said)
	}
	other := s.browser()
	other.begin("/")
	if status, said := other.come(query); status != http.StatusForbidden || said["code"] != "state" {
		t.Errorf("in another browser: %d %v", status, said)
	}
	// Dex binds the code to the challenge of the browser that began.
	_, state, _ := strings.Cut(other.begin("/"), "state=")
	state, _, _ = strings.Cut(state, "&")
	if status, said := other.come(url.Values{"code": query["code"], "state": {state}}); status != http.StatusForbidden || said["code"] != "denied" {
		t.Errorf("another browser's code: %d %v", status, said)
	}
	query = b.atDex(b.begin("/"), signintest.Player, signintest.Password)
	cookie := b.cookie(flowCookie)
	if status, said := b.come(query); status != http.StatusOK {
		t.Fatalf("the browser itself: %d %v", status, said)
	}
	b.post("/auth/logout", fields{})
	b.setCookie(flowCookie, cookie)
	if status, said := b.come(query); status != http.StatusForbidden || said["code"] != "denied" || b.role() != "" {
		t.Errorf("replayed: %d %v", status, said)
	}
	if s.counted.of("state") != 2 || s.counted.of("denied") != 2 {
		t.Errorf("counted: %v", s.counted.all)
	}
}

// Dex does not know us by another secret.
func TestDexWrongSecret(t *testing.T) {
	s := dexSite(t, func(o *OIDC) { o.ClientSecret = "another" })
	b := s.browser()
	status, said := b.come(b.atDex(b.begin("/"), signintest.Player, signintest.Password))
	if status != http.StatusForbidden || said["code"] != "denied" || b.role() != "" {
		t.Errorf("%d %v", status, said)
	}
}
