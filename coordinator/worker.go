package coordinator

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

const (
	requestTimeout   = 15 * time.Second // for an answer of a worker
	handshakeTimeout = 10 * time.Second // for a role's proof
	roleQueue        = 1024             // messages queued towards a worker or gate
)

// workerLink is the connection of one worker. What it has announced (games,
// rooms, starting) belongs to the registry and is guarded by its mutex.
type workerLink struct {
	id, name   string
	zone       string
	mediaAddrs []string
	sock       *socket

	games    map[string]signal.Game
	rooms    map[string]struct{}
	load     signal.Load
	starting int

	mu      sync.Mutex
	nextID  uint64
	pending map[string]chan signal.Envelope
}

// post sends a message that is not answered. It answers false if the worker is gone.
func (w *workerLink) post(t signal.Type, session string, payload any) bool {
	return w.sock.send(encode(t, "", session, payload))
}

// expect makes the id of a request and the channel its answer comes by. The
// func must be called when no answer is waited for any more.
func (w *workerLink) expect() (id string, answer <-chan signal.Envelope, forget func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nextID++
	id = strconv.FormatUint(w.nextID, 10)
	ch := make(chan signal.Envelope, 1)
	w.pending[id] = ch
	return id, ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.pending, id)
	}
}

// ask sends a request and waits for its answer, at most patience. Its error is
// an *signal.Error.
func (w *workerLink) ask(
	ctx context.Context, t signal.Type, session string, payload any, patience time.Duration,
) (signal.Envelope, error) {
	id, answer, forget := w.expect()
	defer forget()
	w.sock.send(encode(t, id, session, payload))
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case e := <-answer:
		return e, nil
	case <-timeout.C:
		return signal.Envelope{}, signal.Errorf(signal.CodeFailed, "the worker did not answer within %s; try again", patience.Round(time.Second))
	case <-w.sock.done:
		return signal.Envelope{}, signal.Errorf(signal.CodeNoWorker, "the worker went away; try again")
	case <-ctx.Done():
		return signal.Envelope{}, signal.Errorf(signal.CodeFailed, "the coordinator is stopping; try again")
	}
}

// await waits at most patience for the answer of a request. Its error is an
// *signal.Error.
func (w *workerLink) await(ctx context.Context, answer <-chan signal.Envelope, patience time.Duration) (signal.Answer, error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case e := <-answer:
		return readAnswer(e)
	case <-timeout.C:
		return signal.Answer{}, signal.Errorf(signal.CodeFailed, "the worker did not answer within %s; try again", patience.Round(time.Second))
	case <-w.sock.done:
		return signal.Answer{}, signal.Errorf(signal.CodeNoWorker, "the worker went away; try again")
	case <-ctx.Done():
		return signal.Answer{}, signal.Errorf(signal.CodeFailed, "the coordinator is stopping; try again")
	}
}

func readAnswer(e signal.Envelope) (signal.Answer, error) {
	switch e.Type {
	case signal.TypeAnswer:
		a, err := signal.Read[signal.Answer](e)
		if err != nil {
			return signal.Answer{}, signal.Errorf(signal.CodeFailed, "the worker's answer is malformed: %v", err)
		}
		return a, nil
	case signal.TypeError:
		refusal, err := signal.Read[signal.Error](e)
		if err != nil {
			return signal.Answer{}, signal.Errorf(signal.CodeFailed, "the worker's refusal is malformed: %v", err)
		}
		return signal.Answer{}, &refusal
	}
	return signal.Answer{}, signal.Errorf(signal.CodeFailed, "the worker answered with %q", e.Type)
}

// resolve hands an answer to who waits for it; false if nobody does.
func (w *workerLink) resolve(e signal.Envelope) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch, ok := w.pending[e.ID]
	if ok {
		delete(w.pending, e.ID)
		ch <- e // has room for the one answer
	}
	return ok
}

// serveWorker is /ws/worker.
func (c *Coordinator) serveWorker(rw http.ResponseWriter, r *http.Request) {
	c.serveRole(rw, r, func(nonce string, e signal.Envelope) (func(context.Context, *socket), error) {
		if e.Type != signal.TypeRegister {
			return nil, signal.Errorf(signal.CodeBadRequest, "the first message here is %q, not %q", signal.TypeRegister, e.Type)
		}
		reg, err := signal.Read[signal.Register](e)
		if err != nil {
			return nil, err
		}
		if !signal.CheckMAC(c.cfg.Secret, nonce, signal.RoleWorker, reg.ID, reg.MAC) {
			return nil, signal.Errorf(signal.CodeDenied,
				"the worker's secret is wrong: give worker and coordinator the same secrets.worker")
		}
		return func(ctx context.Context, sock *socket) { c.runWorker(ctx, sock, reg) }, nil
	})
}

