package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Page is the socket of the page, with or without TLS.
type Page struct {
	Address string `yaml:"address"` // [host]:port
	HTTPS   bool   `yaml:"https"`
	TLS     TLS    `yaml:"tls"`
	// DrainGrace is how long a coordinator that is told to end goes on as before.
	DrainGrace time.Duration `yaml:"drainGrace" live:"true"`
}

// TLS is how HTTPS is served.
type TLS struct {
	Address      string        `yaml:"address"`      // [host]:port of HTTPS; "" = Page.Address, else that one is plain HTTP
	Domain       string        `yaml:"domain"`       // name of the site, "" = none
	HTTPSCert    string        `yaml:"httpsCert"`    // PEM, with the chain
	HTTPSKey     string        `yaml:"httpsKey"`     // PEM
	RedirectPort int           `yaml:"redirectPort"` // of HTTPS as browsers see it, 0 = that of Address
	HSTS         time.Duration `yaml:"hsts"`         // 0 = off
	ACME         ACME          `yaml:"acme"`         // in place of files
}

// ACME is the authority that certificates are got from.
type ACME struct {
	Domains      []string `yaml:"domains"`      // besides TLS.Domain
	Email        string   `yaml:"email"`        // "" = none
	CacheDir     string   `yaml:"cacheDir"`     // folder of keys and certificates
	DirectoryURL string   `yaml:"directoryURL"` // of the authority
	CAFile       string   `yaml:"caFile"`       // PEM, "" = what the system trusts
}

// hasFiles says that a certificate is named, perhaps by half.
func (t TLS) hasFiles() bool { return t.HTTPSCert != "" || t.HTTPSKey != "" }

// Issued are the names to get certificates for by ACME; none where there are files.
func (t TLS) Issued() []string {
	if t.hasFiles() {
		return nil
	}
	if t.Domain == "" {
		return t.ACME.Domains
	}
	return append([]string{t.Domain}, t.ACME.Domains...)
}

// Name is what browsers find the site by, "" if no key says so.
func (t TLS) Name() string {
	if t.Domain == "" && len(t.Issued()) > 0 {
		return t.Issued()[0]
	}
	return t.Domain
}

// longestHSTS is two years, which is as much as anybody asks for.
const longestHSTS = 2 * 365 * 24 * time.Hour

// https checks what does not fit, and with https on what is missing.
func (v *validator) https(p Page) {
	const key = "coordinator.server.tls"
	t := p.TLS
	if t.Address != "" {
		v.address(key+".address", t.Address)
	}
	v.domain(key+".domain", t.Domain)
	for i, name := range t.ACME.Domains {
		v.domain(index(key+".acme.domains", i), name)
	}
	between(v, key+".redirectPort", t.RedirectPort, 0, 65535)
	between(v, key+".hsts", t.HSTS, 0, longestHSTS)
	if at := strings.IndexByte(t.ACME.Email, '@'); t.ACME.Email != "" && (at < 1 || strings.ContainsAny(t.ACME.Email, " ,<>:")) {
		v.add(key+".acme.email", "%q is no address; write one like me@example.org, without mailto:", t.ACME.Email)
	}
	if u, err := url.Parse(t.ACME.DirectoryURL); err != nil || u.Scheme != "https" || u.Host == "" {
		v.add(key+".acme.directoryURL", "%q is no directory of an authority; write its URL, which begins with https://", t.ACME.DirectoryURL)
	}
	between(v, "coordinator.server.drainGrace", p.DrainGrace, 0, 10*time.Minute)
	if p.HTTPS {
		v.httpsComplete(key, p)
	}
}

// httpsComplete checks that HTTPS has all it needs.
func (v *validator) httpsComplete(key string, p Page) {
	t := p.TLS
	switch {
	case !t.hasFiles() && len(t.Issued()) == 0:
		v.add("coordinator.server.https", "is true without a certificate; set coordinator.server.tls.httpsCert and .httpsKey, or .domain to get one by ACME")
	case t.hasFiles() && (t.HTTPSCert == "" || t.HTTPSKey == ""):
		v.add(key, "names only one file; set coordinator.server.tls.httpsCert and .httpsKey, or neither and .domain")
	case t.hasFiles() && len(t.ACME.Domains) > 0:
		v.add(key+".acme.domains", "are set beside httpsCert; leave one of them empty")
	case !t.hasFiles() && t.ACME.CacheDir == "":
		v.add(key+".acme.cacheDir", "is empty; name a folder, or each start asks for new certificates until the authority refuses")
	}
	switch _, port, _ := net.SplitHostPort(p.Address); {
	case t.Address == "" && port == "80":
		v.add(key+".address", "is empty, so that HTTPS would be served at %q; set it to :443, and browsers are sent on from port 80", p.Address)
	case t.Address != "" && t.Address == p.Address && port != "0":
		v.add(key+".address", "%q is coordinator.server.address too; give plain HTTP and HTTPS a port each, like :80 and :443", t.Address)
	}
}

// domain checks a name that certificates are issued for; "" is fine.
func (v *validator) domain(key, name string) {
	if name == "" {
		return
	}
	_, err := netip.ParseAddr(name)
	bare := strings.Trim(name, ".")
	if err == nil || len(name) > 253 || bare != name || !strings.Contains(name, ".") || strings.ContainsAny(name, " :/@?#,*\"\\") {
		v.add(key, "%q is no name that certificates are issued for; write one like play.example.org, without scheme, port or wildcard", name)
	}
}
