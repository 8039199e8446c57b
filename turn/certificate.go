package turn

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	certificatePeriod = 5 * time.Second // how often the files are read again
	certificateLife   = 10 * 365 * 24 * time.Hour
	maxCertificate    = 1 << 20 // bytes of a file
)

// certificate is what TLS and DTLS listeners show: of two PEM files, whose
// content is compared every few seconds (so that a swapped symbolic link, which
// is how Kubernetes updates a mounted Secret, is seen like a write), or a
// self-made one. New connections get the newest that was whole; running ones
// keep theirs. Methods may be called concurrently.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]

	mu     sync.Mutex // held by refresh
	pair   [2][]byte  // that current is of
	broken [2][]byte  // that was found not to be a pair
	said   bool       // and logged
}

// newCertificate reads the files, or makes a certificate for host where there
// are none.
func newCertificate(certFile, keyFile, host string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if certFile == "" && keyFile == "" {
		made, err := selfMade(host, time.Now())
		if err != nil {
			return nil, fmt.Errorf("make a certificate: %w", err)
		}
		c.current.Store(made)
		return c, nil
	}
	pair, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("turn.tls: %w; name two PEM files that this user may read", err)
	}
	if err := c.use(pair); err != nil {
		return nil, fmt.Errorf("turn.tls: %q and %q: %w; name a certificate, with its chain, and the key that belongs to it", certFile, keyFile, err)
	}
	return c, nil
}

// watch follows the files until ctx ends.
func (c *certificate) watch(ctx context.Context) {
	if c.certFile == "" {
		return
	}
	tick := time.NewTicker(certificatePeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.refresh()
		case <-ctx.Done():
			return
		}
	}
}

// refresh takes the files if they have changed. What is broken is logged when it
// is found so for the second time: between the writes of two files they do not
// fit for a moment.
func (c *certificate) refresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	pair, err := c.read()
	switch {
	case err == nil && same(pair, c.pair):
		c.broken, c.said = [2][]byte{}, false
		return
	case err == nil:
		err = c.use(pair)
	}
	if err == nil {
		c.broken, c.said = [2][]byte{}, false
		c.log.Info("certificate changed", "file", c.certFile, "expires", c.current.Load().Leaf.NotAfter)
		return
	}
	if again := same(pair, c.broken); again && !c.said {
		c.said = true
		c.log.Error("new certificate not taken, the last one stays", "file", c.certFile, "key", c.keyFile, "cause", err)
	} else if !again {
		c.broken, c.said = pair, false
	}
}

func same(a, b [2][]byte) bool { return bytes.Equal(a[0], b[0]) && bytes.Equal(a[1], b[1]) }

// use makes a pair the current one.
func (c *certificate) use(pair [2][]byte) error {
	parsed, err := tls.X509KeyPair(pair[0], pair[1])
	if err != nil {
		return err
	}
	if parsed.Leaf == nil {
		if parsed.Leaf, err = x509.ParseCertificate(parsed.Certificate[0]); err != nil {
			return err
		}
	}
	c.pair = pair
	c.current.Store(&parsed)
	return nil
}

func (c *certificate) read() (pair [2][]byte, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if pair[i], err = readFile(name); err != nil {
			return [2][]byte{}, err
		}
	}
	return pair, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, maxCertificate+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxCertificate {
		return nil, fmt.Errorf("%s is larger than %d KiB", name, maxCertificate>>10)
	}
	return data, nil
}

// serverConfig is for TLS listeners (RFC 7443 names the protocol, which clients
// may leave out).
func (c *certificate) serverConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"stun.turn"},
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*c.current.Load()}}
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
