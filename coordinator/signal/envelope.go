package signal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error is a Go error too: what Decode and Read refuse comes as an *Error that
// can be sent to whoever asked.
var _ error = (*Error)(nil)

// Error is the code and the message.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Errorf makes an Error. The message is cut to MaxText bytes.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: Clip(fmt.Sprintf(format, args...))}
}

// AsError is the *Error that err is or wraps; any other err becomes one with
// CodeFailed. It answers nil for nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Errorf(CodeFailed, "%v", err)
}

// Clip makes s fit for a text field: valid UTF-8, no control characters, at
// most MaxText bytes.
func Clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= MaxText {
		return s
	}
	end := MaxText - len("…")
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// Decode reads one message of at most limit bytes (MaxMessage from a browser,
// MaxInternal between roles). Its error is an *Error; the Envelope is then as
// far filled in as the message allows, so that the answer can carry its ID.
// The payload is looked at by Read.
func Decode(data []byte, limit int) (Envelope, error) {
	if len(data) > limit {
		return Envelope{}, Errorf(CodeTooLarge, "the message has %d bytes, at most %d are taken", len(data), limit)
	}
	if objects(data) > maxObjects {
		return Envelope{}, Errorf(CodeTooLarge, "the message has more than %d objects", maxObjects)
	}
	var e Envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return Envelope{}, Errorf(CodeBadRequest, "the message is not the JSON object that is expected: %v", err)
	}
	if !validTag(e.ID) {
		e.ID = ""
		return e, Errorf(CodeBadRequest, "id has more than %d bytes or is not printable ASCII", maxID)
	}
	switch {
	case e.V != Version:
		return e, Errorf(CodeVersion, "protocol version %d is not spoken here, only %d; reload the page or update the role", e.V, Version)
	case !known(e.Type):
		return e, Errorf(CodeBadRequest, "unknown message type %q", clipType(e.Type))
	case e.Session != "" && !ValidID(e.Session):
		return e, Errorf(CodeBadRequest, "session is malformed")
	}
	return e, nil
}

// maxObjects bounds those of one message. Two bytes may be one, which takes fifty
// times as many when it is read; no list of ours is longer.
const maxObjects = MaxGames + 1_000

// objects is how many there are in JSON; what stands in texts is none.
func objects(data []byte) (n int) {
	if len(data) <= 2*maxObjects {
		return 0 // there cannot be too many
	}
	text := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			text = !text
		case text && c == '\\':
			i++
		case !text && c == '{':
			n++
		}
	}
	return n
}

// Encode makes one message. A nil payload leaves data out; anything else must
// be a payload of this package, which is not validated again.
func Encode(t Type, id, session string, payload any) ([]byte, error) {
	data, err := marshal(struct {
		V       int    `json:"v"`
		Type    Type   `json:"type"`
		ID      string `json:"id,omitempty"`
		Session string `json:"session,omitempty"`
		Data    any    `json:"data,omitempty"`
	}{Version, t, id, session, payload})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", t, err)
	}
	return data, nil
}

// marshal is json.Marshal that leaves <, > and & as they are: written as \u003c
// each takes six bytes, and what fits the limits would not.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// payload is a pointer to a message type that can check itself.
type payload[T any] interface {
	*T
	Validate() error
}

// Read takes the payload of type T out of an Envelope and validates it, as in
// Read[Start](e). Unknown fields are ignored, so that newer peers may add some.
// Its error is an *Error.
func Read[T any, P payload[T]](e Envelope) (T, error) {
	var v T
	if len(e.Data) > 0 {
		if err := json.Unmarshal(e.Data, &v); err != nil {
			var zero T
			return zero, Errorf(CodeBadRequest, "%s: %v", clipType(e.Type), err)
		}
	}
	if err := P(&v).Validate(); err != nil {
		var zero T
		return zero, Errorf(CodeBadRequest, "%s: %v", clipType(e.Type), err)
	}
	return v, nil
}

func known(t Type) bool {
	switch t {
	case TypeHello, TypeStart, TypeJoin, TypeAnswer, TypeOffer, TypeCandidate, TypeResume, TypeResumed,
		TypeLeave, TypeClosed, TypeError, TypeChallenge, TypeRegister, TypeGate, TypeAccepted,
		TypeLibrary, TypeRooms, TypePeers, TypeDrain, TypeQueued, TypeGranted, TypeServers, TypeWant, TypeLoad,
		TypeReserve, TypeReserved, TypeCancel, TypeQueue, TypeList, TypeSessions, TypeEnd, TypeInvite, TypeInvited,
		TypeRevoke, TypeDone:
		return true
	}
	return false
}

func clipType(t Type) Type {
	if len(t) > 32 {
		return Type(Clip(string(t[:32])))
	}
	return t
}
