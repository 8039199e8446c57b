// Package certificatetest makes certificates, and puts them into files, for tests.
package certificatetest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Pair is a certificate that signed itself, with its key, as PEM.
type Pair struct{ Cert, Key []byte }

// New makes a pair for host, a name or an address, that is valid from an hour
// ago until end.
func New(t testing.TB, host string, end time.Time) Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}),
	}
}

// Pool trusts the pair.
func (p Pair) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(p.Cert)
	return pool
}

// Mount is a folder as Kubernetes mounts a Secret: Cert and Key are links
// through ..data, which is itself a link, swapped at each change.
type Mount struct {
	Cert, Key string

	t   testing.TB
	dir string
	n   int
}

// NewMount makes a folder that holds p.
func NewMount(t testing.TB, p Pair) *Mount {
	t.Helper()
	dir := t.TempDir()
	m := &Mount{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), t: t, dir: dir}
	m.Swap(p)
	for _, name := range []string{m.Cert, m.Key} {
		if err := os.Symlink(filepath.Join("..data", filepath.Base(name)), name); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// Swap puts p in place, both files at once.
func (m *Mount) Swap(p Pair) {
	m.t.Helper()
	m.n++
	folder, link := filepath.Join(m.dir, fmt.Sprintf("..version%d", m.n)), filepath.Join(m.dir, "..new")
	for _, step := range []func() error{
		func() error { return os.Mkdir(folder, 0o700) },
		func() error { return os.WriteFile(filepath.Join(folder, "tls.crt"), p.Cert, 0o600) },
		func() error { return os.WriteFile(filepath.Join(folder, "tls.key"), p.Key, 0o600) },
		func() error { return os.Symlink(filepath.Base(folder), link) },
		func() error { return os.Rename(link, filepath.Join(m.dir, "..data")) },
	} {
		if err := step(); err != nil {
			m.t.Fatal(err)
		}
	}
}

// Half is the pair as a writer leaves it that is not done with the certificate.
func (p Pair) Half() Pair {
	return Pair{Cert: append(bytes.Clone(p.Cert), p.Cert[:len(p.Cert)/2]...), Key: p.Key}
}
