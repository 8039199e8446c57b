package turn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Times of the connection to a coordinator.
const (
	firstBackoff     = 250 * time.Millisecond
	maxBackoff       = 5 * time.Second
	handshakeTimeout = 10 * time.Second
	readPatience     = 60 * time.Second // coordinators ping every 20 s
	writeTimeout     = 10 * time.Second
)

// registry is the Source that a coordinator is: it lists the workers that have
// joined it. Towards it the gate announces its URLs, and its end.
type registry struct {
	gate   *Gate
	target string // WebSocket URL
}

var _ Source = (*registry)(nil)

// String is the coordinator's URL.
func (r *registry) String() string { return r.target }

// Watch keeps a connection to the coordinator until ctx ends. If it refuses one
// secret, the next is tried.
func (r *registry) Watch(ctx context.Context, update func([]netip.AddrPort)) {
	log := r.gate.log.With("coordinator", r.target)
	backoff, secret, said := firstBackoff, 0, ""
	for ctx.Err() == nil {
		secrets := r.gate.keyring.now.Load().secrets
		accepted, err := r.attend(ctx, secrets[secret%len(secrets)], update)
		if ctx.Err() != nil {
			return
		}
		if accepted {
			backoff, said = firstBackoff, ""
		}
		var refused *signal.Error
		if errors.As(err, &refused) && refused.Code == signal.CodeDenied {
			secret++
		}
		if text := err.Error(); text != said { // once, not at each attempt
			log.Warn("no connection to the coordinator, trying on", "cause", err)
			said = text
		}
		pause(ctx, backoff/2+rand.N(backoff/2+1))
		backoff = min(2*backoff, maxBackoff)
	}
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// attend makes one connection and stays until it ends. The error is never nil;
// accepted says whether the coordinator took us.
func (r *registry) attend(ctx context.Context, secret string, update func([]netip.AddrPort)) (accepted bool, err error) {
	dialer := websocket.Dialer{HandshakeTimeout: handshakeTimeout}
	conn, response, err := dialer.DialContext(ctx, r.target, nil)
	if response != nil && response.Body != nil {
		defer response.Body.Close()
	}
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	conn.SetReadLimit(signal.MaxInternal)
	if err := r.prove(conn, secret); err != nil {
		return false, err
	}
	r.gate.log.Info("joined coordinator", "coordinator", r.target)
	// From here on this is the only writer of messages.
	told := make(chan struct{})
	stop := context.AfterFunc(r.gate.drain, func() {
		defer close(told)
		if err := send(conn, signal.TypeDrain, nil); err != nil { // it sees us leave instead
			r.gate.log.Debug("coordinator not told of the drain", "coordinator", r.target, "cause", err)
		}
	})
	defer func() {
		if !stop() {
			<-told
		}
	}()
	conn.SetPingHandler(func(data string) error {
		_ = conn.SetReadDeadline(time.Now().Add(readPatience)) // the next read tells
		_ = conn.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(writeTimeout))
		return nil
	})
	for {
		e, err := receive(conn, readPatience)
		if err != nil {
			return true, err
		}
		if e.Type != signal.TypePeers {
			continue // a newer coordinator may say more
		}
		list, err := signal.Read[signal.Peers](e)
		if err != nil {
			return true, err
		}
		update(parseAddrs(list.Addrs))
	}
}

// prove answers the challenge and waits to be accepted.
func (r *registry) prove(conn *websocket.Conn, secret string) error {
	e, err := receive(conn, handshakeTimeout)
	if err != nil {
		return err
	}
	challenge, err := signal.Read[signal.Challenge](e)
	if err != nil {
		return err
	}
	g := r.gate
	err = send(conn, signal.TypeGate, signal.Gate{
		ID: g.id, MAC: signal.MAC(secret, challenge.Nonce, signal.RoleGate, g.id), URLs: g.urls,
	})
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	e, err = receive(conn, handshakeTimeout)
	if err != nil {
		return err
	}
	switch e.Type {
	case signal.TypeAccepted:
		return nil
	case signal.TypeError:
		refused, err := signal.Read[signal.Error](e)
		if err != nil {
			return err
		}
		return &refused
	}
	return fmt.Errorf("the coordinator answered with %q", e.Type)
}

// send writes one message.
func send(conn *websocket.Conn, t signal.Type, payload any) error {
	data, err := signal.Encode(t, "", "", payload)
	if err != nil {
		return err
	}
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if err := conn.WriteMessage(websocket.TextMessage, data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// receive waits for one message.
func receive(conn *websocket.Conn, patience time.Duration) (signal.Envelope, error) {
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return signal.Envelope{}, fmt.Errorf("set read deadline: %w", err)
	}
	_, data, err := conn.ReadMessage()
	if err != nil {
		return signal.Envelope{}, fmt.Errorf("read: %w", err)
	}
	return signal.Decode(data, signal.MaxInternal)
}

// parseAddrs reads what signal.Peers has validated.
func parseAddrs(list []string) []netip.AddrPort {
	addrs := make([]netip.AddrPort, 0, len(list))
	for _, s := range list {
		if a, err := netip.ParseAddrPort(s); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}
