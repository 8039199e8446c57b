package signin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	provider := OIDC{Issuer: "https://accounts.example.org", ClientID: "us"}
	changed := func(change func(*OIDC)) Config {
		o := provider
		change(&o)
		return Config{Method: MethodOIDC, OIDC: o}
	}
	for name, test := range map[string]struct {
		cfg  Config
		says string
	}{
		"method":                  {Config{Method: "magic"}, `coordinator.signIn.method "magic"`},
		"no password":             {Config{Method: MethodPassword}, "coordinator.signIn.password is empty"},
		"short password":          {Config{Method: MethodPassword, Password: "1234567"}, "coordinator.signIn.password has not 8"},
		"long password":           {Config{Method: MethodPassword, Password: strings.Repeat("x", maxPassword+1)}, "coordinator.signIn.password has not"},
		"short password of admin": {Config{AdminPassword: "1234567"}, "coordinator.signIn.adminPassword has not 8"},
		"the same":                {Config{Method: MethodPassword, Password: "12345678", AdminPassword: "12345678"}, "every player would be an admin"},
		"password for nothing":    {Config{Password: "12345678"}, "nobody would be asked"},
		"ttl":                     {Config{TTL: time.Second}, "coordinator.signIn.sessionTTL 1s"},
		"no issuer":               {Config{Method: MethodOIDC}, "coordinator.signIn.oidc.issuer is empty"},
		"issuer":                  {changed(func(o *OIDC) { o.Issuer = "accounts.example.org" }), "coordinator.signIn.oidc.issuer"},
		"issuer with a query":     {changed(func(o *OIDC) { o.Issuer += "/?a=b" }), "coordinator.signIn.oidc.issuer"},
		"no client":               {changed(func(o *OIDC) { o.ClientID = "" }), "coordinator.signIn.oidc.clientID"},
		"redirect":                {changed(func(o *OIDC) { o.RedirectURL = "https://play.example.org/elsewhere" }), "coordinator.signIn.oidc.redirectURL"},
		"redirect without a host": {changed(func(o *OIDC) { o.RedirectURL = callbackPath }), "coordinator.signIn.oidc.redirectURL"},
		"scopes":                  {changed(func(o *OIDC) { o.Scopes = []string{"email"} }), "coordinator.signIn.oidc.scopes"},
		"claim":                   {changed(func(o *OIDC) { o.AdminClaim = "groups" }), "coordinator.signIn.oidc.adminClaim"},
		"email":                   {changed(func(o *OIDC) { o.Admins = []string{"ada"} }), `coordinator.signIn.oidc.admins: "ada"`},
	} {
		t.Run(name, func(t *testing.T) {
			test.cfg.Secret = testSecret
			if d, err := New(test.cfg); err == nil {
				t.Errorf("New takes it: %v", d.cfg)
			} else if !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q does not say %q", err, test.says)
			}
		})
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "secret") {
		t.Errorf("without a secret: %v", err)
	}
}

func TestRequired(t *testing.T) {
	for name, test := range map[string]struct {
		cfg                       Config
		required, admin, password bool
		provider                  string
	}{
		"nothing":        {Config{}, false, false, false, ""},
		"none":           {Config{Method: MethodNone}, false, false, false, ""},
		"admins only":    {Config{AdminPassword: "12345678"}, false, true, true, ""},
		"password":       {Config{Method: MethodPassword, Password: "12345678"}, true, false, true, ""},
		"two passwords":  {Config{Method: MethodPassword, Password: "12345678", AdminPassword: "87654321"}, true, true, true, ""},
		"oidc":           {Config{Method: MethodOIDC, OIDC: OIDC{Issuer: "https://a.b:1/c", ClientID: "x"}}, true, false, false, "a.b:1"},
		"oidc, named":    {Config{Method: MethodOIDC, OIDC: OIDC{Issuer: "https://a", ClientID: "x", Name: "A", AdminClaim: "a=b"}}, true, true, false, "A"},
		"oidc and admin": {Config{Method: MethodOIDC, AdminPassword: "12345678", OIDC: OIDC{Issuer: "https://a", ClientID: "x"}}, true, true, true, "a"},
		"oidc, admins":   {Config{Method: MethodOIDC, OIDC: OIDC{Issuer: "https://a", ClientID: "x", Admins: []string{"a@b"}}}, true, true, false, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, test.cfg)
			got := s.browser().state()
			if s.Required() != test.required || got.Required != test.required || got.AdminPossible != test.admin ||
				got.Password != test.password || got.Provider != test.provider || got.User != nil {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Only where there is a provider anything can begin there.
func TestRoutesOfMethods(t *testing.T) {
	d, err := New(Config{Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) })
	d.Routes(mux)
	for path, want := range map[string]int{
		"/auth/start": http.StatusTeapot, callbackPath: http.StatusTeapot, "/auth/logout": http.StatusNoContent,
		"/auth/login": http.StatusUnsupportedMediaType,
	} {
		rw := httptest.NewRecorder()
		mux.ServeHTTP(rw, httptest.NewRequest(http.MethodPost, path, nil))
		if rw.Code != want {
			t.Errorf("POST %s: %d, want %d", path, rw.Code, want)
		}
		rw = httptest.NewRecorder()
		if mux.ServeHTTP(rw, httptest.NewRequest(http.MethodGet, path, nil)); rw.Code != http.StatusTeapot {
			t.Errorf("GET %s: %d, the coordinator does not see it", path, rw.Code)
		}
	}
}
