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

func newGCM(k keys, ssrc uint32) (*gcm, error) {
	block, err := aes.NewCipher(k.cipher)
	if err != nil {
		return nil, fmt.Errorf("session key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("session key: %w", err)
	}
	return &gcm{aead: aead, nonces: newNonces(k.salt, ssrc, gcmSSRC)}, nil
}

func (g *gcm) seal(dst []byte, header int, payload []byte, index uint64) {
	g.aead.Seal(dst[header:header], g.nonces.at(index, gcmIndex)[:gcmSalt], payload, dst[:header])
}

func (g *gcm) open(dst, packet []byte, header int, index uint64) bool {
	_, err := g.aead.Open(dst[:0], g.nonces.at(index, gcmIndex)[:gcmSalt], packet[header:], packet[:header])
	return err == nil
}
