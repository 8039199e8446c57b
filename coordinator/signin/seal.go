package signin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// maxSealed bounds a cookie; browsers keep 4096 bytes of name and value.
const maxSealed = 3800

// What is sealed is bound to what it is for, so that one cookie cannot pose as
// another.
const (
	forSession = "session"
	forFlow    = "flow"
)

var errSealed = errors.New("this was not sealed by us")

// sealer makes texts that only who has the same secret and the same
// configuration can read or make: a changed password, or a changed list of
// admins, ends what was sealed before.
type sealer struct{ aead cipher.AEAD }

func newSealer(cfg Config) (*sealer, error) {
	// JSON keeps the parts apart. Funcs and the logger are not among them.
	parts, err := json.Marshal([]any{cfg.Method, cfg.Password, cfg.AdminPassword, cfg.OIDC})
	if err != nil {
		return nil, fmt.Errorf("digest the configuration: %w", err)
	}
	digest := sha256.Sum256(parts)
	key, err := hkdf.Key(sha256.New, []byte(cfg.Secret), digest[:], "cloudretro sign-in cookies v1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of cookies: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make the cipher of cookies: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make the cipher of cookies: %w", err)
	}
	return &sealer{aead}, nil
}

// seal makes a text of characters that cookies may have.
func (s *sealer) seal(purpose string, data []byte) string {
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, data, []byte(purpose)))
}

// open answers what was sealed for this purpose, or errSealed.
func (s *sealer) open(purpose, text string) ([]byte, error) {
	if len(text) > maxSealed {
		return nil, errSealed
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errSealed
	}
	data, err := s.aead.Open(nil, nil, raw, []byte(purpose))
	if err != nil {
		return nil, errSealed
	}
	return data, nil
}
