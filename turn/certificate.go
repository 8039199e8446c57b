package turn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/certificate"
)

// certificateLife is that of a self-made certificate.
const certificateLife = 10 * 365 * 24 * time.Hour

// identity is what TLS and DTLS listeners show: a certificate of two PEM files,
// which are followed, those that the process was given, or a self-made one.
// Methods may be called concurrently.
type identity struct {
	certFile, keyFile string
	files             *certificate.Files                // or
	given             atomic.Pointer[[]tls.Certificate] // at least one
}

// newIdentity reads the files, or makes a certificate for host where there are
// none.
func newIdentity(certFile, keyFile, host string, log *slog.Logger) (*identity, error) {
	if certFile == "" && keyFile == "" {
		made, err := selfMade(host, time.Now())
		if err != nil {
			return nil, fmt.Errorf("make a certificate: %w", err)
		}
		return newGiven([]tls.Certificate{*made}), nil
	}
	files, err := certificate.Open(certFile, keyFile, log)
	if err != nil {
		return nil, fmt.Errorf("turn.tls: %w", err)
	}
	return &identity{certFile: certFile, keyFile: keyFile, files: files}, nil
}

// watch follows the files until ctx ends.
func (i *identity) watch(ctx context.Context) error {
	if i.files == nil {
		return nil
	}
	return i.files.Run(ctx)
}

// newGiven is an identity of certificates in memory.
func newGiven(certificates []tls.Certificate) *identity {
	i := &identity{}
	i.given.Store(&certificates)
	return i
}

// shown are the certificates for a new connection; running ones keep theirs.
func (i *identity) shown() []tls.Certificate {
	if i.files == nil {
		return *i.given.Load()
	}
	return []tls.Certificate{*i.files.Current()}
}

// shownTo is the certificate for a client that asks for a name, the first if
// none is for it.
func (i *identity) shownTo(name string) *tls.Certificate {
	all := i.shown()
	for n := range all {
		if leaf := all[n].Leaf; name != "" && leaf != nil && leaf.VerifyHostname(name) == nil {
			return &all[n]
		}
	}
	return &all[0]
}

// Certificates are the files that TLS and DTLS listeners show, in numbers. It may
// be called at any time.
func (g *Gate) Certificates() []certificate.Status {
	var list []certificate.Status
	for _, i := range g.identities {
		if i.files != nil {
			list = append(list, i.files.Status()...)
		}
	}
	return list
}

// serverConfig is for TLS listeners (RFC 7443 names the protocol, which clients
// may leave out).
func (i *identity) serverConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"stun.turn"},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: i.shown()}
			for _, p := range hello.SupportedProtos {
				if p == "stun.turn" {
					cfg.NextProtos = []string{p}
				}
			}
			return cfg, nil
		},
	}
}

// selfMade makes a certificate for a host. Browsers refuse it: it is for
// clients that do not check, and for tests.
func selfMade(host string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "cloudretro turn"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = append(template.IPAddresses, ip)
	} else if host != "" {
		template.DNSNames = append(template.DNSNames, host)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
