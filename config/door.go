package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// SignIn is who may come in.
type SignIn struct {
	Method        string        `yaml:"method"` // none, password or oidc
	Password      string        `yaml:"password" secret:"true"`
	AdminPassword string        `yaml:"adminPassword" secret:"true"` // "" = no admin by password
	SessionTTL    time.Duration `yaml:"sessionTTL"`
	OIDC          OIDC          `yaml:"oidc"`
}

// OIDC is a provider of OpenID Connect and this site as its client.
type OIDC struct {
	Issuer       string   `yaml:"issuer"`
	ClientID     string   `yaml:"clientID"`
	ClientSecret string   `yaml:"clientSecret" secret:"true"`
	RedirectURL  string   `yaml:"redirectURL"` // "" = by the browser's address
	Name         string   `yaml:"name"`        // for people, "" = the issuer's host
	Scopes       []string `yaml:"scopes"`
	Admins       []string `yaml:"admins"`     // e-mail addresses
	AdminClaim   string   `yaml:"adminClaim"` // "claim=value", "" = none
}

// Limits bound what strangers may ask of a coordinator.
type Limits struct {
	Pages             int `yaml:"pages"`             // connected at once
	PagesPerAddress   int `yaml:"pagesPerAddress"`   // of them from one address
	Workers           int `yaml:"workers"`           // workers and gates that are connected at once
	StartsPerMinute   int `yaml:"startsPerMinute"`   // of one address
	RequestsPerMinute int `yaml:"requestsPerMinute"` // of one address to the API
}

// Bounds of what the door takes.
const (
	minPassword   = 8
	maxPassword   = 256
	maxAlternates = 16 // as signal.MaxURLs
	maxSessionTTL = 30 * 24 * time.Hour
)

// Methods of signing in.
const (
	methodNone     = "none"
	methodPassword = "password"
	methodOIDC     = "oidc"
)

// door checks alternates, limits and the sign-in.
func (v *validator) door(c Coordinator) {
	if len(c.Alternates) > maxAlternates {
		v.add("coordinator.alternates", "has %d entries; give at most %d", len(c.Alternates), maxAlternates)
	}
	for i, origin := range c.Alternates {
		key := index("coordinator.alternates", i)
		if origin == "*" {
			v.add(key, "%q is no address of this site; write scheme and host, like https://b.example.org", origin)
			continue
		}
		v.origin(key, origin)
	}
	for i, network := range c.TrustedProxies {
		_, err := netip.ParsePrefix(network)
		if ip, single := netip.ParseAddr(network); err != nil && (single != nil || ip.Zone() != "") {
			v.add(index("coordinator.trustedProxies", i), "%q is neither a network like 10.0.0.0/8 nor an address", network)
		}
	}
	between(v, "coordinator.limits.pages", c.Limits.Pages, 1, 1_000_000)
	between(v, "coordinator.limits.pagesPerAddress", c.Limits.PagesPerAddress, 1, 1_000_000)
	between(v, "coordinator.limits.workers", c.Limits.Workers, 1, 100_000)
	between(v, "coordinator.limits.startsPerMinute", c.Limits.StartsPerMinute, 1, 1_000_000)
	between(v, "coordinator.limits.requestsPerMinute", c.Limits.RequestsPerMinute, 1, 1_000_000)
	v.signIn(c.SignIn)
}

func (v *validator) signIn(s SignIn) {
	const key = "coordinator.signIn"
	if !slices.Contains([]string{methodNone, methodPassword, methodOIDC}, s.Method) {
		v.add(key+".method", "%q is none of none, password, oidc", s.Method)
	}
	between(v, key+".sessionTTL", s.SessionTTL, time.Minute, maxSessionTTL)
	v.password(key+".password", s.Password)
	v.password(key+".adminPassword", s.AdminPassword)
	switch {
	case s.Method == methodPassword && s.Password == "":
		v.add(key+".password", "is empty; set the one that players are told, or method to none")
	case s.Method != methodPassword && s.Password != "":
		v.add(key+".password", "is set, but nobody is asked for it while coordinator.signIn.method is %s; set that to password, or leave this empty", s.Method)
	case s.Password != "" && s.Password == s.AdminPassword:
		v.add(key+".adminPassword", "is the password of the players too, so that all would be admins; set another one")
	}
	if s.Method == methodOIDC {
		v.oidc(key+".oidc", s.OIDC)
	}
}

// password checks one that may be left out, without ever naming it.
func (v *validator) password(key, password string) {
	if n := len(password); n > 0 && (n < minPassword || n > maxPassword) {
		v.add(key, "has %d characters; choose one of %d to %d", n, minPassword, maxPassword)
	}
}

func (v *validator) oidc(key string, o OIDC) {
	if !plainURL(o.Issuer) {
		v.add(key+".issuer", "%q is no URL of a provider; write it as the provider does, like https://accounts.example.org", o.Issuer)
	}
	if o.ClientID == "" {
		v.add(key+".clientID", "is empty; set the one that the provider has given this site")
	}
	if u, err := url.Parse(o.RedirectURL); o.RedirectURL != "" && (err != nil || !plainURL(o.RedirectURL) || u.Path != "/auth/callback") {
		v.add(key+".redirectURL", "%q; write the one that the provider knows, like https://play.example.org/auth/callback", o.RedirectURL)
	}
	if !slices.Contains(o.Scopes, "openid") {
		v.add(key+".scopes", "%q lacks openid, without which there is no sign-in; add it", o.Scopes)
	}
	for i, email := range o.Admins {
		if name, host, _ := strings.Cut(email, "@"); name == "" || host == "" {
			v.add(index(key+".admins", i), "%q is no e-mail address", email)
		}
	}
	if name, value, _ := strings.Cut(o.AdminClaim, "="); o.AdminClaim != "" && (name == "" || value == "") {
		v.add(key+".adminClaim", "%q; write claim=value, like groups=operators", o.AdminClaim)
	}
}

// probe checks the URL of a zone's probe; "" is fine.
func (v *validator) probe(key, text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if !plainURL(text) || err != nil || u.User != nil || u.RawQuery != "" || !validHost(u.Hostname()) {
		v.add(key, "%q is no address that browsers can ask; write a URL like https://eu.example.org/echo", text)
	}
}

// plainURL says whether text is an http or https URL with a host and no fragment.
func plainURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.Fragment == "" && u.User == nil
}

// validHost says whether host is an IP address or looks like a host name.
func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && len(host) <= 253 && !strings.ContainsAny(host, " :/@?#,_*\"\\")
}
