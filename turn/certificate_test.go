package turn

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pemPair is a fresh certificate for a host, and its key.
func pemPair(t *testing.T, host string) (cert, key []byte) {
	t.Helper()
	made, err := selfMade(host, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(made.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// mount is a folder as Kubernetes mounts a Secret: tls.crt and tls.key are links
// through ..data, which is a link that is swapped.
type mount struct {
	t   *testing.T
	dir string
	n   int
}

func newMount(t *testing.T, host string) *mount {
	m := &mount{t: t, dir: t.TempDir()}
	m.swap(pemPair(t, host))
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(m.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *mount) cert() string { return filepath.Join(m.dir, "tls.crt") }
func (m *mount) key() string  { return filepath.Join(m.dir, "tls.key") }

// swap puts other content in place, all at once.
func (m *mount) swap(cert, key []byte) {
	m.t.Helper()
	m.n++
	folder := filepath.Join(m.dir, "..version"+string('a'+rune(m.n)))
	link := filepath.Join(m.dir, "..new")
	for _, err := range []error{
		os.Mkdir(folder, 0o700),
		os.WriteFile(filepath.Join(folder, "tls.crt"), cert, 0o600),
		os.WriteFile(filepath.Join(folder, "tls.key"), key, 0o600),
		os.Symlink(filepath.Base(folder), link),
		os.Rename(link, filepath.Join(m.dir, "..data")),
	} {
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

func TestCertificateFollowsItsFiles(t *testing.T) {
	var said bytes.Buffer
	m := newMount(t, "one.example.org")
	c, err := newCertificate(m.cert(), m.key(), "", slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	shows := func(host string) {
		t.Helper()
		if names := c.current.Load().Leaf.DNSNames; names[len(names)-1] != host {
			t.Errorf("shows %v, want %s", names, host)
		}
	}
	c.refresh()
	shows("one.example.org")
	m.swap(pemPair(t, "two.example.org"))
	c.refresh()
	shows("two.example.org")

	cert, _ := pemPair(t, "three.example.org")
	_, key := pemPair(t, "four.example.org")
	m.swap(cert, key)
	c.refresh()
	if strings.Contains(said.String(), "ERROR") {
		t.Errorf("the first look at a half-written pair is an error: %s", said.String())
	}
	for range 3 {
		c.refresh()
	}
	shows("two.example.org")
	if n := strings.Count(said.String(), "not taken"); n != 1 || !strings.Contains(said.String(), m.cert()) {
		t.Errorf("a broken pair is logged %d times: %s", n, said.String())
	}
	os.Remove(m.key())
	for range 3 {
		c.refresh()
	}
	shows("two.example.org")
	if err := os.Symlink(filepath.Join("..data", "tls.key"), m.key()); err != nil {
		t.Fatal(err)
	}
	m.swap(pemPair(t, "five.example.org"))
	c.refresh()
	shows("five.example.org")
}

func TestCertificateErrors(t *testing.T) {
	m := newMount(t, "a")
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, maxCertificate+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ cert, key, says string }{
		"missing": {m.cert(), "missing.pem", "missing.pem"},
		"swapped": {m.key(), m.cert(), "name a certificate"},
		"large":   {large, m.key(), "larger than"},
		"folder":  {m.dir, m.key(), "turn.tls"},
	} {
		if _, err := newCertificate(test.cert, test.key, "", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v does not say %q", name, err, test.says)
		}
	}
}

func TestSelfMade(t *testing.T) {
	for _, host := range []string{"", "turn.example.org", "192.0.2.1", "2001:db8::1"} {
		c, err := newCertificate("", "", host, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		name := host
		if name == "" {
			name = "localhost"
		}
		if err := c.current.Load().Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
		c.watch(t.Context()) // there is nothing to follow
	}
}
