package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// gcm is AEAD_AES_128_GCM or AEAD_AES_256_GCM (RFC 7714).
type gcm struct {
	aead   cipher.AEAD
	nonces nonces
}

var _ suite = (*gcm)(nil)

// Where SSRC and index stand in the 12-byte IV (RFC 7714 section 8.1).
const (
	gcmSSRC  = 2
	gcmIndex = 6
)

func newGCM(key, salt []byte, ssrc uint32) (*gcm, error) {
	session, err := derive(labelCipher, key, salt, len(key))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(session)
	if err != nil {
		return nil, fmt.Errorf("session key: %w", err)
	}
	g := &gcm{}
	if g.aead, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("session key: %w", err)
	}
	g.nonces, err = newNonces(key, salt, ssrc, gcmSSRC)
	return g, err
}

func (g *gcm) seal(dst []byte, header int, payload []byte, index uint64) {
	g.aead.Seal(dst[header:header], g.nonces.at(index, gcmIndex)[:gcmSalt], payload, dst[:header])
}

func (g *gcm) open(dst, packet []byte, header int, index uint64) bool {
	_, err := g.aead.Open(dst[:0], g.nonces.at(index, gcmIndex)[:gcmSalt], packet[header:], packet[:header])
	return err == nil
}
