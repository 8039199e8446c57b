package signin

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func newDoor(t testing.TB, cfg Config) *Door {
	t.Helper()
	if cfg.Secret == "" {
		cfg.Secret = testSecret
	}
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// admitted is the cookie of a user that a door has let in.
func admitted(d *Door, r *http.Request, user signal.User) *http.Cookie {
	rw := httptest.NewRecorder()
	d.admit(rw, r, user)
	return rw.Result().Cookies()[0]
}

func TestCookie(t *testing.T) {
	secure := request("https://play.example.org/")
	plain := request("http://play.example.org/")
	proxied := request("http://play.example.org/")
	proxied.Header.Set("X-Forwarded-Proto", "https")
	downgraded := request("http://play.example.org/")
	downgraded.Header.Add("X-Forwarded-Proto", "https") // a client's word, passed on
	downgraded.Header.Add("X-Forwarded-Proto", "http")
	d := newDoor(t, Config{})
	for name, test := range map[string]struct {
		r   *http.Request
		tls bool
	}{"TLS": {secure, true}, "plain": {plain, false}, "a proxy's TLS": {proxied, true}, "no TLS at the proxy": {downgraded, false}} {
		c := admitted(d, test.r, player())
		wantName := sessionCookie
		if test.tls {
			wantName = "__Host-" + sessionCookie
		}
		if c.Name != wantName || c.Secure != test.tls || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 12*3600 {
			t.Errorf("%s: %v", name, c)
		}
		test.r.AddCookie(c)
		if user := d.User(test.r); user == nil || *user != player() {
			t.Errorf("%s: %v is signed in", name, user)
		}
	}
	// What came without TLS may be anybody's and does not count with it.
	r := request("https://play.example.org/", admitted(d, plain, player()))
	r.TLS = &tls.ConnectionState{}
	if user := d.User(r); user != nil {
		t.Errorf("a cookie without the prefix is taken over TLS: %v", user)
	}
}

func TestCookieOfAnother(t *testing.T) {
	base := Config{Method: MethodPassword, Password: "12345678", AdminPassword: "87654321"}
	d := newDoor(t, base)
	c := admitted(d, request("/"), player())
	if newDoor(t, base).User(request("/", c)) == nil {
		t.Error("another replica does not know it")
	}
	for name, change := range map[string]func(*Config){
		"secret":             func(cfg *Config) { cfg.Secret = "another" },
		"password":           func(cfg *Config) { cfg.Password = "123456789" },
		"password of admins": func(cfg *Config) { cfg.AdminPassword = "987654321" },
		"shifted passwords":  func(cfg *Config) { cfg.Password, cfg.AdminPassword = "123456788", "7654321x" },
		"method":             func(cfg *Config) { cfg.Method, cfg.Password = MethodNone, "" },
		"admins": func(cfg *Config) {
			cfg.Method, cfg.Password, cfg.OIDC = MethodOIDC, "", OIDC{Issuer: "https://a", ClientID: "b", Admins: []string{"c@d"}}
		},
	} {
		cfg := base
		change(&cfg)
		if user := newDoor(t, cfg).User(request("/", c)); user != nil {
			t.Errorf("%s: %v is signed in still", name, user)
		}
	}
	// The cookie of one thing is not one of another.
	if user := d.User(request("/", &http.Cookie{Name: sessionCookie, Value: d.seal.seal(forFlow, []byte(`{}`))})); user != nil {
		t.Errorf("a flow signs %v in", user)
	}
}

func TestForgedCookies(t *testing.T) {
	s := open(t, Config{})
	good := admitted(s.Door, request("/"), player())
	admin, err := json.Marshal(session{signal.User{ID: "x", Name: "x", Role: signal.RoleAdmin}, 1, time.Now().Unix() + 1000})
	if err != nil {
		t.Fatal(err)
	}
	last := good.Value[len(good.Value)-1]
	for name, value := range map[string]string{
		"empty": "", "text": "admin", "JSON": string(admin), "cut": good.Value[:len(good.Value)-2], "longer": good.Value + "AAAA",
		"changed": good.Value[:20] + flip(good.Value[20]) + good.Value[21:], "last bits": good.Value[:len(good.Value)-1] + flip(last),
		"huge": strings.Repeat("A", 2*maxSealed), "padding": good.Value + "=", "spaces": good.Value[:9] + " " + good.Value[9:],
	} {
		before := s.counted.of("token")
		r := request("/")
		r.Header.Set("Cookie", sessionCookie+"="+value)
		if user := s.User(r); user != nil {
			t.Errorf("%s: %v is signed in", name, user)
		}
		if s.counted.of("token") == before && name != "JSON" { // no cookie at all by its quotes
			t.Errorf("%s is not counted", name)
		}
	}
	// One that somebody put beside ours does not lock us out, and there is an end.
	bad := &http.Cookie{Name: sessionCookie, Value: "bad"}
	if s.User(request("/", bad, bad, good)) == nil {
		t.Error("a bad cookie hides the good one")
	}
	if s.User(request("/", bad, bad, bad, bad, good)) != nil {
		t.Error("any number of cookies is looked at")
	}
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestExpiryAndRenewal(t *testing.T) {
	s := open(t, Config{TTL: time.Hour})
	now := time.Now()
	s.now = func() time.Time { return now }
	began := now
	c := admitted(s.Door, request("/"), player())
	now = now.Add(time.Minute)
	rw := httptest.NewRecorder()
	if s.Renew(rw, request("/", c)); len(given(rw)) != 0 {
		t.Error("renewed with each request")
	}
	s.Renew(rw, request("/"))
	s.Renew(rw, request("/", &http.Cookie{Name: sessionCookie, Value: "x"}))
	if len(given(rw)) != 0 {
		t.Error("nobody is renewed")
	}
	first := c
	for now.Sub(began) < renewals*time.Hour {
		now = now.Add(45 * time.Minute)
		rw := httptest.NewRecorder()
		s.Renew(rw, request("/", c))
		if next := given(rw)[sessionCookie]; next != nil {
			c = next
		}
		if now.Sub(began) < renewals*time.Hour && s.User(request("/", c)) == nil {
			t.Fatalf("signed out after %s though they came back", now.Sub(began))
		}
	}
	if s.User(request("/", c)) != nil {
		t.Errorf("signed in after %s still", now.Sub(began))
	}
	if s.counted.of("expired") == 0 {
		t.Error("not counted")
	}
	now = began.Add(time.Hour)
	if s.User(request("/", first)) != nil {
		t.Error("signed in at the end still")
	}
	if now = began.Add(time.Hour - time.Second); s.User(request("/", first)) == nil {
		t.Error("signed out before the end")
	}
}

func TestDecodeSession(t *testing.T) {
	for text, want := range map[string]bool{
		`{"u":{"id":"a","name":"A","role":"player"},"b":1,"e":2}`: true,
		`{"u":{"id":"A","name":"A","role":"player"},"b":1,"e":2}`: false,
		`{"u":{"id":"a","name":"A","role":"king"},"b":1,"e":2}`:   false,
		`{"u":{"id":"a","name":"A","role":"player"},"b":0,"e":2}`: false,
		`{"u":{"id":"a","name":"A","role":"player"},"b":2,"e":2}`: false,
		`{}`: false, ``: false, `null`: false, `[]`: false,
	} {
		if got := decodeSession([]byte(text)) != nil; got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// Whatever stands in the cookies, nobody is signed in whom we did not seal.
func FuzzCookie(f *testing.F) {
	d := newDoor(f, Config{})
	f.Add("x", false)
	f.Add(admitted(d, request("/"), player()).Value, false)
	f.Add(`{"u":{"id":"a","name":"A","role":"admin"},"b":1,"e":99999999999}`, true)
	f.Add(`{"u":{"id":"a","role":"admin"},"b":-1,"e":99999999999}`, true)
	f.Fuzz(func(t *testing.T, text string, sealed bool) {
		if sealed {
			text = d.seal.seal(forSession, []byte(text))
		}
		r := request("/")
		r.Header.Set("Cookie", sessionCookie+"="+text)
		if user := d.User(r); user != nil && user.Validate() != nil {
			t.Errorf("%+v is signed in", user)
		}
		d.Renew(httptest.NewRecorder(), r)
	})
}

func TestRemote(t *testing.T) {
	for from, want := range map[string]string{
		"203.0.113.1:80": "203.0.113.1/32", "[2001:db8::1:2:3:4]:80": "2001:db8::/64", "[::ffff:203.0.113.1]:80": "203.0.113.1/32",
		"nonsense": "invalid Prefix", "a:80": "invalid Prefix", "[fe80::1%eth0]:80": "fe80::/64",
	} {
		r := request("/")
		r.RemoteAddr = from
		if got := remote(r).String(); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
}
