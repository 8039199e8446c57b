package config

import (
	"strings"
	"testing"
	"time"
)

func TestDoor(t *testing.T) {
	tests := []struct{ set, key, want string }{
		{"coordinator.alternates=b.example.org", "coordinator.alternates.0", "https://"},
		{"coordinator.alternates=https://a,https://b/x", "coordinator.alternates.1", "no origin"},
		{"coordinator.trustedProxies=10.0.0.0/8,proxy", "coordinator.trustedProxies.1", "neither a network"},
		{"coordinator.trustedProxies=10.0.0.0/99", "coordinator.trustedProxies.0", "neither a network"},
		{"coordinator.alternates=*", "coordinator.alternates.0", "https://b.example.org"},
		{"coordinator.alternates=" + strings.Repeat("https://a,", 17), "coordinator.alternates", "at most 16"},
		{"coordinator.limits.pages=0", "coordinator.limits.pages", "out of range"},
		{"coordinator.limits.pagesPerAddress=-1", "coordinator.limits.pagesPerAddress", "out of range"},
		{"coordinator.limits.workers=100001", "coordinator.limits.workers", "100000"},
		{"coordinator.limits.startsPerMinute=0", "coordinator.limits.startsPerMinute", "out of range"},
		{"coordinator.limits.requestsPerMinute=0", "coordinator.limits.requestsPerMinute", "out of range"},
		{"coordinator.signIn.method=ldap", "coordinator.signIn.method", "oidc"},
		{"coordinator.signIn.method=password", "coordinator.signIn.password", "empty"},
		{"coordinator.signIn.password=long enough", "coordinator.signIn.password", "nobody is asked"},
		{"coordinator.signIn.adminPassword=short", "coordinator.signIn.adminPassword", "5 characters"},
		{"coordinator.signIn.adminPassword=" + strings.Repeat("x", 257), "coordinator.signIn.adminPassword", "8 to 256"},
		{"coordinator.signIn.sessionTTL=1s", "coordinator.signIn.sessionTTL", "1m0s"},
		{"worker.network.probeAddress=eu.example.org", "worker.network.probeAddress", "https://eu.example.org/echo"},
		{"worker.network.probeAddress=https://eu.example.org/echo?x=1", "worker.network.probeAddress", "URL"},
		{"worker.network.probeAddress=https://u:p@eu.example.org", "worker.network.probeAddress", "URL"},
		{"worker.network.probeAddress=https://a*b/", "worker.network.probeAddress", "URL"},
		{"worker.rooms.lateLimit=0", "worker.rooms.lateLimit", "1 to 1000"},
		{"worker.rooms.drainGrace=-1s", "worker.rooms.drainGrace", "0s"},
		{"secrets.session=short", "secrets.session", "openssl rand -hex 32"},
		{"ops.pprof=perhaps", "ops.pprof", "true or false"},
		{"log.access=2", "log.access", "true or false"},
	}
	for _, tt := range tests {
		t.Run(tt.set[:min(60, len(tt.set))], func(t *testing.T) {
			ps := problems(t, Sources{Set: []string{tt.set}})
			if len(ps) != 1 || ps[0].Key != tt.key || !strings.Contains(ps[0].Text, tt.want) {
				t.Errorf("problems %v, want one of %s that says %q", ps, tt.key, tt.want)
			}
		})
	}
}

func TestOIDC(t *testing.T) {
	good := []string{
		"coordinator.signIn.method=oidc", "coordinator.signIn.oidc.issuer=https://accounts.example.org", "coordinator.signIn.oidc.clientID=cloudretro",
	}
	cfg := mustLoad(t, Sources{Set: good})
	if s := cfg.Coordinator.SignIn; s.SessionTTL != 12*time.Hour || strings.Join(s.OIDC.Scopes, " ") != "openid profile email" {
		t.Errorf("sign-in %+v", s)
	}
	const key = "coordinator.signIn.oidc."
	for set, want := range map[string]string{
		"issuer=":                               "issuer",
		"issuer=accounts.example.org":           "issuer",
		"clientID=":                             "clientID",
		"redirectURL=/auth/callback":            "redirectURL",
		"redirectURL=https://a/auth/callback#x": "redirectURL",
		"redirectURL=https://a/":                "redirectURL",
		"scopes=profile":                        "scopes",
		"admins=me":                             "admins.0",
		"adminClaim==operators":                 "adminClaim",
		"adminClaim=admin":                      "adminClaim",
	} {
		ps := problems(t, Sources{Set: append(good[:3:3], key+set)})
		if len(ps) != 1 || ps[0].Key != key+want {
			t.Errorf("%s: %v, want one of %s", set, ps, want)
		}
	}
	mustLoad(t, Sources{Set: append(good, key+"redirectURL=https://play.example.org/auth/callback", key+"adminClaim=groups=operators", key+"admins=me@example.org")})
	mustLoad(t, Sources{Set: []string{key + "issuer=nonsense"}}) // is not used
}

func TestGoodDoor(t *testing.T) {
	cfg := mustLoad(t, Sources{
		Set: []string{
			"coordinator.alternates=https://a.example.org,http://b:8000", "coordinator.trustedProxies=10.1.2.3,fd00::/8", "coordinator.signIn.method=password", "coordinator.signIn.password=for players",
			"coordinator.signIn.adminPassword=for admins", "worker.network.probeAddress=https://[2001:db8::1]:9000/echo", "ops.pprof=true",
		},
		Environ: []string{"CLOUDRETRO_LOG_ACCESS=true", "CLOUDRETRO_SECRETS_SESSION=0123456789abcdef", "CLOUDRETRO_COORDINATOR_SIGNIN_OIDC_CLIENTSECRET=hush"},
	})
	if !cfg.Ops.PProf || !cfg.Log.Access || cfg.Secrets.Session != "0123456789abcdef" || cfg.Coordinator.SignIn.OIDC.ClientSecret != "hush" ||
		len(cfg.Coordinator.Alternates) != 2 {
		t.Errorf("%+v", cfg)
	}
	text, err := cfg.Masked().YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"for players", "for admins", "hush", "0123456789abcdef"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("%q shows:\n%s", secret, text)
		}
	}
}

// Passwords must differ, and a problem must not say what they are.
func TestPasswordsAreNeverNamed(t *testing.T) {
	for _, set := range [][]string{
		{"coordinator.signIn.method=password", "coordinator.signIn.password=s3cr3t-and-so-on", "coordinator.signIn.adminPassword=s3cr3t-and-so-on"},
		{"coordinator.signIn.method=password", "coordinator.signIn.password=s3cr3t"},
		{"coordinator.signIn.adminPassword=s3cr3t"},
	} {
		if text := problems(t, Sources{Set: set}).Error(); strings.Contains(text, "s3cr3t") || !strings.Contains(text, "assword") {
			t.Errorf("problem: %s", text)
		}
	}
}
