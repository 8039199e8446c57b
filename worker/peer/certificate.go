package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/pion/webrtc/v3"
)

// certificateRest is what a certificate must still last for to be given to one
// more browser. pion makes them for a month and takes none that has expired.
const certificateRest = 7 * 24 * time.Hour

// newCertificate makes the DTLS identity of the worker; one for all peers saves
// making a key per viewer, and an ECDSA one is what browsers shake hands with fastest.
func newCertificate() (*webrtc.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make DTLS key: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("make DTLS certificate: %w", err)
	}
	return cert, nil
}

// configuration is what one more browser's PeerConnection is made with. A
// worker that has run for weeks gets a new certificate here; browsers that play
// keep theirs.
func (l *Listener) configuration(now time.Time) (webrtc.Configuration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cert.Expires().Sub(now) < certificateRest {
		cert, err := newCertificate()
		if err != nil {
			return webrtc.Configuration{}, err
		}
		l.cert = cert
	}
	return webrtc.Configuration{
		Certificates: []webrtc.Certificate{*l.cert}, BundlePolicy: webrtc.BundlePolicyMaxBundle,
	}, nil
}
