package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// gcm is AEAD_AES_128_GCM or AEAD_AES_256_GCM (RFC 7714).
type gcm struct {
	aead cipher.AEAD
	base [gcmSalt]byte // IV of index 0
	iv   [gcmSalt]byte // scratch: an array on the stack would escape through the cipher's interface
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
	g := &gcm{aead: aead}
	copy(g.base[:], k.salt)
	binary.BigEndian.PutUint32(g.base[gcmSSRC:], binary.BigEndian.Uint32(g.base[gcmSSRC:])^ssrc)
	return g, nil
}

func (g *gcm) seal(dst []byte, header int, payload []byte, index uint64) {
	g.aead.Seal(dst[header:header], g.nonce(index), payload, dst[:header])
}

func (g *gcm) open(dst, packet []byte, header int, index uint64) bool {
	_, err := g.aead.Open(dst[:0], g.nonce(index), packet[header:], packet[:header])
	return err == nil
}

// nonce is the IV of this index, whose 48 bits end it. It is valid until the
// next call.
func (g *gcm) nonce(index uint64) []byte {
	g.iv = g.base
	high, low := binary.BigEndian.Uint32(g.base[gcmIndex:]), binary.BigEndian.Uint16(g.base[gcmIndex+4:])
	binary.BigEndian.PutUint32(g.iv[gcmIndex:], high^uint32(index>>16))
	binary.BigEndian.PutUint16(g.iv[gcmIndex+4:], low^uint16(index))
	return g.iv[:]
}
