package loadgen

import (
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// side is our side of a connection, as a coordinator that says whatever a test wants.
type side struct {
	t    *testing.T
	conn *websocket.Conn
}

func (s side) say(typ signal.Type, id, session string, payload any) {
	s.t.Helper()
	data, err := signal.Encode(typ, id, session, payload)
	if err == nil {
		err = s.conn.WriteMessage(websocket.TextMessage, data)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// next is what is said next.
func (s side) next() signal.Envelope {
	s.t.Helper()
	_ = s.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, data, err := s.conn.ReadMessage()
	if err != nil {
		s.t.Fatal(err)
	}
	e, err := signal.Decode(data, signal.MaxInternal)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// hear is the next message of a type; others are not what the test is about.
func (s side) hear(typ signal.Type) signal.Envelope {
	s.t.Helper()
	for {
		e := s.next()
		if e.Type == typ {
			return e
		}
		if e.Type == signal.TypeError { // of what was asked
			s.t.Fatalf("%s in place of %s", e.Data, typ)
		}
	}
}

// read is the payload of the next message of a type.
func read[T any, P interface {
	*T
	Validate() error
}](s side, typ signal.Type,
) T {
	s.t.Helper()
	v, err := signal.Read[T, P](s.hear(typ))
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// refusal is the code of the error that answers a request.
func (s side) refusal(id string) signal.Code {
	s.t.Helper()
	e := s.hear(signal.TypeError)
	refusal, err := signal.Read[signal.Error](e)
	if err != nil || e.ID != id {
		s.t.Fatalf("%+v, %v", e, err)
	}
	return refusal.Code
}
