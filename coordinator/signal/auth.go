package signal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
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

// Session is what a token says of a browser's session: enough to bind it to
// its worker again by a coordinator that has never seen it.
type Session struct {
	ID      string
	Worker  string // "" before a game was started
	Room    string // "" before a game was started
	Expires time.Time
}

// Errors of VerifyToken.
var (
	ErrTokenInvalid = errors.New("the session token is not one of ours")
	ErrTokenExpired = errors.New("the session token has expired")
)

const tokenVersion = "v1"

// MintToken makes the token of a session: its fields and an HMAC over them.
// The fields must be valid ids. The token is no secret between browser and
// coordinator, but it must not be shown to others: it can take the session over.
func MintToken(secret string, s Session) string {
	body := strings.Join([]string{
		tokenVersion, s.ID, s.Worker, s.Room, strconv.FormatInt(s.Expires.Unix(), 10),
	}, ".")
	return body + "." + tokenMAC(secret, body)
}

// VerifyToken checks a token and answers the session. Its errors are
// ErrTokenInvalid and ErrTokenExpired.
func VerifyToken(secret, token string, now time.Time) (Session, error) {
	if len(token) > MaxText || secret == "" {
		return Session{}, ErrTokenInvalid
	}
	end := strings.LastIndexByte(token, '.')
	if end < 0 || !hmac.Equal([]byte(tokenMAC(secret, token[:end])), []byte(token[end+1:])) {
		return Session{}, ErrTokenInvalid
	}
	part := strings.Split(token[:end], ".")
	if len(part) != 5 || part[0] != tokenVersion || !ValidID(part[1]) ||
		(part[2] != "" && !ValidID(part[2])) || (part[3] != "" && !ValidRoomID(part[3])) {
		return Session{}, ErrTokenInvalid
	}
	seconds, err := strconv.ParseInt(part[4], 10, 64)
	if err != nil {
		return Session{}, ErrTokenInvalid
	}
	s := Session{ID: part[1], Worker: part[2], Room: part[3], Expires: time.Unix(seconds, 0)}
	if !now.Before(s.Expires) {
		return Session{}, ErrTokenExpired
	}
	return s, nil
}

// tokenMAC is separated from MAC, which uses the same secret, by its prefix:
// a nonce is hex and never begins like it.
func tokenMAC(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("session token\n" + body))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
