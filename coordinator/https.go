package coordinator

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/acme"
	"github.com/cloudretro/cloudretro/coordinator/certificate"
)

// TLS is how a Coordinator serves HTTPS: with a certificate of files, or with
// those that an authority issues. The zero value is none.
type TLS struct {
	// CertFile and KeyFile are PEM files, read again when they change; both or
	// none.
	CertFile, KeyFile string
	// ACME, with Domains, gets certificates from an authority; not beside files.
	// Its Logger is set here.
	ACME acme.Config
	// RedirectAddress is host:port of a plain HTTP listener that sends browsers
	// on to HTTPS and answers the authority's HTTP-01 challenges; "" is none.
	RedirectAddress string
	// RedirectPort is the port of HTTPS as browsers see it; 0 is that of the
	// listener.
	RedirectPort int
	// HSTS is how long browsers shall know this host by HTTPS only; 0 is off.
	HSTS time.Duration
}

// source is where certificates come from.
type source interface {
	Run(ctx context.Context) error
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Status() []certificate.Status
}

var (
	_ source = (*certificate.Files)(nil)
	_ source = (*acme.Issuer)(nil)
)

// open reads the files or prepares to ask the authority; nil without TLS.
func (t TLS) open(log *slog.Logger) (source, error) {
	files := t.CertFile != "" || t.KeyFile != ""
	switch {
	case files && len(t.ACME.Domains) > 0:
		return nil, fmt.Errorf("coordinator.server.tls: both httpsCert and a domain for ACME are set; choose one")
	case files:
		source, err := certificate.Open(t.CertFile, t.KeyFile, log)
		if err != nil {
			return nil, fmt.Errorf("coordinator.server.tls.httpsCert and .httpsKey: %w", err)
		}
		return source, nil
	case len(t.ACME.Domains) > 0:
		cfg := t.ACME
		cfg.Logger = log
		source, err := acme.New(cfg)
		if err != nil {
			return nil, fmt.Errorf("coordinator.server.tls.acme: %w", err)
		}
		return source, nil
	}
	return nil, nil
}

// serverConfig is for the listener of HTTPS. HTTP/2 is not offered: browsers
// would open WebSockets over it only where RFC 8441 is spoken, which
// gorilla/websocket does not, and the page is too small to gain from it.
func (t TLS) serverConfig(s source) *tls.Config {
	protocols := []string{"http/1.1"}
	if len(t.ACME.Domains) > 0 {
		protocols = append(protocols, acme.Proto)
	}
	return &tls.Config{
		GetCertificate: s.GetCertificate,
		NextProtos:     protocols,
		MinVersion:     tls.VersionTLS12,
		// Of TLS 1.2, what has forward secrecy and no CBC (RFC 9325 4.2).
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}

// Certificates are those shown, in numbers; none without TLS. It may be called
// at any time.
func (c *Coordinator) Certificates() []certificate.Status {
	if c.source == nil {
		return nil
	}
	return c.source.Status()
}
