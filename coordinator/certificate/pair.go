package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// maxFile bounds one of the files, in bytes.
const maxFile = 1 << 20

// read reads both files.
func (f *Files) read() (content, error) {
	cert, err := readFile(f.certFile)
	if err != nil {
		return content{}, err
	}
	key, err := readFile(f.keyFile)
	if err != nil {
		return content{}, err
	}
	return content{cert, key}, nil
}

// readFile reads a file of bounded size. Anything but a regular file is refused
// before it is opened, as opening a pipe would wait for its writer.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d KiB", name, maxFile>>10)
	}
	return data, nil
}

// parse makes a certificate of what both files hold.
func parse(c content) (*tls.Certificate, error) {
	if err := whole(c.cert, "CERTIFICATE"); err != nil {
		return nil, fmt.Errorf("the certificate's file: %w", err)
	}
	if err := whole(c.key, ""); err != nil {
		return nil, fmt.Errorf("the key's file: %w", err)
	}
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, err
	}
	if pair.Leaf == nil { // with GODEBUG=x509keypairleaf=0
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, err
		}
	}
	return &pair, nil
}

// whole says whether every PEM block (RFC 7468) that begins in data also ends,
// at least one of the kind, any if that is empty: a chain that was cut in the
// middle must not be taken for a short one.
func whole(data []byte, kind string) error {
	begun, found := bytes.Count(data, []byte("-----BEGIN ")), 0
	ofKind := false
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		found++
		ofKind = ofKind || kind == "" || block.Type == kind
		data = rest
	}
	switch {
	case begun != found:
		return errors.New("a PEM block is cut off or damaged")
	case !ofKind:
		return errors.New("there is no PEM block as expected in it")
	}
	return nil
}

// Names are what a certificate is for: DNS names and IP addresses.
func Names(leaf *x509.Certificate) []string {
	names := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// Notice is how long before its end a certificate should have been renewed: 14
// days, or a quarter of a shorter life.
func Notice(leaf *x509.Certificate) time.Duration {
	return min(longestNotice, leaf.NotAfter.Sub(leaf.NotBefore)/4)
}