// runWorker serves a worker that has proved itself until its socket ends.
func (c *Coordinator) runWorker(ctx context.Context, sock *socket, reg signal.Register) {
	w := &workerLink{
		id: reg.ID, name: reg.Name, zone: reg.Zone, mediaAddrs: reg.MediaAddrs, load: reg.Load,
		sock: sock, pending: map[string]chan signal.Envelope{},
	}
	log := c.log.With("worker", w.id, "name", w.name)
	sock.send(encode(signal.TypeAccepted, "", "", signal.Accepted{Library: true}))
	if old := c.registry.addWorker(w, reg.Rooms); old != nil {
		old.sock.cut(closeReplaced, "the worker connected again")
	}
	c.sessions.rebind(w)
	log.Info("worker joined", "zone", reg.Zone, "rooms", len(reg.Rooms), "places", reg.Load.Places)
	for {
		data, err := sock.read()
		if err != nil {
			log.Info("worker left", "cause", err)
			break
		}
		e, err := signal.Decode(data, signal.MaxInternal)
		if err == nil {
			err = c.fromWorker(w, e)
		}
		if err != nil {
			log.Warn("message of a worker refused", "type", e.Type, "cause", err)
		}
	}
	c.registry.removeWorker(w)
}

// fromWorker handles one message of a worker.
func (c *Coordinator) fromWorker(w *workerLink, e signal.Envelope) error {
	switch e.Type {
	case signal.TypeLibrary:
		library, err := signal.Read[signal.Library](e)
		if err != nil {
			return err
		}
		c.registry.setGames(w, library.Put)
	case signal.TypeRooms:
		rooms, err := signal.Read[signal.Rooms](e)
		if err != nil {
			return err
		}
		c.registry.setRooms(w, rooms.Rooms)
	case signal.TypeLoad:
		load, err := signal.Read[signal.Load](e)
		if err != nil {
			return err
		}
		c.registry.setLoad(w, load)
	case signal.TypeAnswer, signal.TypeReserved, signal.TypeSessions, signal.TypeInvited, signal.TypeDone:
		if !w.resolve(e) {
			c.log.Debug("late answer of a worker", "worker", w.id, "session", e.Session)
		}
	case signal.TypeError:
		return c.errorFromWorker(w, e)
	case signal.TypeCandidate:
		candidate, err := signal.Read[signal.Candidate](e)
		if err != nil {
			return err
		}
		c.sessions.candidateToPage(w, e.Session, candidate)
	case signal.TypeClosed:
		closed, err := signal.Read[signal.Closed](e)
		if err != nil {
			return err
		}
		c.sessions.closed(w, e.Session, closed)
	default:
		return signal.Errorf(signal.CodeBadRequest, "a worker does not send %q", e.Type)
	}
	return nil
}

// errorFromWorker: the answer to a request, or about something that was only posted.
func (c *Coordinator) errorFromWorker(w *workerLink, e signal.Envelope) error {
	if w.resolve(e) {
		return nil
	}
	refusal, err := signal.Read[signal.Error](e)
	if err != nil {
		return err
	}
	c.log.Debug("worker refused", "worker", w.id, "session", e.Session, "cause", refusal.Error())
	if e.Session != "" {
		c.sessions.refused(w, e.Session, refusal)
	}
	return nil
}

// serveRole upgrades the connection of a worker or gate, sends the challenge
// and gives the first message to prove, which answers what serves the role
// until its socket ends, or why it is not let in.
func (c *Coordinator) serveRole(
	rw http.ResponseWriter, r *http.Request,
	prove func(nonce string, e signal.Envelope) (serve func(context.Context, *socket), err error),
) {
	c.serveSocket(rw, r, &c.roles, func(ctx context.Context, sock *socket) {
		log := c.log.With(slog.String("from", r.RemoteAddr), slog.String("path", r.URL.Path))
		proved, ok := c.strangers.enter(addressOf(r))
		if !ok {
			sock.cut(websocket.CloseTryAgainLater, "too many that have not proved who they are")
			return
		}
		defer proved()
		nonce := signal.NewNonce()
		sock.send(encode(signal.TypeChallenge, "", "", signal.Challenge{Nonce: nonce, Coordinator: c.id}))
		_ = sock.conn.SetReadDeadline(time.Now().Add(handshakeTimeout)) // an error comes again from read
		data, err := sock.read()
		if err != nil {
			log.Debug("role did not answer the challenge", "cause", err)
			return
		}
		e, err := signal.Decode(data, signal.MaxInternal)
		var serve func(context.Context, *socket)
		if err == nil {
			serve, err = prove(nonce, e)
		}
		if err != nil {
			log.Warn("role refused", "cause", err)
			sock.send(encode(signal.TypeError, e.ID, "", signal.AsError(err)))
			sock.cut(websocket.ClosePolicyViolation, "refused")
			return
		}
		proved()
		serve(ctx, sock)
	})
}
