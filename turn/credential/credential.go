// Package credential mints and verifies the time-limited TURN credentials of
// draft-uberti-behave-turn-rest-00: the username is "expiry:session", the
// password base64(HMAC-SHA1(secret, username)). Coordinators mint, gates
// verify; nothing is stored. It does no I/O and all of it may be called
// concurrently.
package credential

import (
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // RFC 8489 9.2.2 defines the long-term key with it
	"crypto/sha1" //nolint:gosec // the draft defines the password with it
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// LabelTURN is the label by which the default TURN secret is derived from the
// workers' secret.
const LabelTURN = "turn"

// MaxUsername bounds a username, in bytes (RFC 8489 14.3 allows 508).
const MaxUsername = 128

const (
	maxSession = 64
	maxDigits  = 12 // of the expiry: until the year 33658
)

// Errors that a caller may tell apart.
var (
	ErrMalformed = errors.New("malformed TURN username")
	ErrExpired   = errors.New("TURN credential has expired")
	ErrMismatch  = errors.New("TURN password is of none of the secrets")
)

// Username is the parsed form of "expiry:session".
type Username struct {
	Expires time.Time // whole seconds; from then on the credential is refused
	Session string    // letters, digits, '-' and '_', 1..64
}

// String is the form that goes over the wire.
func (u Username) String() string {
	return strconv.FormatInt(u.Expires.Unix(), 10) + ":" + u.Session
}

// Expired says whether the credential is refused at now.
func (u Username) Expired(now time.Time) bool { return !now.Before(u.Expires) }

// Parse reads a username. It answers ErrMalformed for everything that Mint
// would not have made.
func Parse(s string) (Username, error) {
	expiry, session, ok := strings.Cut(s, ":")
	if !ok || len(s) > MaxUsername || !validSession(session) || !validExpiry(expiry) {
		return Username{}, ErrMalformed
	}
	seconds, err := strconv.ParseInt(expiry, 10, 64)
	if err != nil {
		return Username{}, ErrMalformed
	}
	return Username{Expires: time.Unix(seconds, 0), Session: session}, nil
}

func validExpiry(s string) bool {
	if s == "" || len(s) > maxDigits || s[0] == '0' {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}

func validSession(s string) bool {
	if s == "" || len(s) > maxSession {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// Mint makes a credential for a session that is good for ttl from now on.
func Mint(secret, session string, ttl time.Duration, now time.Time) (username, password string, err error) {
	if secret == "" {
		return "", "", errors.New("mint TURN credential: the secret is empty")
	}
	u := Username{Expires: now.Add(ttl).Truncate(time.Second), Session: session}
	if _, err := Parse(u.String()); err != nil {
		return "", "", fmt.Errorf("mint TURN credential for session %q: %w", session, err)
	}
	return u.String(), Password(secret, u.String()), nil
}

// Password is what belongs to a username.
func Password(secret, username string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Key is the long-term key MD5(username:realm:password) that STUN's
// MESSAGE-INTEGRITY is made with (RFC 8489 9.2.2).
func Key(secret, username, realm string) []byte {
	sum := md5.Sum([]byte(username + ":" + realm + ":" + Password(secret, username))) //nolint:gosec // see the import
	return sum[:]
}

// Verify checks a username and password against each of the secrets, in a
// time that does not tell which, if any, fits. Its errors are ErrMalformed,
// ErrExpired and ErrMismatch.
func Verify(secrets []string, username, password string, now time.Time) (Username, error) {
	u, err := Parse(username)
	if err != nil {
		return Username{}, err
	}
	fits := false
	for _, secret := range secrets {
		equal := hmac.Equal([]byte(Password(secret, username)), []byte(password))
		fits = fits || (equal && secret != "")
	}
	if !fits {
		return Username{}, ErrMismatch
	}
	if u.Expired(now) {
		return Username{}, ErrExpired
	}
	return u, nil
}

// Derive makes another secret from one, for the use that label names: one
// shared secret is then enough to run all roles. An empty secret gives "".
func Derive(secret, label string) string {
	if secret == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("cloudretro " + label))
	return hex.EncodeToString(mac.Sum(nil))
}
