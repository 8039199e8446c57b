package signin

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

type fields = map[string]string

func TestPasswords(t *testing.T) {
	s := open(t, Config{Method: MethodPassword, Password: "for players", AdminPassword: "for admins"})
	ids := map[string]bool{}
	for password, role := range map[string]string{"for players": signal.RolePlayer, "for admins": signal.RoleAdmin} {
		for range 2 {
			b := s.browser()
			status, said := b.post("/auth/login", fields{"password": password})
			user := b.state().User
			if status != http.StatusOK || user == nil || user.Role != role || !signal.ValidID(user.ID) || user.Name == "" {
				t.Fatalf("%s: %d %v, %v is signed in", password, status, said, user)
			}
			ids[user.ID] = true
			if status, _ := b.post("/auth/logout", fields{}); status != http.StatusNoContent || b.role() != "" {
				t.Errorf("signed out: %d, %q is signed in", status, b.role())
			}
		}
	}
	if len(ids) != 4 {
		t.Errorf("4 browsers are %d users", len(ids))
	}
	for _, password := range []string{"", "for player", "for players ", "FOR PLAYERS", "for playersfor admins"} {
		b := s.browser()
		status, said := b.post("/auth/login", fields{"password": password})
		if status != http.StatusUnauthorized || said["code"] != "password" || b.role() != "" {
			t.Errorf("%q: %d %v", password, status, said)
		}
	}
	if s.counted.of("password") != 5 {
		t.Errorf("counted: %v", s.counted.all)
	}
}

// With every method there can be admins by a password; without one nobody can.
func TestAdminPassword(t *testing.T) {
	s := open(t, Config{AdminPassword: "for admins"})
	b := s.browser()
	if status, _ := b.post("/auth/login", fields{"password": ""}); status != http.StatusUnauthorized || b.role() != "" {
		t.Errorf("no password: %d, %q", status, b.role())
	}
	if status, _ := b.post("/auth/login", fields{"password": "for admins"}); status != http.StatusOK || b.role() != signal.RoleAdmin {
		t.Errorf("%d, %q", status, b.role())
	}
	b = open(t, Config{}).browser()
	if status, said := b.post("/auth/login", fields{"password": ""}); status != http.StatusNotFound || b.role() != "" {
		t.Errorf("without any password: %d %v", status, said)
	}
}

func TestGuessing(t *testing.T) {
	s := open(t, Config{Method: MethodPassword, Password: "for players"})
	now := time.Now()
	s.now = func() time.Time { return now }
	var wrong, late atomic.Int32
	var all sync.WaitGroup
	b := s.browser()
	for range 40 { // at once: no more are looked at than one after the other
		all.Go(func() {
			switch status, _ := b.post("/auth/login", fields{"password": "wrong password"}); status {
			case http.StatusUnauthorized:
				wrong.Add(1)
			case http.StatusTooManyRequests:
				late.Add(1)
			}
		})
	}
	all.Wait()
	if wrong.Load() != freeGuesses || late.Load() != 40-freeGuesses || s.counted.of("rate") != 40-freeGuesses {
		t.Errorf("%d guesses were looked at, %d not", wrong.Load(), late.Load())
	}
	response, body := b.do(http.MethodPost, "/auth/login", fields{"password": "for players"}, nil)
	if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") != "1" {
		t.Errorf("the right one while waiting: %d, %q", response.StatusCode, response.Header.Get("Retry-After"))
	}
	contains(t, string(body), "again in 1 s")
	now = now.Add(time.Second)
	if status, _ := b.post("/auth/login", fields{"password": "for players"}); status != http.StatusOK {
		t.Errorf("after waiting: %d", status)
	}
	for range freeGuesses {
		if status, _ := b.post("/auth/login", fields{"password": "wrong password"}); status != http.StatusUnauthorized {
			t.Errorf("forgiven, and yet %d", status)
		}
	}
}

