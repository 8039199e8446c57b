package coordinator

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func TestReconfigureRefuses(t *testing.T) {
	d := start(t, nil)
	before := d.now()
	tests := map[string]Config{
		"secret": {TURNSecrets: []string{""}},
		"life":   {CredentialTTL: time.Second},
		"ICE":    {ICEServers: []signal.ICEServer{{}}},
		"origin": {Origins: []string{"nonsense"}},
		"site":   {Alternates: []string{"*"}},
		"sites":  {Alternates: slices.Repeat([]string{"https://a.example.org"}, signal.MaxURLs+1)},
		"proxy":  {TrustedProxies: []string{"nonsense"}},
		"limit":  {Limits: Limits{Pages: -1}},
	}
	for name, next := range tests {
		if err := d.Reconfigure(next); err == nil || d.now() != before {
			t.Errorf("%s: taken (%v)", name, err)
		}
		next.Address, next.Web, next.Secret = "127.0.0.1:0", web(), secret
		if c, err := New(next); err == nil {
			_ = c.Close()
			t.Errorf("%s: made", name)
		}
	}
}

// What a page is told, and may do, is what was taken last.
func TestReconfigure(t *testing.T) {
	log := &journal{}
	d := start(t, func(c *Config) { c.Logger = slog.New(slog.NewJSONHandler(log, nil)) })
	first := d.page()
	if len(first.hello.ICEServers) != 0 || len(first.hello.Alternates) != 0 {
		t.Fatalf("told of %+v", first.hello)
	}
	dial := func(header http.Header) (status int) {
		t.Helper()
		conn, response, err := websocket.DefaultDialer.Dial(d.url("ws", "/ws"), header)
		if err == nil {
			conn.Close()
		}
		response.Body.Close()
		return response.StatusCode
	}
	foreign := http.Header{"Origin": {"https://other.example.org"}}
	if status := dial(foreign); status != http.StatusForbidden {
		t.Errorf("a foreign page is answered with %d", status)
	}
	ice := []signal.ICEServer{{URLs: []string{"stun:stun.example.org:3478"}}}
	next := Config{
		ICEServers: ice, Origins: []string{"https://other.example.org"}, Alternates: []string{"https://b.example.org"},
		TrustedProxies: []string{}, AccessLog: true,
	}
	if err := d.Reconfigure(next); err != nil {
		t.Fatal(err)
	}
	ice[0].URLs = []string{"stun:changed.example.org"} // by the caller
	hello := d.page().hello
	if len(hello.ICEServers) != 1 || hello.ICEServers[0].URLs[0] != "stun:stun.example.org:3478" || !slices.Equal(hello.Alternates, next.Alternates) {
		t.Errorf("a page is told of %+v", hello)
	}
	if status := dial(foreign); status != http.StatusSwitchingProtocols {
		t.Errorf("a page of another origin is answered with %d", status)
	}
	response := (&inquirer{d: d}).send(http.MethodGet, "/", "")
	response.Body.Close()
	if policy := response.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "https://b.example.org") {
		t.Errorf("the policy is %q", policy)
	}
	until(t, "a line for the request", func() bool { return len(log.requests(t)) > 0 })

	// Pages that are there stay; the next one is too many.
	next.Limits.Pages = 1
	if err := d.Reconfigure(next); err != nil {
		t.Fatal(err)
	}
	if status := dial(nil); status != http.StatusServiceUnavailable {
		t.Errorf("a page too many is answered with %d", status)
	}
	w := d.worker(nil)
	first.plays(w)
	next.Limits.Pages = 0 // the default
	if err := d.Reconfigure(next); err != nil {
		t.Fatal(err)
	}
	d.page()
}

// A budget grows and shrinks with its bound.
func TestBudgetsChange(t *testing.T) {
	limit, now, a := 2, time.Unix(1_700_000_000, 0), addr("203.0.113.1")
	b := newBudgets(func() int { return limit })
	take := func() (n int) {
		for b.take(a, 1, now) {
			n++
		}
		return n
	}
	if n := take(); n != 2 {
		t.Errorf("%d at once", n)
	}
	limit = 60
	if now = now.Add(time.Minute); take() != 60 {
		t.Error("not the new ones after a minute")
	}
	limit = 3
	if now = now.Add(time.Hour); take() != 3 {
		t.Error("more than the new ones")
	}
	b.sweep(now.Add(time.Minute))
	if len(b.byAddress) != 0 {
		t.Error("remembered for nothing")
	}
}
