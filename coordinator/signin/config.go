package signin

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Methods of signing in.
const (
	MethodNone     = "none"     // players need not; admins may, with AdminPassword
	MethodPassword = "password" // one password for all players
	MethodOIDC     = "oidc"     // OpenID Connect
)

// Bounds of what is configured.
const (
	minPassword = 8   // bytes
	maxPassword = 256 // bytes, of what somebody types in, too
	defaultTTL  = 12 * time.Hour
	minTTL      = time.Minute
	maxTTL      = 30 * 24 * time.Hour
)

// Config is what a Door needs. It is copied by New.
type Config struct {
	// Method is one of the Method constants; "" means MethodNone.
	Method string
	// Password lets players in where the method is MethodPassword.
	Password string
	// AdminPassword lets admins in, whatever the method; "" lets nobody.
	AdminPassword string
	// OIDC says which provider is asked where the method is MethodOIDC.
	OIDC OIDC
	// Secret seals the cookies; all coordinators of a site have the same. Required.
	Secret string
	// TTL is how long somebody stays signed in without coming back; 0 means 12
	// hours. In all nobody stays longer than 14 times that.
	TTL time.Duration
	// Address says who a request counts for where guesses of passwords are
	// limited; nil means the address it comes from.
	Address func(*http.Request) netip.Prefix
	// Refused hears why something was refused; nil means nobody does.
	Refused func(cause string)
	// Logger receives what happens; nil means silence.
	Logger *slog.Logger
}

// OIDC is a provider of OpenID Connect and what it knows of us.
type OIDC struct {
	// Issuer is the provider's URL: what stands before /.well-known/openid-configuration.
	Issuer string
	// ClientID and ClientSecret are those of our registration. The secret is ""
	// for a public client.
	ClientID, ClientSecret string
	// RedirectURL as registered, https://<host>/auth/callback; "" means that of
	// the host that the browser has asked.
	RedirectURL string
	// Scopes that are asked for; none means openid, profile and email.
	Scopes []string
	// Name of the provider on the button; "" means the issuer's host.
	Name string
	// Admins are the e-mail addresses of admins. They count only where the
	// provider says that it has verified them.
	Admins []string
	// AdminClaim makes admins of those who have a claim with a value, written as
	// claim=value, like groups=operators. "" makes none.
	AdminClaim string
}

// complete fills in defaults and refuses what cannot work.
func (cfg *Config) complete() error {
	if cfg.Method == "" {
		cfg.Method = MethodNone
	}
	if cfg.TTL == 0 {
		cfg.TTL = defaultTTL
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Address == nil {
		cfg.Address = remote
	}
	if cfg.Refused == nil {
		cfg.Refused = func(string) {}
	}
	if cfg.Secret == "" {
		return errors.New("coordinator.signIn: there is no secret to seal cookies with; set secrets.worker or secrets.session")
	}
	if cfg.TTL < minTTL || cfg.TTL > maxTTL {
		return fmt.Errorf("coordinator.signIn.sessionTTL %s is not within %s..%s", cfg.TTL, minTTL, maxTTL)
	}
	if err := cfg.checkPasswords(); err != nil {
		return err
	}
	switch cfg.Method {
	case MethodNone, MethodPassword:
		return nil
	case MethodOIDC:
		return cfg.OIDC.complete()
	}
	return fmt.Errorf("coordinator.signIn.method %q is none of %s, %s and %s", cfg.Method, MethodNone, MethodPassword, MethodOIDC)
}

func (cfg *Config) checkPasswords() error {
	if cfg.Method == MethodPassword && cfg.Password == "" {
		return errors.New("coordinator.signIn.password is empty, but coordinator.signIn.method is password; there is no default password")
	}
	if cfg.Method != MethodPassword && cfg.Password != "" {
		return fmt.Errorf("coordinator.signIn.password is set, but coordinator.signIn.method is %s: nobody would be asked for it", cfg.Method)
	}
	for _, p := range []struct{ key, value string }{{"password", cfg.Password}, {"adminPassword", cfg.AdminPassword}} {
		if p.value != "" && (len(p.value) < minPassword || len(p.value) > maxPassword) {
			return fmt.Errorf("coordinator.signIn.%s has not %d to %d bytes", p.key, minPassword, maxPassword)
		}
	}
	if cfg.Password != "" && cfg.Password == cfg.AdminPassword {
		return errors.New("coordinator.signIn.password and coordinator.signIn.adminPassword are the same: every player would be an admin")
	}
	return nil
}

func (o *OIDC) complete() error {
	u, err := url.Parse(o.Issuer)
	switch {
	case o.Issuer == "":
		return errors.New("coordinator.signIn.oidc.issuer is empty, but coordinator.signIn.method is oidc")
	case err != nil || !isWeb(u) || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("coordinator.signIn.oidc.issuer %q is not like https://accounts.example.org", o.Issuer)
	case o.ClientID == "":
		return errors.New("coordinator.signIn.oidc.clientID is empty, but coordinator.signIn.method is oidc")
	}
	if o.Name == "" {
		o.Name = u.Host
	}
	if r, err := url.Parse(o.RedirectURL); o.RedirectURL != "" && (err != nil || !isWeb(r) || r.Path != callbackPath || r.RawQuery != "" || r.Fragment != "") {
		return fmt.Errorf("coordinator.signIn.oidc.redirectURL %q is not like https://play.example.org%s", o.RedirectURL, callbackPath)
	}
	if len(o.Scopes) == 0 {
		o.Scopes = []string{oidc.ScopeOpenID, "profile", "email"}
	}
	if !slices.Contains(o.Scopes, oidc.ScopeOpenID) {
		return fmt.Errorf("coordinator.signIn.oidc.scopes %q do not have %q", o.Scopes, oidc.ScopeOpenID)
	}
	if claim, value, _ := strings.Cut(o.AdminClaim, "="); o.AdminClaim != "" && (claim == "" || value == "") {
		return fmt.Errorf("coordinator.signIn.oidc.adminClaim %q is not like claim=value", o.AdminClaim)
	}
	for _, email := range o.Admins {
		if name, host, _ := strings.Cut(email, "@"); name == "" || host == "" {
			return fmt.Errorf("coordinator.signIn.oidc.admins: %q is no e-mail address", email)
		}
	}
	return nil
}

func isWeb(u *url.URL) bool {
	return (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil
}

// adminPossible says whether anybody could be an admin.
func (cfg *Config) adminPossible() bool {
	return cfg.AdminPassword != "" || cfg.Method == MethodOIDC && (len(cfg.OIDC.Admins) > 0 || cfg.OIDC.AdminClaim != "")
}
