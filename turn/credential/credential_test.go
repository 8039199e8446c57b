package credential

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v2"
)

// noon is the time of all tests.
func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// Vectors made with openssl: printf USER | openssl dgst -sha1 -hmac SECRET -binary | base64
// and printf USER:REALM:PASSWORD | md5sum.
func TestVectors(t *testing.T) {
	tests := []struct{ secret, session, username, password, key string }{
		{"north", "abc", "1795352400:abc", "/7HNQ4PRK1seSFIw3VAinyAP744=", "e85731bed2b1fb9623e20417b876d4da"},
		{"logen", "s-1_X", "1795352400:s-1_X", "xuwtITu5H1mPCek03qbCuyo3ivU=", "f143e96dead278f39b303dd422a0e202"},
	}
	for _, test := range tests {
		username, password, err := Mint(test.secret, test.session, time.Hour, noon())
		if err != nil {
			t.Fatal(err)
		}
		if username != test.username || password != test.password {
			t.Errorf("Mint = %q %q, want %q %q", username, password, test.username, test.password)
		}
		if key := hex.EncodeToString(Key(test.secret, username, "cloudretro")); key != test.key {
			t.Errorf("Key = %s, want %s", key, test.key)
		}
	}
}

// pion's own helper must agree, as its client and server use it.
func TestKeyIsPions(t *testing.T) {
	username, password, err := Mint("north", "abc", time.Hour, noon())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(Key("north", username, "r"), turn.GenerateAuthKey(username, "r", password)) {
		t.Error("pion makes another key")
	}
}

func TestMintRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		secret, session string
		ttl             time.Duration
	}{
		"no secret":    {"", "abc", time.Hour},
		"no session":   {"s", "", time.Hour},
		"long session": {"s", strings.Repeat("x", 65), time.Hour},
		"colon":        {"s", "a:b", time.Hour},
		"the past":     {"s", "abc", -100 * 365 * 24 * time.Hour},
	} {
		if u, _, err := Mint(c.secret, c.session, c.ttl, noon()); err == nil {
			t.Errorf("%s: minted %q", name, u)
		}
	}
}

func TestVerify(t *testing.T) {
	username, password, err := Mint("old", "abc", time.Hour, noon())
	if err != nil {
		t.Fatal(err)
	}
	both := []string{"new", "old"}
	tests := []struct {
		name               string
		secrets            []string
		username, password string
		now                time.Time
		want               error
	}{
		{"one secret", []string{"old"}, username, password, noon(), nil},
		{"second of two", both, username, password, noon(), nil},
		{"last second", both, username, password, noon().Add(time.Hour - 1), nil},
		{"expired", both, username, password, noon().Add(time.Hour), ErrExpired},
		{"no secrets", nil, username, password, noon(), ErrMismatch},
		{"other secret", []string{"new"}, username, password, noon(), ErrMismatch},
		{"empty secret", []string{""}, username, Password("", username), noon(), ErrMismatch},
		{"other password", both, username, password + "=", noon(), ErrMismatch},
		{"no password", both, username, "", noon(), ErrMismatch},
		{"later expiry", both, "9" + username, password, noon(), ErrMismatch},
		{"no username", both, "", password, noon(), ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u, err := Verify(test.secrets, test.username, test.password, test.now)
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			if err == nil && u.Session != "abc" {
				t.Errorf("session %q", u.Session)
			}
		})
	}
}

func TestParse(t *testing.T) {
	u, err := Parse("1795352400:abc")
	if err != nil || u.Session != "abc" || !u.Expires.Equal(noon().Add(time.Hour)) || u.String() != "1795352400:abc" {
		t.Errorf("Parse = %+v, %v", u, err)
	}
	for _, s := range []string{
		"", ":", "1", "1:", ":a", "01:a", "+1:a", "-1:a", " 1:a", "1 :a", "1:a:b", "1:a b", "1:ä", "x:a",
		"1234567890123:a", "1:" + strings.Repeat("x", 65), strings.Repeat("9", 1<<16),
	} {
		if u, err := Parse(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("Parse(%q) = %+v, %v", s, u, err)
		}
	}
}

func TestDerive(t *testing.T) {
	// printf 'cloudretro turn' | openssl dgst -sha256 -hmac north
	if got := Derive("north", LabelTURN); got != "23e270319f41b9f49211c6845026ad3a4811d58ebf21c0d7e5304bd7460cd5c5" {
		t.Errorf("Derive = %s", got)
	}
	if Derive("north", "a") == Derive("north", "b") || Derive("north", "a") == Derive("south", "a") {
		t.Error("two uses or two secrets share a derived secret")
	}
	if Derive("", LabelTURN) != "" {
		t.Error("an empty secret derives something")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1795352400:abc", "password")
	f.Add("1:a:b", "")
	f.Add("0:a", "=")
	f.Fuzz(func(t *testing.T, username, password string) {
		u, err := Parse(username)
		if err == nil && u.String() != username {
			t.Errorf("%q is read as %q", username, u)
		}
		if err == nil && len(username) > MaxUsername {
			t.Errorf("a username of %d bytes is read", len(username))
		}
		if _, err := Verify([]string{"secret"}, username, password, noon()); err == nil && password != Password("secret", username) {
			t.Errorf("%q with %q verifies", username, password)
		}
	})
}
