package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// statusError is an HTTP answer other than the switch to WebSocket.
type statusError struct {
	code   int
	status string
}

func (e statusError) Error() string { return "it answers " + e.status }

// join makes one connection and serves it to its end. lasted is how long the
// link lasted, 0 if the coordinator did not accept. The error is never nil.
func (s *seeker) join(ctx context.Context) (lasted time.Duration, err error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := conn.SetReadDeadline(time.Now().Add(s.keeper.times.handshake)); err != nil {
		return 0, fmt.Errorf("set deadline: %w", err)
	}
	conn.SetReadLimit(signal.MaxInternal)
	challenge, err := greeting(conn)
	if err != nil {
		return 0, err
	}
	taken, release := s.keeper.claim(challenge.Coordinator)
	if taken != nil {
		frame := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "joined by another address")
		_ = conn.WriteControl(websocket.CloseMessage, frame, time.Now().Add(s.keeper.times.farewell)) // it may be gone
		return 0, duplicateError{taken}
	}
	defer release()
	l := newLink(s.keeper, challenge.Coordinator, s.endpoint, conn)
	defer s.keeper.enlist(l)()
	accepted, err := s.introduce(conn, challenge)
	if err != nil {
		return 0, err
	}
	if !stop() {
		return 0, ctx.Err()
	}
	clear(s.said)
	s.log.Info("coordinator joined", "id", challenge.Coordinator)
	begin := time.Now()
	err = l.serve(ctx, accepted)
	return max(time.Since(begin), 1), err
}

// dial connects, as the endpoint says.
func (s *seeker) dial(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.keeper.times.dial)
	defer cancel()
	stop := func() bool { return true }
	dialer := websocket.Dialer{
		HandshakeTimeout: s.keeper.times.dial,
		NetDialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			if s.endpoint.Dial != "" {
				address = s.endpoint.Dial
			}
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, address)
			if err == nil { // the dialer looks at ctx no more while it waits for the answer
				stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
			}
			return conn, err
		},
	}
	conn, response, err := dialer.DialContext(ctx, s.endpoint.URL+s.keeper.role.Path, nil)
	stop()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // not that the connection was closed for it
	}
	if response != nil && response.Body != nil {
		defer response.Body.Close()
	}
	if errors.Is(err, websocket.ErrBadHandshake) && response != nil {
		return nil, fmt.Errorf("connect: %w", statusError{response.StatusCode, signal.Clip(response.Status)})
	}
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// greeting is the challenge that a coordinator begins with.
func greeting(conn *websocket.Conn) (signal.Challenge, error) {
	e, err := receive(conn)
	if err != nil {
		return signal.Challenge{}, err
	}
	switch e.Type {
	case signal.TypeChallenge:
		return signal.Read[signal.Challenge](e)
	case signal.TypeError:
		return signal.Challenge{}, refusal(e)
	}
	return signal.Challenge{}, fmt.Errorf("it greets with %q, not with a challenge", e.Type)
}

// introduce answers the challenge and waits to be accepted.
func (s *seeker) introduce(conn *websocket.Conn, challenge signal.Challenge) (signal.Accepted, error) {
	t, payload := s.keeper.role.Introduce(challenge, s.attempt)
	data, err := encode(t, "", "", payload)
	if err != nil {
		return signal.Accepted{}, err
	}
	if err := write(conn, data, s.keeper.times.handshake); err != nil {
		return signal.Accepted{}, err
	}
	e, err := receive(conn)
	if err != nil {
		return signal.Accepted{}, err
	}
	switch e.Type {
	case signal.TypeAccepted:
		return signal.Read[signal.Accepted](e)
	case signal.TypeError:
		return signal.Accepted{}, refusal(e)
	}
	return signal.Accepted{}, fmt.Errorf("it answers our introduction with %q", e.Type)
}

// refusal is the error that a coordinator answers with.
func refusal(e signal.Envelope) error {
	said, err := signal.Read[signal.Error](e)
	if err != nil {
		return err
	}
	return fmt.Errorf("it refuses us: %w", &said)
}

// encode makes a message that the other side will take.
func encode(t signal.Type, id, session string, payload any) ([]byte, error) {
	data, err := signal.Encode(t, id, session, payload)
	if err != nil {
		return nil, err
	}
	if len(data) > signal.MaxInternal {
		return nil, fmt.Errorf("encode %s: %d bytes are more than the %d that are taken", t, len(data), signal.MaxInternal)
	}
	return data, nil
}

func receive(conn *websocket.Conn) (signal.Envelope, error) {
	_, data, err := conn.ReadMessage()
	if err != nil {
		return signal.Envelope{}, fmt.Errorf("read: %w", err)
	}
	return signal.Decode(data, signal.MaxInternal)
}

func write(conn *websocket.Conn, data []byte, within time.Duration) error {
	if err := conn.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if err := conn.WriteMessage(websocket.TextMessage, data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
