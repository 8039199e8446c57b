package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Bounds of the socket of a role.
const (
	handshakeTimeout = 10 * time.Second // for a role's proof
	roleQueue        = 1024             // messages queued towards a worker or gate
	roleRate         = 2_000            // messages a second, in the long run
	roleBurst        = 20_000           // messages at once: all browsers of a worker begin anew
	roleUnit         = 16 << 10         // bytes, each of which counts as a message more
	complaintRate    = 1                // refused messages a second that are logged, in the long run
	complaintBurst   = 20               // at once
)

// errRate says that a role was cut as it says too much.
var errRate = errors.New("too many messages")

// serveRole upgrades the connection of a worker or gate, sends the challenge
// and gives the first message to prove, which answers what serves the role
// until its socket ends, or why it is not let in.
func (c *Coordinator) serveRole(
	rw http.ResponseWriter, r *http.Request,
	prove func(nonce string, e signal.Envelope) (serve func(context.Context, *socket), err error),
) {
	from := addressOf(r)
	log := c.log.With(slog.String("from", r.RemoteAddr), slog.String("path", r.URL.Path))
	c.serveSocket(rw, r, c.roles, func(ctx context.Context, sock *socket) {
		proved, ok := c.letIn(from, sock)
		if !ok {
			c.stats.refuse("strangers")
			sock.cut(websocket.CloseTryAgainLater, "too many that have not proved who they are")
			return
		}
		defer proved()
		nonce := signal.NewNonce()
		sock.send(encode(signal.TypeChallenge, "", "", signal.Challenge{Nonce: nonce, Coordinator: c.id}))
		data, err := sock.read()
		if err != nil {
			c.stats.refuse("handshake")
			log.Debug("role did not answer the challenge", "cause", err)
			return
		}
		e, err := signal.Decode(data, signal.MaxInternal)
		var serve func(context.Context, *socket)
		if err == nil {
			serve, err = prove(nonce, e)
		}
		if err != nil {
			refusal := signal.AsError(err)
			c.stats.refuse(string(refusal.Code))
			if c.seldom.may(fmt.Sprint(from, r.URL.Path, refusal.Code), time.Now()) { // it tries on and on
				log.Warn("role refused", "cause", err, "quietFor", seldomPeriod)
			}
			sock.send(encode(signal.TypeError, e.ID, "", refusal))
			sock.cut(websocket.ClosePolicyViolation, "refused")
			return
		}
		proved()
		serve(ctx, sock)
	})
}

// letIn has a socket wait until there is room for one more stranger. It is one
// until proved is called, by the goroutine that reads.
func (c *Coordinator) letIn(from address, sock *socket) (proved func(), ok bool) {
	exit, ok := c.strangers.enter(from, sock.done, handshakeTimeout)
	if !ok {
		return nil, false
	}
	put := func() {}
	sock.heavy = func() bool {
		lifted, ok := c.strangers.lift(sock.done, handshakeTimeout)
		if ok {
			put = lifted
		}
		return ok
	}
	// Its pongs move the deadline of reading, so that is not enough.
	late := time.AfterFunc(handshakeTimeout, func() {
		sock.cut(websocket.ClosePolicyViolation, "it did not prove who it is in time")
	})
	return sync.OnceFunc(func() {
		late.Stop()
		sock.heavy = nil
		put()
		exit()
	}), true
}

// hear reads from a role that has proved itself until its socket ends and
// answers why it did. What handle, or the reading, has against a message is
// logged and counted. A role that says too much is cut: it comes back.
func (c *Coordinator) hear(sock *socket, log *slog.Logger, handle func(signal.Envelope) error) error {
	now := time.Now()
	bucket, complaints := newBucket(roleRate, roleBurst, now), newBucket(complaintRate, complaintBurst, now)
	for {
		data, err := sock.read()
		if err != nil {
			return err
		}
		if !bucket.take(1+float64(len(data)/roleUnit), time.Now()) {
			c.stats.refuse("rate")
			sock.cut(websocket.ClosePolicyViolation, "too many messages")
			return errRate
		}
		e, err := signal.Decode(data, signal.MaxInternal)
		if err == nil {
			err = handle(e)
		}
		if err != nil {
			c.stats.refuse(string(signal.AsError(err).Code))
			if complaints.take(1, time.Now()) {
				log.Warn("message of a role refused", "type", signal.Clip(string(e.Type)), "cause", err)
			}
		}
	}
}
