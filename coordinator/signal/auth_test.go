package signal

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestMAC(t *testing.T) {
	// printf nonceworkerw1 | openssl dgst -sha256 -hmac secret
	const want = "791e71c68355ee1ee3c665a66fa348788cab1bebc479c55539fee885f061ae91"
	if got := MAC("secret", "nonce", RoleWorker, "w1"); got != want {
		t.Errorf("MAC = %s, want %s", got, want)
	}
	nonce := NewNonce()
	mac := MAC("secret", nonce, RoleWorker, "w1")
	if !CheckMAC("secret", nonce, RoleWorker, "w1", mac) {
		t.Error("the right MAC is refused")
	}
	for name, ok := range map[string]bool{
		"secret": CheckMAC("other", nonce, RoleWorker, "w1", mac),
		"nonce":  CheckMAC("secret", NewNonce(), RoleWorker, "w1", mac),
		"role":   CheckMAC("secret", nonce, RoleGate, "w1", mac),
		"id":     CheckMAC("secret", nonce, RoleWorker, "w2", mac),
		"mac":    CheckMAC("secret", nonce, RoleWorker, "w1", ""),
		"empty":  CheckMAC("", nonce, RoleWorker, "w1", MAC("", nonce, RoleWorker, "w1")),
	} {
		if ok {
			t.Errorf("a wrong %s is accepted", name)
		}
	}
	if strings.HasPrefix(RoleWorker, RoleGate) || strings.HasPrefix(RoleGate, RoleWorker) {
		t.Error("one role is the beginning of another")
	}
}

func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		id := NewID()
		if !ValidID(id) || !ValidRoomID(id) || seen[id] {
			t.Fatalf("NewID = %q", id)
		}
		seen[id] = true
		if err := (Challenge{Nonce: NewNonce()}).Validate(); err != nil {
			t.Fatal(err)
		}
	}
}

// noon is the time of all tests.
func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func TestToken(t *testing.T) {
	for _, s := range []Session{
		{ID: NewID(), Expires: noon().Add(time.Hour)},
		{ID: NewID(), Worker: "w-1", Room: NewID(), Expires: noon().Add(time.Second)},
	} {
		token := MintToken("secret", s)
		if err := (Resume{Token: token}).Validate(); err != nil {
			t.Fatal(err)
		}
		got, err := VerifyToken("secret", token, noon())
		if err != nil || got.ID != s.ID || got.Worker != s.Worker || got.Room != s.Room || !got.Expires.Equal(s.Expires) {
			t.Errorf("VerifyToken = %+v, %v, want %+v", got, err, s)
		}
		if _, err := VerifyToken("secret", token, s.Expires); !errors.Is(err, ErrTokenExpired) {
			t.Errorf("when it expires: %v", err)
		}
		if _, err := VerifyToken("other", token, noon()); !errors.Is(err, ErrTokenInvalid) {
			t.Errorf("another secret: %v", err)
		}
	}
}

func TestTokenForged(t *testing.T) {
	good := MintToken("secret", Session{ID: "s", Worker: "w", Expires: noon().Add(time.Hour)})
	for i := range good {
		bad := []byte(good)
		bad[i] ^= 1
		if _, err := VerifyToken("secret", string(bad), noon()); !errors.Is(err, ErrTokenInvalid) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	sealed := func(body string) string { return body + "." + tokenMAC("secret", body) }
	for _, token := range []string{
		"", ".", "v1.s...1", strings.Repeat("x", MaxText+1), good[:len(good)-1], good + "A",
		sealed("v2.s.w..99999999999"), sealed("v1.../x.w..99999999999"), sealed("v1.s.W..99999999999"),
		sealed("v1.s.w.room.99999999999"), sealed("v1.s.w..soon"), sealed("v1.s.w."), sealed("v1.s.w..1.2"),
	} {
		if _, err := VerifyToken("secret", token, noon()); !errors.Is(err, ErrTokenInvalid) {
			t.Errorf("%q: %v", token, err)
		}
	}
	empty := MintToken("", Session{ID: "s", Expires: noon().Add(time.Hour)})
	if _, err := VerifyToken("", empty, noon()); !errors.Is(err, ErrTokenInvalid) {
		t.Errorf("an empty secret: %v", err)
	}
}

// A proof of a worker must not pass as a token, nor the other way round.
func TestTokenIsNoMAC(t *testing.T) {
	if MAC("secret", "session token\n", "", "v1") == tokenMAC("secret", "v1") {
		t.Error("MAC and token share their output")
	}
	if err := (Challenge{Nonce: "session token\n"}).Validate(); err == nil {
		t.Error("a nonce can be the beginning of a token")
	}
}

func FuzzVerifyToken(f *testing.F) {
	f.Add(MintToken("secret", Session{ID: "s", Worker: "w", Room: NewID(), Expires: noon().Add(time.Hour)}))
	f.Add("v1.s...1.x")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		s, err := VerifyToken("secret", token, noon())
		if err == nil && MintToken("secret", s) != token {
			t.Errorf("%q is accepted, but minted as %q", token, MintToken("secret", s))
		}
	})
}
