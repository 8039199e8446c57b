package signal

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// examples are messages of all types, one a file; see testdata/messages.
func examples(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/messages/*.json")
	if err != nil || len(names) == 0 {
		t.Fatal("no examples", err)
	}
	all := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(name)] = data
	}
	return all
}

// readers read a payload as each type there is: what is accepted must be within
// bounds, and accepted again, and the same, after it was encoded.
func readers() map[Type]func(*testing.T, Envelope) error {
	return map[Type]func(*testing.T, Envelope) error{
		TypeHello: again[Hello], TypeStart: again[Start], TypeJoin: again[Join], TypeOffer: again[Offer], TypeAnswer: again[Answer],
		TypeCandidate: again[Candidate], TypeResume: again[Resume], TypeResumed: again[Resumed], TypeClosed: again[Closed], TypeError: again[Error],
		TypeChallenge: again[Challenge], TypeRegister: again[Register], TypeGate: again[Gate], TypeLibrary: again[Library], TypeRooms: again[Rooms],
		TypePeers: again[Peers], TypeQueued: again[Queued], TypeGranted: again[Granted], TypeServers: again[Servers], TypeAccepted: again[Accepted],
		TypeLoad: again[Load], TypeDrain: again[Drain], TypeReserve: again[Reserve], TypeReserved: again[Reserved], TypeCancel: again[Cancel],
		TypeQueue: again[Queue], TypeSessions: again[Sessions], TypeEnd: again[End], TypeInvite: again[Invite], TypeInvited: again[Invited],
		TypeRevoke: again[Revoke], "proof": again[Proof],
	}
}

func again[T any, P payload[T]](t *testing.T, e Envelope) error {
	v, err := Read[T, P](e)
	if err != nil {
		wantCode(t, err, CodeBadRequest)
		return err
	}
	data, err := Encode(e.Type, e.ID, e.Session, v)
	if err != nil {
		t.Fatal(err)
	}
	if e, err = Decode(data, 2*MaxMessage); err != nil {
		t.Fatalf("%T %s is not taken again: %v", v, data, err)
	}
	w, err := Read[T, P](e)
	if err != nil {
		t.Fatalf("%T %s is not taken again: %v", v, data, err)
	}
	if a, b := plain(t, v), plain(t, w); a != b {
		t.Fatalf("%T came back as %s, was %s", v, b, a)
	}
	bounded(t, reflect.ValueOf(v))
	return nil
}

func plain(t *testing.T, v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// bounded checks what holds for whatever was accepted: no text is longer than
// an SDP, no list longer than the longest.
func bounded(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			bounded(t, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if s := v.Field(i); s.Kind() == reflect.String && s.Len() > MaxToken && v.Type().Field(i).Name != "SDP" {
				t.Fatalf("%s.%s has %d bytes", v.Type(), v.Type().Field(i).Name, s.Len())
			}
			bounded(t, v.Field(i))
		}
	case reflect.Slice:
		if v.Len() > MaxGames {
			t.Fatalf("%s has %d entries", v.Type(), v.Len())
		}
		for i := range v.Len() {
			bounded(t, v.Index(i))
		}
	case reflect.Map:
		if v.Len() > MaxZones {
			t.Fatalf("%s has %d entries", v.Type(), v.Len())
		}
	case reflect.String:
		if v.Len() > MaxSDP {
			t.Fatalf("a text has %d bytes", v.Len())
		}
	}
}

// Each example is accepted as what it is, so the fuzzer begins inside.
func TestExamples(t *testing.T) {
	seen := map[Type]bool{}
	for name, data := range examples(t) {
		e, err := Decode(data, MaxMessage)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		seen[e.Type] = true
		if read := readers()[e.Type]; read != nil {
			if err := read(t, e); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for typ := range readers() {
		if !seen[typ] && typ != "proof" {
			t.Errorf("there is no example of %s", typ)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range examples(f) {
		f.Add(data)
	}
	all := readers()
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Decode(data, MaxMessage)
		if err != nil {
			wantCode(t, err, AsError(err).Code)
			return
		}
		data, err = Encode(e.Type, e.ID, e.Session, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(data, MaxMessage); err != nil {
			t.Fatalf("%s is not taken again: %v", data, err)
		}
		for _, read := range all {
			_ = read(t, e) // of whatever type: a refusal is fine
		}
	})
}

func FuzzVerifyToken(f *testing.F) {
	for _, s := range []Session{{ID: "s", Worker: "w", Room: room, Expires: in(time.Hour)}, {ID: "s"}, longest()} {
		f.Add(MintToken("secret", s))
	}
	for _, token := range []string{"", ".", "v2.", "v2..", "v1.s...1.x", sealed(`{"i":"s","e":99999999999}`), sealed(`null`)} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		s, err := VerifyToken("secret", token, noon())
		if err == nil && (s.Validate() != nil || s.Expires <= noon().Unix() || len(token) > MaxToken) {
			t.Errorf("%q is accepted as %+v", token, s)
		}
		// What is inside is read of what has a good MAC only: the fuzzer gives it one.
		s, err = VerifyToken("secret", sealed(token), noon())
		if err != nil {
			return
		}
		if err := s.Validate(); err != nil {
			t.Errorf("%q is accepted as %+v: %v", token, s, err)
		}
		if again, err := VerifyToken("secret", MintToken("secret", s), noon()); err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%+v came back as %+v, %v", s, again, err)
		}
	})
}

func FuzzVerifyInvite(f *testing.F) {
	for _, i := range invitations() {
		f.Add(MintInvite("secret", i))
	}
	for _, token := range []string{"", ".", "i1", "i1.i." + room + ".0.p1.99999999999", "i1.i." + room + ".+1.p.1", "i1......"} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		for _, token := range []string{token, token + "." + inviteMAC("secret", token)} {
			i, err := VerifyInvite("secret", token, noon())
			if err != nil {
				wantCode(t, err, AsError(err).Code)
				continue
			}
			if !ValidID(i.ID) || !ValidRoomID(i.Room) || i.Player < 0 || i.Player > MaxPlayers || i.Watch && i.Player != 0 || !noon().Before(i.Expires) {
				t.Errorf("%q is accepted as %+v", token, i)
			}
			if again, err := VerifyInvite("secret", MintInvite("secret", i), noon()); err != nil || !same(again, i) {
				t.Errorf("%+v came back as %+v, %v", i, again, err)
			}
		}
	})
}

// FuzzAddresses are the texts that become addresses: of gates, probes, media, coordinators.
func FuzzAddresses(f *testing.F) {
	for _, s := range []string{"turn:[::1]:3478?transport=udp", "https://a:1/echo", "[2001:db8::1]:8443", "localhost:8000", "wss://a/b/", "a%zz", "[::1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_ = checkURL(s, true)
		_ = checkURL(s, false)
		_ = checkMediaAddr(s)
		if checkProbe(s) == nil && len(s) > maxURL {
			t.Errorf("a probe of %d bytes", len(s))
		}
		if url, err := URL(s, "/ws/worker"); err == nil {
			if base, err := URL(url, ""); err != nil || base != url {
				t.Errorf("URL(%q) = %q is not one: %q, %v", s, url, base, err)
			}
		}
	})
}
