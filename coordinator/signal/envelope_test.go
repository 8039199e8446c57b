package signal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDecode(t *testing.T) {
	tests := []struct {
		name, in string
		code     Code // "" = fine
		id       string
	}{
		{"start", `{"v":1,"type":"start","id":"7","data":{"game":"a","sdp":"v=0"}}`, "", "7"},
		{"no data", `{"v":1,"type":"leave"}`, "", ""},
		{"unknown field", `{"v":1,"type":"leave","more":[1]}`, "", ""},
		{"session", `{"v":1,"type":"leave","session":"abc"}`, "", ""},
		{"empty", ``, CodeBadRequest, ""},
		{"array", `[]`, CodeBadRequest, ""},
		{"trailing", `{"v":1,"type":"leave"}{}`, CodeBadRequest, ""},
		{"v as text", `{"v":"1","type":"leave"}`, CodeBadRequest, ""},
		{"no version", `{"type":"leave","id":"a"}`, CodeVersion, "a"},
		{"other version", `{"v":2,"type":"leave","id":"a"}`, CodeVersion, "a"},
		{"unknown type", `{"v":1,"type":"dance","id":"a"}`, CodeBadRequest, "a"},
		{"long type", `{"v":1,"type":"` + strings.Repeat("x", 9000) + `","id":"a"}`, CodeBadRequest, "a"},
		{"long id", `{"v":1,"type":"leave","id":"` + strings.Repeat("x", 65) + `"}`, CodeBadRequest, ""},
		{"id with newline", `{"v":1,"type":"leave","id":"a\nb"}`, CodeBadRequest, ""},
		{"session path", `{"v":1,"type":"leave","id":"a","session":"../x"}`, CodeBadRequest, "a"},
		{"too large", `{"v":1,"type":"leave","id":"` + strings.Repeat("x", MaxMessage) + `"}`, CodeTooLarge, ""},
		{"deep", strings.Repeat(`{"data":`, 20000), CodeTooLarge, ""},
		{"deep enough", strings.Repeat(`[`, 60000), CodeBadRequest, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e, err := Decode([]byte(test.in), MaxMessage)
			if test.code == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
			} else {
				wantCode(t, err, test.code)
			}
			if e.ID != test.id {
				t.Errorf("ID %q, want %q", e.ID, test.id)
			}
		})
	}
}

func wantCode(t *testing.T, err error, code Code) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want an *Error with %s", err, err, code)
	}
	if e.Code != code {
		t.Errorf("code %s, want %s (%s)", e.Code, code, e.Message)
	}
	if err := e.Validate(); err != nil {
		t.Errorf("the error cannot be sent: %v", err)
	}
}

func TestEncodeIsDecoded(t *testing.T) {
	data, err := Encode(TypeStart, "1", "s", Start{Game: "pong", SDP: "v=0"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Decode(data, MaxMessage)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Read[Start](e)
	if err != nil {
		t.Fatal(err)
	}
	if e.ID != "1" || e.Session != "s" || !reflect.DeepEqual(s, Start{Game: "pong", SDP: "v=0"}) {
		t.Errorf("came back as %+v %+v", e, s)
	}
	if data, err = Encode(TypeAccepted, "", "", nil); err != nil || string(data) != `{"v":1,"type":"accepted"}` {
		t.Errorf("bare message is %s, %v", data, err)
	}
	if _, err = Encode(TypeStart, "", "", func() {}); err == nil {
		t.Error("a func was encoded")
	}
}

func TestReadAnswersZeroOnError(t *testing.T) {
	for _, data := range []string{`{"game":"../x","sdp":"v=0"}`, `{"game":1}`, `[]`, `null`, ``} {
		s, err := Read[Start](Envelope{V: Version, Type: TypeStart, Data: json.RawMessage(data)})
		wantCode(t, err, CodeBadRequest)
		if !reflect.DeepEqual(s, Start{}) {
			t.Errorf("%s: half a Start came out: %+v", data, s)
		}
	}
}

func TestAsError(t *testing.T) {
	if AsError(nil) != nil {
		t.Error("nil is an error")
	}
	full := Errorf(CodeFull, "no seat")
	if got := AsError(fmt.Errorf("start: %w", full)); got != full {
		t.Errorf("the wrapped error is %v", got)
	}
	if got := AsError(io.ErrUnexpectedEOF); got.Code != CodeFailed || got.Message != "unexpected EOF" {
		t.Errorf("a plain error is %v", got)
	}
	if got := full.Error(); got != "full: no seat" {
		t.Errorf("as text %q", got)
	}
}

func TestClip(t *testing.T) {
	for _, in := range []string{"", "abc", strings.Repeat("ü", 400), strings.Repeat("x", 513), "a\nb\x00\u2028", "\xff\xfe", strings.Repeat("\xff", 400)} {
		out := Clip(in)
		if len(out) > MaxText || !utf8.ValidString(out) || strings.IndexFunc(out, isControl) >= 0 {
			t.Errorf("Clip(%q) = %q", in, out)
		}
	}
	if got := Clip("a\nb"); got != "a b" {
		t.Errorf("newline became %q", got)
	}
}

// What fits the limits fits on the wire, too: no letter takes six bytes.
func TestEncodeKeepsTextShort(t *testing.T) {
	data, err := Encode(TypeClosed, "", "", Closed{Reason: "<&>"})
	if err != nil || string(data) != `{"v":1,"type":"closed","data":{"reason":"<&>"}}` {
		t.Errorf("%s, %v", data, err)
	}
}

// Every type that is named is known, and nothing else.
func TestKnownTypes(t *testing.T) {
	source, err := os.ReadFile("message.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^\tType\w+ +Type += "([a-z]+)"`).FindAllSubmatch(source, -1)
	if len(names) < 30 {
		t.Fatalf("%d types are found", len(names))
	}
	for _, name := range names {
		if _, err := Decode([]byte(`{"v":1,"type":"`+string(name[1])+`"}`), MaxMessage); err != nil {
			t.Errorf("%s: %v", name[1], err)
		}
	}
	for _, name := range []string{"", "Hello", "hello ", "proof"} {
		if known(Type(name)) {
			t.Errorf("%q is known", name)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	sdp := text(4 << 10)
	for b.Loop() {
		if _, err := Encode(TypeAnswer, "17", "s", Answer{SDP: sdp, Room: room, Game: "pong", Title: "Pong", System: "nes", Seats: 2}); err != nil {
			b.Fatal(err)
		}
	}
}

// A message of very many small objects would take a hundred times its size.
func TestDecodeBoundsObjects(t *testing.T) {
	message := func(n int) []byte {
		return []byte(`{"v":1,"type":"rooms","data":{"rooms":[` + strings.Repeat("{},", n) + `{"id":"{\"{\\"}]}}`)
	}
	if _, err := Decode(message(maxObjects-3), MaxInternal); err != nil {
		t.Error(err)
	}
	if _, err := Decode(message(maxObjects-2), MaxInternal); AsError(err).Code != CodeTooLarge {
		t.Errorf("one too many: %v", err)
	}
	text := []byte(`{"v":1,"type":"error","data":"` + strings.Repeat("{", 3*maxObjects) + `"}`)
	if _, err := Decode(text, MaxInternal); err != nil {
		t.Errorf("text: %v", err)
	}
}
