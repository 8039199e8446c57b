package signal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Roles that prove themselves with a MAC.
const (
	RoleWorker = "worker" // with secrets.worker, in Register
	RoleGate   = "gate"   // with secrets.turn, in Gate
)

const (
	nonceSize = 32 // bytes
	macSize   = sha256.Size
)

// NewID makes a random id for a session, worker, gate or room: 26 characters
// of lower-case base32, 130 bits.
func NewID() string { return strings.ToLower(rand.Text()) }

// NewNonce makes the nonce of a Challenge.
func NewNonce() string {
	var raw [nonceSize]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(raw[:])
}

// MAC proves knowledge of a secret to who sent the nonce:
// hex(HMAC-SHA256(secret, nonce || role || id)). The nonce has a fixed length
// and no role is the beginning of another, so the parts cannot be shifted.
func MAC(secret, nonce, role, id string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(nonce + role + id))
	return hex.EncodeToString(mac.Sum(nil))
}

// CheckMAC says in constant time whether mac is the one of these. An empty
// secret fits nothing.
func CheckMAC(secret, nonce, role, id, mac string) bool {
	return hmac.Equal([]byte(MAC(secret, nonce, role, id)), []byte(mac)) && secret != ""
}

// Proof is the part of a Register or a Gate by which it proves itself. Who has
// not proved itself yet is read as this alone: the lists of the whole can take
// many times the memory of the message.
type Proof struct {
	ID    string `json:"id"`
	MAC   string `json:"mac,omitempty"`
	Token string `json:"token,omitempty"` // of workers alone
}

// Validate checks forms, neither the MAC nor who signed the token.
func (p Proof) Validate() error {
	if !ValidID(p.ID) {
		return errors.New("id is malformed")
	}
	return checkProof(p.MAC, p.Token)
}

// checkProof: one of the two is there.
func checkProof(mac, token string) error {
	if token == "" {
		return checkHex("mac", mac, macSize)
	}
	if mac != "" {
		return errors.Join(checkHex("mac", mac, macSize), checkJWT(token))
	}
	return checkJWT(token)
}

// jwtCharacters are those of base64url without padding (RFC 4648 section 5).
const jwtCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// checkJWT: three parts in base64url with dots between them (RFC 7515 section 7.1).
func checkJWT(s string) error {
	if len(s) > MaxJWT {
		return fmt.Errorf("token has more than %d bytes", MaxJWT)
	}
	parts := strings.Split(s, ".")
	malformed := len(parts) != 3
	for _, part := range parts {
		malformed = malformed || part == "" || strings.Trim(part, jwtCharacters) != ""
	}
	if malformed {
		return errors.New("token is no signed JWT")
	}
	return nil
}

// Session is what a token says of a browser's session: enough for a coordinator
// that has never seen it to bind it to its worker, or its place in the queue, again.
type Session struct {
	ID      string `json:"i"`
	Worker  string `json:"w,omitempty"` // "" while no game was started
	Room    string `json:"r,omitempty"` // "" while no game was started
	Waiting int64  `json:"q,omitempty"` // ms since 1970 when it began to wait for a place, 0 = it does not
	Game    string `json:"g,omitempty"` // that it waits for
	User    *User  `json:"u,omitempty"` // who was signed in
	Expires int64  `json:"e"`           // seconds since 1970
}

// Errors of VerifyToken.
var (
	ErrTokenInvalid = errors.New("the session token is not one of ours")
	ErrTokenExpired = errors.New("the session token has expired")
)

const tokenVersion = "v2."

// MintToken makes the token of a session: its fields and an HMAC over them.
// The fields must be valid, see Validate. The token is no secret between browser
// and coordinator, but it must not be shown to others: it can take the session over.
func MintToken(secret string, s Session) string {
	data, err := marshal(s)
	if err != nil {
		panic("signal: encode session: " + err.Error()) // strings and numbers only
	}
	body := tokenVersion + base64.RawURLEncoding.EncodeToString(data)
	return body + "." + tokenMAC(secret, body)
}

// VerifyToken checks a token and answers the session. Its errors are
// ErrTokenInvalid and ErrTokenExpired.
func VerifyToken(secret, token string, now time.Time) (Session, error) {
	if len(token) > MaxToken || secret == "" {
		return Session{}, ErrTokenInvalid
	}
	end := strings.LastIndexByte(token, '.')
	if end < 0 || !hmac.Equal([]byte(tokenMAC(secret, token[:end])), []byte(token[end+1:])) {
		return Session{}, ErrTokenInvalid
	}
	body, ok := strings.CutPrefix(token[:end], tokenVersion)
	if !ok {
		return Session{}, ErrTokenInvalid
	}
	var s Session
	data, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || json.Unmarshal(data, &s) != nil || s.Validate() != nil {
		return Session{}, ErrTokenInvalid
	}
	if now.Unix() >= s.Expires {
		return Session{}, ErrTokenExpired
	}
	return s, nil
}

// Validate checks ids and times.
func (s Session) Validate() error {
	if !ValidID(s.ID) {
		return errors.New("session is malformed")
	}
	if s.Room != "" {
		if err := checkRoom(s.Room); err != nil {
			return err
		}
	}
	if s.Game != "" {
		if err := checkGame(s.Game); err != nil {
			return err
		}
	}
	return first(checkSession(s.Worker), checkTime("waiting", s.Waiting), checkUser(s.User))
}

// tokenMAC is separated from MAC, which uses the same secret, by its prefix:
// a nonce is hex and never begins like it.
func tokenMAC(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("session token\n" + body))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