func TestThrottle(t *testing.T) {
	th := newThrottle()
	now := time.Now()
	a, b := netip.MustParsePrefix("203.0.113.1/32"), netip.MustParsePrefix("203.0.113.2/32")
	for range freeGuesses {
		if wait := th.try(a, now); wait != 0 {
			t.Fatalf("wait %s", wait)
		}
	}
	var last time.Duration
	for range 80 {
		wait := th.try(a, now)
		if wait < last || wait > longestWait || wait == 0 {
			t.Fatalf("wait %s after %s", wait, last)
		}
		last = wait
		if again := th.try(a, now); again != wait { // asking costs nothing
			t.Fatalf("wait %s, then %s", wait, again)
		}
		if now = now.Add(wait); th.try(a, now) != 0 {
			t.Fatal("waited, and yet not looked at")
		}
	}
	if last != longestWait {
		t.Errorf("at last wait %s", last)
	}
	if th.try(b, now) != 0 || th.try(netip.Prefix{}, now) != 0 {
		t.Error("others wait, too")
	}
	if now = now.Add(memory + time.Second); th.try(a, now) != 0 || th.byAddress[a].wrong != 1 {
		t.Error("never forgotten")
	}
	var raw [4]byte
	for i := range maxGuessers + 500 {
		raw = [4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}
		th.try(netip.PrefixFrom(netip.AddrFrom4(raw), 32), now)
	}
	if n := len(th.byAddress); n > maxGuessers {
		t.Errorf("%d are remembered", n)
	}
	th.try(a, now.Add(2*memory))
	if n := len(th.byAddress); n != 1 {
		t.Errorf("%d are remembered after all that time", n)
	}
}

// Other sites can neither sign somebody in nor out, with whatever browser.
func TestCrossSite(t *testing.T) {
	s := open(t, Config{Method: MethodPassword, Password: "for players"})
	b := s.browser()
	b.post("/auth/login", fields{"password": "for players"})
	for name, header := range map[string]http.Header{
		"another site":    {"Sec-Fetch-Site": {"cross-site"}},
		"another origin":  {"Sec-Fetch-Site": {"same-site"}},
		"an older one":    {"Origin": {"https://evil.example.org"}},
		"no origin":       {"Origin": {"null"}},
		"the same origin": {"Sec-Fetch-Site": {"same-origin"}},
	} {
		for _, path := range []string{"/auth/login", "/auth/logout"} {
			response, body := b.do(http.MethodPost, path, fields{"password": "for players"}, header)
			if refused := response.StatusCode == http.StatusForbidden; refused == (name == "the same origin") {
				t.Errorf("%s, %s: %d %s", name, path, response.StatusCode, body)
			}
		}
		if in := b.role() != ""; in == (name == "the same origin") {
			t.Errorf("%s: signed in: %v", name, in)
		}
		b.post("/auth/login", fields{"password": "for players"})
	}
	if s.counted.of("cross-site") != 8 {
		t.Errorf("counted: %v", s.counted.all)
	}
}

func TestBodies(t *testing.T) {
	s := open(t, Config{Method: MethodPassword, Password: "for players"})
	for name, test := range map[string]struct {
		kind, body string
		status     int
	}{
		"a form":      {"application/x-www-form-urlencoded", "password=for+players", http.StatusUnsupportedMediaType},
		"text":        {"text/plain", `{"password":"for players"}`, http.StatusUnsupportedMediaType},
		"no type":     {"", `{"password":"for players"}`, http.StatusUnsupportedMediaType},
		"no JSON":     {"application/json", `password`, http.StatusBadRequest},
		"not text":    {"application/json", `{"password":["for players"]}`, http.StatusBadRequest},
		"huge":        {"application/json", `{"password":"` + strings.Repeat("x", maxBody) + `"}`, http.StatusRequestEntityTooLarge},
		"nothing":     {"application/json", ``, http.StatusBadRequest},
		"another key": {"application/json", `{"pass":"for players"}`, http.StatusUnauthorized},
		"with set":    {"application/json; charset=utf-8", `{"password":"for players"}`, http.StatusOK},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/auth/login", strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", test.kind)
		response, err := s.browser().client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.status || response.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, %q", name, response.StatusCode, response.Header.Get("Cache-Control"))
		}
	}
}
