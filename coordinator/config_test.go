package coordinator

import (
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/signin"
)

func TestLimits(t *testing.T) {
	var l Limits
	if err := l.complete(); err != nil || l != (Limits{50_000, 256, 5_000, 30, 600}) {
		t.Errorf("%v: %+v", err, l)
	}
	own := Limits{1, 2, 3, 4, 5}
	if err := own.complete(); err != nil || own != (Limits{1, 2, 3, 4, 5}) {
		t.Errorf("%v: %+v", err, own)
	}
	for _, bad := range []Limits{{Pages: -1}, {PagesPerAddress: -1}, {Roles: -1}, {StartsPerMinute: -1}, {RequestsPerMinute: -1}} {
		if bad.complete() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestWhatNewRefuses(t *testing.T) {
	for says, change := range map[string]func(*Config){
		"negative":      func(cfg *Config) { cfg.Limits.Pages = -1 },
		"alternates":    func(cfg *Config) { cfg.Alternates = slices.Repeat([]string{"https://a"}, signal.MaxURLs+1) },
		"scheme":        func(cfg *Config) { cfg.Alternates = []string{"a.example.org"} },
		"adminPassword": func(cfg *Config) { cfg.SignIn.AdminPassword = "short" },
		"oidc.issuer":   func(cfg *Config) { cfg.SignIn.Method = signin.MethodOIDC },
	} {
		cfg := Config{Address: "127.0.0.1:0", Web: web(), Secret: secret}
		change(&cfg)
		c, err := New(cfg)
		if err == nil {
			_ = c.Close()
			t.Errorf("%s: taken", says)
		} else if !strings.Contains(err.Error(), says) {
			t.Errorf("error %q, want one that says %q", err, says)
		}
	}
}

// TestSessionSecret: tokens are signed by it where there is one, so that those
// who have only the workers' secret make none.
func TestSessionSecret(t *testing.T) {
	d := start(t, func(cfg *Config) { cfg.SessionSecret = "another secret" })
	token := d.page().hello.Token
	if _, err := (house{d.Coordinator}).Session(token); err != nil {
		t.Errorf("its own token: %v", err)
	}
	if _, err := (house{start(t, nil).Coordinator}).Session(token); err == nil {
		t.Error("a token is taken by a coordinator with another secret")
	}
}

// TestRefusalsAreCounted where they happen, each by its own cause.
func TestRefusalsAreCounted(t *testing.T) {
	d := start(t, nil)
	_, response, err := websocket.DefaultDialer.Dial(d.url("ws", "/ws"), map[string][]string{"Origin": {"https://evil.example"}})
	if err == nil {
		t.Fatal("another site's page is let in")
	}
	response.Body.Close()
	p := d.page()
	p.say(signal.TypeResume, "r", "", signal.Resume{Token: "forged"})
	p.refused("r", signal.CodeDenied)
	p.say(signal.TypeStart, "s", "", signal.Start{Game: "No!", SDP: "v=0"})
	p.refused("s", signal.CodeBadRequest)
	(&inquirer{d: d}).send("GET", "/api/v1/rooms?limit=no", "").Body.Close()
	until(t, "all counted", func() bool {
		n := d.Stats().Refused
		return n["origin"] == 1 && n["denied"]+n["token"] >= 1 && n["bad-request"] == 2 && n["handshake"] == 0
	})
}
