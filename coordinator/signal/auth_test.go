package signal

import (
	"encoding/base64"
	"errors"
	"reflect"
	"runtime"
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
		if err := (Challenge{Nonce: NewNonce(), Coordinator: id}).Validate(); err != nil {
			t.Fatal(err)
		}
	}
}

// noon is the time of all tests.
func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

// in is a time as tokens say it.
func in(d time.Duration) int64 { return noon().Add(d).Unix() }

// longest is a session of which every field is as long as it may be.
func longest() Session {
	return Session{
		ID: text(maxID), Worker: text(maxID), Room: room, Waiting: maxTime, Game: text(maxID), Expires: maxTime,
		User: &User{ID: text(maxID), Name: strings.Repeat("\"<", maxID/2), Role: RolePlayer},
	}
}

func TestToken(t *testing.T) {
	for _, s := range []Session{
		{ID: NewID(), Expires: in(time.Hour)},
		{ID: NewID(), Worker: "w-1", Room: NewID(), Expires: in(time.Second)},
		{ID: NewID(), Waiting: noon().UnixMilli(), Game: "pong", Expires: in(time.Hour)},
		{ID: NewID(), User: &User{ID: "u", Name: "Ü & <b>", Role: RoleAdmin}, Expires: in(time.Hour)},
		longest(),
	} {
		token := MintToken("secret", s)
		if err := (Resume{Token: token}).Validate(); err != nil {
			t.Fatal(err)
		}
		got, err := VerifyToken("secret", token, noon())
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("VerifyToken = %+v, %v, want %+v", got, err, s)
		}
		if _, err := VerifyToken("secret", token, time.Unix(s.Expires-1, 999)); err != nil {
			t.Errorf("just before it expires: %v", err)
		}
		if _, err := VerifyToken("secret", token, time.Unix(s.Expires, 0)); !errors.Is(err, ErrTokenExpired) {
			t.Errorf("when it expires: %v", err)
		}
		if _, err := VerifyToken("other", token, noon()); !errors.Is(err, ErrTokenInvalid) {
			t.Errorf("another secret: %v", err)
		}
	}
}

// sealed is a token with a good MAC of what a coordinator would not say.
func sealed(json string) string {
	body := tokenVersion + base64.RawURLEncoding.EncodeToString([]byte(json))
	return body + "." + tokenMAC("secret", body)
}

