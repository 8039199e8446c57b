package seal

import (
	"crypto/aes"
	"encoding/binary"
	"fmt"
)

// Labels of the session keys of RTP (RFC 3711 section 4.3.2).
const (
	labelCipher = 0x00
	labelAuth   = 0x01
	labelSalt   = 0x02
)

// keys are the session keys of RTP.
type keys struct {
	cipher, salt, auth []byte
}

// deriveAll makes the session keys that the profile needs.
func deriveAll(p Profile, key, salt []byte) (keys, error) {
	var k keys
	var err error
	if k.cipher, err = derive(labelCipher, key, salt, p.KeyLen()); err != nil {
		return k, err
	}
	if k.salt, err = derive(labelSalt, key, salt, p.SaltLen()); err != nil {
		return k, err
	}
	if p == AES128CMHMACSHA180 {
		k.auth, err = derive(labelAuth, key, salt, sha1Key)
	}
	return k, err
}

// derive makes n bytes of the session key with this label from the master key
// and salt: AES in counter mode under the master key, key derivation rate 0
// (RFC 3711 sections 4.3.1 and 4.3.3). A 32-byte master key makes it the
// AES_256_CM_PRF (RFC 6188 section 3); a 12-byte salt stands in the high bytes,
// as if two zero bytes followed it (RFC 7714 section 11).
func derive(label byte, key, salt []byte, n int) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	var counter [aes.BlockSize]byte
	copy(counter[:cmSalt], salt)
	counter[7] ^= label
	out := make([]byte, (n+aes.BlockSize-1)/aes.BlockSize*aes.BlockSize)
	for i := 0; i*aes.BlockSize < n; i++ {
		binary.BigEndian.PutUint16(counter[cmSalt:], uint16(i))
		block.Encrypt(out[i*aes.BlockSize:], counter[:])
	}
	return out[:n], nil
}
