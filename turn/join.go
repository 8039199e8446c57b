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

// join keeps a connection to a coordinator until ctx ends. What it announced
// stays in force while it is away. If it refuses one secret, the next is tried.
func (g *Gate) join(ctx context.Context, target string) {
	log := g.log.With("coordinator", target)
	backoff, secret, said := firstBackoff, 0, ""
	for ctx.Err() == nil {
		accepted, err := g.attend(ctx, target, g.cfg.Secrets[secret])
		if ctx.Err() != nil {
			return
		}
		if accepted {
			backoff, said = firstBackoff, ""
		}
		var refused *signal.Error
		if errors.As(err, &refused) && refused.Code == signal.CodeDenied {
			secret = (secret + 1) % len(g.cfg.Secrets)
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
func (g *Gate) attend(ctx context.Context, target, secret string) (accepted bool, err error) {
	dialer := websocket.Dialer{HandshakeTimeout: handshakeTimeout}
	conn, response, err := dialer.DialContext(ctx, target, nil)
	if response != nil && response.Body != nil {
		defer response.Body.Close()
	}
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	conn.SetReadLimit(signal.MaxInternal)
	if err := g.prove(conn, secret); err != nil {
		return false, err
	}
	g.log.Info("joined coordinator", "coordinator", target)
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
		addrs := parseAddrs(list.Addrs)
		g.peers.update(target, addrs, time.Now())
		g.log.Info("peers changed", "coordinator", target, "peers", len(addrs))
	}
}

// prove answers the challenge and waits to be accepted.
func (g *Gate) prove(conn *websocket.Conn, secret string) error {
	e, err := receive(conn, handshakeTimeout)
	if err != nil {
		return err
	}
	challenge, err := signal.Read[signal.Challenge](e)
	if err != nil {
		return err
	}
	data, err := signal.Encode(signal.TypeGate, "", "", signal.Gate{
		ID: g.id, MAC: signal.MAC(secret, challenge.Nonce, signal.RoleGate, g.id), URLs: g.urls,
	})
	if err != nil {
		return err
	}
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if err := conn.WriteMessage(websocket.TextMessage, data); err != nil {
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
