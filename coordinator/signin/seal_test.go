package signin

import (
	"errors"
	"strings"
	"testing"
)

func TestSeal(t *testing.T) {
	s := newDoor(t, Config{}).seal
	for _, text := range []string{"", "x", strings.Repeat("long ", 500)} {
		sealed := s.seal(forSession, []byte(text))
		if strings.Trim(sealed, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("%q is none for a cookie", sealed)
		}
		if sealed == s.seal(forSession, []byte(text)) {
			t.Error("the same twice: the nonce is not random")
		}
		if got, err := s.open(forSession, sealed); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := s.open(forFlow, sealed); !errors.Is(err, errSealed) {
			t.Errorf("for another purpose: %v", err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	s := newDoor(f, Config{}).seal
	f.Add(forSession, "x")
	f.Add(forFlow, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, purpose, text string) {
		if data, err := s.open(purpose, text); err == nil {
			t.Errorf("%q opens as %q", text, data)
		}
	})
}
