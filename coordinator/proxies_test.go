package coordinator

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTrustedProxies(t *testing.T) {
	byDefault := []string(nil)
	for _, test := range []struct {
		list   []string
		remote string
		want   bool
	}{
		{byDefault, "127.0.0.1:1", true},
		{byDefault, "[::1]:1", true},
		{byDefault, "[::ffff:10.1.2.3]:1", true},
		{byDefault, "172.17.0.1:1", true},
		{byDefault, "172.32.0.1:1", false},
		{byDefault, "[fd00::2]:1", true},
		{byDefault, "[fe80::2%eth0]:1", false},
		{byDefault, "203.0.113.5:1", false},
		{byDefault, "@", false},
		{[]string{}, "127.0.0.1:1", false},
		{[]string{"203.0.113.5"}, "203.0.113.5:1", true},
		{[]string{"203.0.113.5"}, "203.0.113.6:1", false},
		{[]string{"203.0.113.5"}, "10.0.0.1:1", false},
		{[]string{"2001:db8::/32", "10.0.0.7/8"}, "[2001:db8:1::2]:1", true},
		{[]string{"2001:db8::/32", "10.0.0.7/8"}, "10.9.9.9:1", true},
	} {
		p, err := newProxies(test.list)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = test.remote
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto"} {
			r.Header.Set(name, "198.51.100.1")
		}
		r.Header.Set("Cookie", "stays")
		seen := 0
		p.only(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = len(r.Header) })).ServeHTTP(nil, r)
		if want := map[bool]int{true: 3, false: 1}[test.want]; seen != want {
			t.Errorf("%v: of %s come %d headers, want %d", test.list, test.remote, seen, want)
		}
	}
	for _, bad := range []string{"", "everybody", "10.0.0.0/99", "10.0.0.1:8000", "fe80::1%eth0"} {
		if p, err := newProxies([]string{bad}); err == nil {
			t.Errorf("%q is taken as %v", bad, p)
		}
	}
}

// TestStrangersAreNoProxies: what a stranger says of itself reaches neither
// limits nor cookies of a coordinator that trusts nobody.
func TestStrangersAreNoProxies(t *testing.T) {
	d := start(t, func(cfg *Config) {
		cfg.TrustedProxies = []string{}
		cfg.SignIn.AdminPassword = "12345678"
	})
	for header, value := range map[string]string{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"} {
		req, err := http.NewRequest(http.MethodPost, d.url("http", "/auth/login"), strings.NewReader(`{"password": "12345678"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(header, value)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if cookies := res.Cookies(); res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNoContent || len(cookies) == 0 || cookies[0].Secure {
			t.Errorf("with %s: status %d, cookies %v", header, res.StatusCode, cookies)
		}
	}
}
