package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloudretro/cloudretro/coordinator"
	"github.com/cloudretro/cloudretro/coordinator/signin"
)

// Every key of a coordinator reaches the role: none is there for show.
func TestDoorConfig(t *testing.T) {
	cfg := doorConfig(defaults(t,
		"secrets.worker=0123456789abcdef0", "secrets.turn=0123456789abcdef1", "secrets.session=0123456789abcdef2", "log.access=true",
		"coordinator.origins=https://o", "coordinator.alternates=https://a,https://b",
		"coordinator.signIn.method=password", "coordinator.signIn.password=for players", "coordinator.signIn.adminPassword=for admins",
		"coordinator.signIn.sessionTTL=1h", "coordinator.signIn.oidc.issuer=https://i", "coordinator.signIn.oidc.clientID=c",
		"coordinator.signIn.oidc.clientSecret=s", "coordinator.signIn.oidc.redirectURL=https://a/auth/callback", "coordinator.signIn.oidc.name=n",
		"coordinator.signIn.oidc.scopes=openid", "coordinator.signIn.oidc.admins=me@example.org", "coordinator.signIn.oidc.adminClaim=a=b",
		"coordinator.limits.pages=1", "coordinator.limits.pagesPerAddress=2", "coordinator.limits.workers=3", "coordinator.limits.startsPerMinute=4",
		"coordinator.limits.requestsPerMinute=5", "coordinator.trustedProxies=10.1.2.3",
	))
	for name, pair := range map[string][2]any{
		"secrets": {append(cfg.TURNSecrets, cfg.Secret, cfg.SessionSecret), []string{"0123456789abcdef1", "0123456789abcdef0", "0123456789abcdef2"}},
		"origins": {append(cfg.Origins, cfg.Alternates...), []string{"https://o", "https://a", "https://b"}},
		"access":  {cfg.AccessLog, true},
		"proxies": {cfg.TrustedProxies, []string{"10.1.2.3"}},
		"limits":  {cfg.Limits, coordinator.Limits{Pages: 1, PagesPerAddress: 2, Roles: 3, StartsPerMinute: 4, RequestsPerMinute: 5}},
		"signIn": {cfg.SignIn, signin.Config{
			Method: "password", Password: "for players", AdminPassword: "for admins", TTL: time.Hour,
			OIDC: signin.OIDC{
				Issuer: "https://i", ClientID: "c", ClientSecret: "s", RedirectURL: "https://a/auth/callback", Name: "n",
				Scopes: []string{"openid"}, Admins: []string{"me@example.org"}, AdminClaim: "a=b",
			},
		}},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: got %+v, want %+v", name, pair[0], pair[1])
		}
	}
}

// TestSignInHouse: what config lets pass, the door takes.
func TestSignInHouse(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for _, set := range [][]string{
		{"coordinator.signIn.adminPassword=for admins"},
		{"coordinator.signIn.method=password", "coordinator.signIn.password=for players"},
		{
			"coordinator.signIn.method=oidc", "coordinator.signIn.oidc.issuer=http://127.0.0.1:1/dex", "coordinator.signIn.oidc.clientID=c",
			"coordinator.signIn.oidc.admins=me@example.org", "coordinator.signIn.oidc.adminClaim=groups=operators",
		},
	} {
		h, stop := runHouse(t, defaults(t, append(set, "secrets.worker=0123456789abcdef0", "coordinator.server.address=127.0.0.1:0", "ops.address=")...),
			roles{coordinator: true}, io.Discard)
		required := len(set) > 1
		if code, text := get(t, h.page+"/api/v1/me"); code != http.StatusOK || strings.Contains(text, `"signInRequired":true`) != required {
			t.Errorf("%s: %d %s", set[0], code, text)
		}
		if code, text := get(t, h.page+"/api/v1/workers"); code != http.StatusUnauthorized || !strings.Contains(text, "sign-in") {
			t.Errorf("%s: workers: %d %s", set[0], code, text)
		}
		http.DefaultClient.CloseIdleConnections()
		stop()
	}
	goleak.VerifyNone(t, before)
}

// TestMetricsOfACoordinator: what dashboards are built on.
func TestMetricsOfACoordinator(t *testing.T) {
	h, stop := runHouse(t, defaults(t, "secrets.worker=0123456789abcdef0", "coordinator.server.address=127.0.0.1:0", "ops.address="),
		roles{coordinator: true}, io.Discard)
	defer stop()
	if code, _ := get(t, h.page+"/api/v1/nothing"); code != http.StatusNotFound {
		t.Errorf("status %d", code)
	}
	code, text := get(t, "http://"+startOps(t, h.checks, h.metrics...)+"/metrics")
	if code != http.StatusOK {
		t.Fatalf("status %d: %s", code, text)
	}
	for _, want := range []string{
		`cloudretro_coordinator_sockets{kind="page"} 0`, `cloudretro_coordinator_sockets{kind="role"} 0`, "cloudretro_coordinator_sessions 0\n",
		"cloudretro_coordinator_queue_length 0\n", `cloudretro_coordinator_workers{state="ready"} 0`, `cloudretro_coordinator_workers{state="silent"} 0`,
		`cloudretro_coordinator_workers{state="draining"} 0`, `cloudretro_coordinator_workers{state="overloaded"} 0`,
		"cloudretro_coordinator_rooms 0\n", `cloudretro_coordinator_people{role="player"} 0`, "cloudretro_coordinator_places_free 0\n",
		`cloudretro_coordinator_refused_total{cause="not-found"} 1`, `cloudretro_coordinator_refused_total{cause="origin"} 0`,
		`cloudretro_coordinator_grant_seconds_bucket{le="0.05"} 0`, "cloudretro_coordinator_grant_seconds_count 0\n",
		`cloudretro_coordinator_signaling_seconds_bucket{le="0.001"} 0`, "cloudretro_coordinator_connections_refused_total 0\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
}

// TestProfilesOnlyWhenAskedFor, and never what was typed at the start.
func TestProfilesOnlyWhenAskedFor(t *testing.T) {
	for _, on := range []bool{false, true} {
		o := ops{pprof: on, metrics: http.NotFoundHandler()}
		for path, want := range map[string]int{"/debug/pprof/": 200, "/debug/pprof/goroutine": 200, "/debug/pprof/symbol": 200, "/debug/pprof/cmdline": 403} {
			if !on {
				want = 404
			}
			rec := httptest.NewRecorder()
			o.handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
			if rec.Code != want {
				t.Errorf("profiles %t: %s is %d, want %d", on, path, rec.Code, want)
			}
		}
	}
}
