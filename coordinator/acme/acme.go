// Package acme gets the certificates of a door from a certificate authority by
// ACME (RFC 8555), such as Let's Encrypt, and renews them before they end. It
// stands on x/crypto/acme/autocert and adds to it that certificates are asked
// for ahead of visitors and never because of one, and that failures are told.
package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/idna"

	"github.com/cloudretro/cloudretro/coordinator/certificate"
)

// Proto is the protocol of the challenge TLS-ALPN-01 (RFC 8737): a TLS listener
// whose certificates an Issuer shows must offer it.
const Proto = acme.ALPNProto

// Config is what an Issuer needs.
type Config struct {
	// Domains are the host names to get certificates for, one each; at least one,
	// no wildcards and no IP addresses.
	Domains []string
	// Email is whom the authority tells of trouble; "" is nobody.
	Email string
	// CacheDir is the folder of keys and certificates, which nobody else may
	// enter; it is made if it is missing. Replicas of a coordinator may share it.
	CacheDir string
	// DirectoryURL is the authority; "" is Let's Encrypt. Whoever names one
	// agrees to its terms of service.
	DirectoryURL string
	// CAFile is a PEM file of the certificates to trust DirectoryURL by, in
	// place of the system's.
	CAFile string
	// Logger receives what happens; nil means silence.
	Logger *slog.Logger
}

// Issuer holds a certificate for each domain. Methods may be called
// concurrently, Run once.
type Issuer struct {
	log     *slog.Logger
	manager *autocert.Manager
	witness *witness
	domains map[string]*domain // by name as in a handshake; read-only
	order   []*domain          // as configured
	lookout time.Duration
}

// domain is one name. Fields that are not atomic belong to its goroutine of Run.
type domain struct {
	name     string
	ready    atomic.Bool  // there is a certificate
	expires  atomic.Int64 // Unix seconds of its end
	failures atomic.Uint64
	warned   time.Time
}

// lookout is how often a certificate that is there is looked after.
const lookout = 5 * time.Second

// New checks cfg and makes the folder. It asks nobody and starts nothing: call Run.
func New(cfg Config) (*Issuer, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Domains) == 0 {
		return nil, errors.New("no domain to get a certificate for")
	}
	if cfg.DirectoryURL == "" {
		cfg.DirectoryURL = autocert.DefaultACMEDirectory
	}
	if err := makeFolder(cfg.CacheDir); err != nil {
		return nil, err
	}
	witness, err := newWitness(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	i := &Issuer{log: cfg.Logger, witness: witness, domains: map[string]*domain{}, lookout: lookout}
	for _, name := range cfg.Domains {
		canonical, err := idna.Lookup.ToASCII(name)
		if err != nil || !validDomain(canonical) {
			return nil, fmt.Errorf("%q is no host name that a certificate is issued for", name)
		}
		if i.domains[canonical] == nil {
			d := &domain{name: canonical}
			i.domains[canonical], i.order = d, append(i.order, d)
		}
	}
	i.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(cfg.CacheDir), HostPolicy: i.policy, Email: cfg.Email,
		Client: &acme.Client{
			DirectoryURL: cfg.DirectoryURL, HTTPClient: witness.client(), UserAgent: "cloudretro", RetryBackoff: retry,
		},
	}
	return i, nil
}

// validDomain says whether an authority could issue for an ASCII name.
func validDomain(name string) bool {
	return strings.Contains(strings.Trim(name, "."), ".") && !strings.HasSuffix(name, ".") &&
		!strings.ContainsAny(name, "*:/ ") && net.ParseIP(name) == nil && len(name) <= 253
}

// Allows says whether host, with or without a port, is one of the domains.
func (i *Issuer) Allows(host string) bool { return i.find(host) != nil }

func (i *Issuer) find(host string) *domain {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil {
		return nil
	}
	return i.domains[name]
}

// policy keeps the manager from asking for what is not configured.
func (i *Issuer) policy(_ context.Context, host string) error {
	if !i.Allows(host) {
		return fmt.Errorf("%q is none of the domains", host)
	}
	return nil
}

// GetCertificate is tls.Config.GetCertificate. It answers the authority's
// challenges, and every client with the certificate of the domain that it asks
// for; it never waits for one to be issued.
func (i *Issuer) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == Proto {
		return i.manager.GetCertificate(hello)
	}
	d := i.find(hello.ServerName)
	switch {
	case d == nil:
		return nil, fmt.Errorf("%q is none of the domains", hello.ServerName)
	case !d.ready.Load():
		return nil, fmt.Errorf("there is no certificate for %s yet", d.name)
	}
	return i.get(d)
}

// get is the certificate of a domain: a new one if the manager has none, which
// takes up to five minutes. It asks like a client of today, so that there is one
// certificate for a domain and not a second one for those who know RSA only.
func (i *Issuer) get(d *domain) (*tls.Certificate, error) {
	return i.manager.GetCertificate(&tls.ClientHelloInfo{
		ServerName: d.name, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
}

// Challenges answers the authority's HTTP-01 challenges (RFC 8555 8.3), which
// must reach it at port 80, and leaves all other requests to next. Without it
// only TLS-ALPN-01 is tried, which must reach the TLS listener at port 443. Call
// it before Run.
func (i *Issuer) Challenges(next http.Handler) http.Handler { return i.manager.HTTPHandler(next) }

// Status is each certificate in numbers, in the order of Config.Domains.
func (i *Issuer) Status() []certificate.Status {
	list := make([]certificate.Status, 0, len(i.order))
	for _, d := range i.order {
		s := certificate.Status{Name: d.name, Failures: d.failures.Load()}
		if d.ready.Load() {
			s.Expires = time.Unix(d.expires.Load(), 0)
		}
		list = append(list, s)
	}
	return list
}
