package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/pion/dtls/v2"
)

// tls makes the connection a TLS one.
func (r *run) tls(ctx context.Context) (string, error) {
	var v verdict
	conn := tls.Client(r.link.Conn, &tls.Config{
		ServerName: r.target.host, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify:    true, // verified below: only so is it known what is wrong
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error { return v.take(r, raw) },
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return "", r.noHandshake(v, err)
	}
	r.link = newLink(conn, true)
	return tls.VersionName(conn.ConnectionState().Version) + ", " + v.found, nil
}

// dtls opens a DTLS connection to the first address that takes one.
func (r *run) dtls(ctx context.Context) (string, error) {
	var v verdict
	err := r.first(ctx, func(ctx context.Context, raw net.Conn) error {
		conn, err := dtls.ClientWithContext(ctx, raw, &dtls.Config{
			ServerName: r.target.host, ExtendedMasterSecret: dtls.RequireExtendedMasterSecret,
			InsecureSkipVerify:    true, // as above
			VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error { return v.take(r, raw) },
		})
		if err != nil {
			return err
		}
		r.link = newLink(conn, false)
		return nil
	})
	if err != nil {
		return "", r.noHandshake(v, err)
	}
	return "DTLS 1.2, " + v.found, nil
}

// verdict is what a certificate is worth.
type verdict struct {
	found string
	leaf  *x509.Certificate
	err   error // nil also if it is not to be verified
}

// take verifies a chain. The error ends the handshake.
func (v *verdict) take(r *run, raw [][]byte) error {
	options := x509.VerifyOptions{DNSName: r.target.host, Roots: r.cfg.RootCAs, Intermediates: x509.NewCertPool()}
	for i, der := range raw {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			v.err = fmt.Errorf("read certificate: %w", err)
			return v.err
		}
		if i == 0 {
			v.leaf = cert
			continue
		}
		options.Intermediates.AddCert(cert)
	}
	if v.leaf == nil {
		v.err = errors.New("no certificate")
		return v.err
	}
	v.found = fmt.Sprintf("certificate for %s, good until %s", names(v.leaf), v.leaf.NotAfter.UTC().Format(time.DateOnly))
	if r.cfg.Insecure {
		v.found += ", not verified"
		return nil
	}
	_, v.err = v.leaf.Verify(options)
	return v.err
}

// names are what a certificate is for.
func names(cert *x509.Certificate) string {
	all := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "nobody by name"
	}
	return strings.Join(all, ", ")
}

// noHandshake puts why there is no secure connection into words.
func (r *run) noHandshake(v verdict, err error) error {
	var plain tls.RecordHeaderError
	switch {
	case v.err != nil:
		return r.badCertificate(v)
	case errors.As(err, &plain):
		return fault{
			cause:  "what listens there does not speak TLS",
			remedy: "check " + strings.Replace(r.target.over("tcp"), "turns:", "turn:", 1) + ", or compare the port with turn.listeners",
		}
	case !r.target.stream, isTimeout(err):
		return r.unreachable(err)
	}
	return fault{
		cause:  fmt.Sprintf("the TLS handshake failed: %v", err),
		remedy: "a TURN server without TLS closes such connections: check " + strings.Replace(r.target.over("tcp"), "turns:", "turn:", 1),
	}
}

// badCertificate names what is wrong with the certificate.
func (r *run) badCertificate(v verdict) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	const browsers = "; browsers refuse such a server"
	switch {
	case errors.As(v.err, &unknown) && v.leaf.CheckSignature(v.leaf.SignatureAlgorithm, v.leaf.RawTBSCertificate, v.leaf.Signature) == nil:
		return fault{
			cause:  "the certificate is self-made" + browsers,
			remedy: "name a real one in turn.tls; to check what comes after: --ca FILE or --insecure",
		}
	case errors.As(v.err, &unknown):
		return fault{
			cause:  fmt.Sprintf("the certificate is signed by %q, which this machine does not trust%s", v.leaf.Issuer, browsers),
			remedy: "if the authority is your own: --ca FILE; else put its intermediate certificates behind the server's in turn.tls.cert",
		}
	case errors.As(v.err, &name):
		return fault{
			cause:  fmt.Sprintf("the certificate is for %s and not for %s%s", names(v.leaf), r.target.host, browsers),
			remedy: "use a name of the certificate in the URL (and in turn.publicAddress), or get one for this name",
		}
	case errors.As(v.err, &invalid) && invalid.Reason == x509.Expired:
		return r.outOfDate(v.leaf, time.Now())
	}
	return fault{cause: fmt.Sprintf("bad certificate: %v", v.err) + browsers, remedy: "name another one in turn.tls"}
}

// outOfDate tells a certificate that has expired from a clock that is wrong.
func (r *run) outOfDate(cert *x509.Certificate, now time.Time) error {
	if now.Before(cert.NotBefore) {
		return fault{
			cause:  fmt.Sprintf("the certificate is good from %s only", cert.NotBefore.UTC().Format(time.RFC3339)),
			remedy: "look at this machine's clock and at that of who made the certificate",
		}
	}
	return fault{
		cause:  fmt.Sprintf("the certificate expired at %s; browsers refuse such a server", cert.NotAfter.UTC().Format(time.RFC3339)),
		remedy: "renew it; the gate reads turn.tls again by itself",
	}
}