func TestTokenForged(t *testing.T) {
	good := MintToken("secret", Session{ID: "s", Worker: "w", Expires: in(time.Hour)})
	for i := range good {
		for bit := range 8 {
			bad := []byte(good)
			bad[i] ^= 1 << bit
			if _, err := VerifyToken("secret", string(bad), noon()); !errors.Is(err, ErrTokenInvalid) {
				t.Fatalf("bit %d of byte %d changed: %v", bit, i, err)
			}
		}
	}
	other := "v1." + good[len(tokenVersion):strings.LastIndexByte(good, '.')]
	for _, token := range []string{
		"", ".", "..", "v2..", "v2.", "v1.s...1", strings.Repeat("x", MaxToken+1), good[:len(good)-1], good + "A", good + "=",
		" " + good, good + "\n", good + "." + good, other + "." + tokenMAC("secret", other), "v2.!." + tokenMAC("secret", "v2.!"),
		sealed(``), sealed(`null`), sealed(`[]`), sealed(`{"i":""}`), sealed(`{"i":"../x","e":99999999999}`), sealed(`{"i":"s","e":"soon"}`),
		sealed(`{"i":"s","w":"W","e":99999999999}`), sealed(`{"i":"s","r":"room","e":99999999999}`), sealed(`{"i":"s","g":"a/b","e":99999999999}`),
		sealed(`{"i":"s","q":-1,"e":99999999999}`), sealed(`{"i":"s","u":{"id":"u","role":"king"},"e":99999999999}`), sealed(`{"i":"s","e":1.5}`),
		sealed(`{"i":"s","e":99999999999}{}`),
	} {
		if _, err := VerifyToken("secret", token, noon()); !errors.Is(err, ErrTokenInvalid) {
			t.Errorf("%q: %v", token, err)
		}
	}
	if _, err := VerifyToken("secret", sealed(`{"i":"s"}`), noon()); !errors.Is(err, ErrTokenExpired) {
		t.Errorf("a token without an end: %v", err)
	}
	empty := MintToken("", Session{ID: "s", Expires: in(time.Hour)})
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

// No use of a secret passes as another: one secret may sign all.
func TestUsesOfASecretAreSeparate(t *testing.T) {
	const body = "i1.x.y.0.p.1"
	if inviteMAC("secret", body) == tokenMAC("secret", body) {
		t.Error("invitation and token share their MAC")
	}
	invitation := MintInvite("secret", Invitation{ID: "i", Room: room, Expires: noon().Add(time.Hour)})
	if _, err := VerifyToken("secret", invitation, noon()); err == nil {
		t.Error("an invitation passes as a session token")
	}
	if _, err := VerifyInvite("secret", MintToken("secret", Session{ID: "s", Expires: in(time.Hour)}), noon()); err == nil {
		t.Error("a session token passes as an invitation")
	}
}

func TestProof(t *testing.T) {
	data := []byte(`{"id":"w","mac":"` + hexes + `","rooms":[` + strings.Repeat("{},", 100) + `{}],"mediaAddrs":7}`)
	proof, err := Read[Proof](Envelope{Type: TypeRegister, Data: data})
	if err != nil || proof != (Proof{ID: "w", MAC: hexes}) {
		t.Errorf("Proof = %+v, %v", proof, err)
	}
	check(t, map[string]verdict{
		"proof": {Proof{ID: "w", MAC: hexes}, true}, "of nobody": {Proof{MAC: hexes}, false}, "bad id": {Proof{ID: "W", MAC: hexes}, false},
		"no mac": {Proof{ID: "w"}, false}, "long mac": {Proof{ID: "w", MAC: hexes + "00"}, false},
	})
}

func TestTokenOfAProof(t *testing.T) {
	jwt := "eyJhbGciOiJSUzI1NiJ9.e30." + text(342)
	checked := map[string]verdict{}
	for name, v := range map[string]struct {
		mac, token string
		good       bool
	}{
		"token alone": {"", jwt, true}, "both": {hexes, jwt, true}, "token and a bad mac": {"00", jwt, false},
		"longest": {"", "a.b." + text(MaxJWT-4), true}, "too long": {"", "a.b." + text(MaxJWT-3), false},
		"two parts": {"", "a.b", false}, "four parts": {"", "a.b.c.d", false}, "not signed": {"", "a.b.", false},
		"padded": {"", "a.b.c=", false}, "of base64": {"", "a.b.+/", false}, "a line": {"", "a.b.c\n", false}, "JSON": {"", "{}", false},
		"not for a header": {"", "a.b.c\r\nX: y", false}, "beside a good mac": {hexes, "a", false},
	} {
		checked["proof: "+name] = verdict{Proof{ID: "w", MAC: v.mac, Token: v.token}, v.good}
		checked["register: "+name] = verdict{with(goodRegister(), func(r *Register) { r.MAC, r.Token = v.mac, v.token }), v.good}
	}
	check(t, checked)
}

// What is read of somebody who has proved nothing takes no more memory than
// the message has.
func TestProofIsCheap(t *testing.T) {
	data, err := Encode(TypeRegister, "", "", map[string]any{"id": "w", "mac": hexes, "rooms": make([]struct{}, 100_000), "mediaAddrs": make([]string, 1_200_000)})
	if err != nil || len(data) > MaxInternal {
		t.Fatal(len(data), err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e, err := Decode(data, MaxInternal)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read[Proof](e); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	bytes := after.TotalAlloc - before.TotalAlloc
	if bytes > 2*MaxInternal {
		t.Errorf("%d bytes for a message of %d", bytes, len(data))
	}
}
