package turn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"time"
)

// nonceLife is how long a nonce is good for. A client is then told a new one
// with 438 (Stale Nonce), which costs it one round trip.
const nonceLife = 10 * time.Minute

const (
	nonceTime = 4  // bytes: seconds since 1970, modulo 2^32
	nonceTag  = 8  // bytes: which client it was made for
	nonceMAC  = 12 // bytes: over both
	nonceSize = nonceTime + nonceTag + nonceMAC
)

// freshness is what a nonce is worth.
type freshness uint8

const (
	nonceFresh   freshness = iota
	nonceStale             // too old, or not of this process
	nonceForeign           // good, but made for another client: a replayed request
)

// nonces makes and checks the nonces of the long-term credential mechanism (RFC
// 8489 9.2). Nothing is stored: a nonce says when and for which transport
// address it was made, under a key of this process. (Those of pion/turn v2.1
// live for an hour and serve whoever overhears them; see door.) Its methods may
// be called concurrently.
type nonces struct{ key [32]byte }

func newNonces() *nonces {
	n := &nonces{}
	_, _ = rand.Read(n.key[:]) // never fails: crypto/rand ends the program instead
	return n
}

// mint makes a nonce for a client.
func (n *nonces) mint(client netip.AddrPort, now time.Time) string {
	raw := make([]byte, 0, nonceSize)
	raw = binary.BigEndian.AppendUint32(raw, uint32(now.Unix()))
	raw = append(raw, n.sum("client", []byte(client.String()))[:nonceTag]...)
	raw = append(raw, n.sum("nonce", raw)[:nonceMAC]...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// check says what a nonce is worth that a client sent.
func (n *nonces) check(nonce []byte, client netip.AddrPort, now time.Time) freshness {
	var raw [nonceSize]byte
	if len(nonce) != base64.RawURLEncoding.EncodedLen(nonceSize) {
		return nonceStale
	}
	if _, err := base64.RawURLEncoding.Decode(raw[:], nonce); err != nil {
		return nonceStale
	}
	signed := raw[:nonceTime+nonceTag]
	if !hmac.Equal(raw[len(signed):], n.sum("nonce", signed)[:nonceMAC]) {
		return nonceStale
	}
	age := time.Duration(uint32(now.Unix())-binary.BigEndian.Uint32(raw[:])) * time.Second
	if age >= nonceLife {
		return nonceStale
	}
	if !hmac.Equal(raw[nonceTime:len(signed)], n.sum("client", []byte(client.String()))[:nonceTag]) {
		return nonceForeign
	}
	return nonceFresh
}

func (n *nonces) sum(use string, data []byte) []byte {
	mac := hmac.New(sha256.New, n.key[:])
	mac.Write([]byte(use))
	mac.Write(data)
	return mac.Sum(nil)
}
