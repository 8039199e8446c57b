package coordinator

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Bounds of a browser's socket.
const (
	pageQueue     = 256 // messages queued towards a page
	pageRate      = 20  // messages a second, in the long run
	pageBurst     = 120 // messages at once: a start and all its candidates
	maxViolations = 200 // messages over the rate before the socket is cut

	// resumePatience is shorter than a page waits for the answer to a resume.
	resumePatience = 5 * time.Second
)

// browser is one page's socket. Its fields belong to the goroutine that reads.
type browser struct {
	c          *Coordinator
	sock       *socket
	session    *session
	host       string
	from       address
	bucket     *bucket
	violations int
}

// serveBrowser is /ws.
func (c *Coordinator) serveBrowser(rw http.ResponseWriter, r *http.Request) {
	host, from := hostName(r.Host), addressOf(r)
	c.serveSocket(rw, r, &c.pages, func(ctx context.Context, sock *socket) {
		b := &browser{c: c, sock: sock, host: host, from: from, bucket: newBucket(pageRate, pageBurst, time.Now())}
		b.run(ctx)
	})
}

// run serves the page until its socket ends.
func (b *browser) run(ctx context.Context) {
	b.session = b.c.sessions.open(b.sock, b.host)
	if b.session == nil {
		b.sock.cut(websocket.CloseTryAgainLater, "too many sessions")
		return
	}
	defer func() { b.c.sessions.lose(b.session, b.sock, time.Now()) }()
	id, token := b.c.sessions.hello(b.session)
	b.sock.send(encode(signal.TypeHello, "", "", signal.Hello{
		Session: id, Token: token, ICEServers: b.c.iceServers(id, b.host),
	}))
	for {
		data, err := b.sock.read()
		if err != nil && !errors.Is(err, errTooLarge) && !errors.Is(err, errBinary) {
			b.c.log.Debug("page left", "cause", err)
			return
		}
		if !b.admit(err) {
			continue
		}
		b.handle(ctx, data, err)
	}
}

// admit keeps a page from flooding us and the workers. A message that is too
// large counts as many.
func (b *browser) admit(err error) bool {
	cost := 1.0
	if errors.Is(err, errTooLarge) {
		cost = 8
	}
	if b.bucket.take(cost, time.Now()) {
		return true
	}
	if b.violations%20 == 0 {
		b.refuse("", signal.Errorf(signal.CodeBadRequest, "more than %d messages a second; this one was ignored", pageRate))
	}
	if b.violations++; b.violations > maxViolations {
		b.sock.cut(websocket.ClosePolicyViolation, "too many messages")
	}
	return false
}

// handle handles one message, or what was wrong with reading it.
func (b *browser) handle(ctx context.Context, data []byte, err error) {
	var e signal.Envelope
	switch {
	case errors.Is(err, errTooLarge):
		err = signal.Errorf(signal.CodeTooLarge, "the message has more than %d bytes and was ignored", signal.MaxMessage)
	case errors.Is(err, errBinary):
		err = signal.Errorf(signal.CodeBadRequest, "messages here are JSON text, this one was binary")
	default:
		e, err = signal.Decode(data, signal.MaxMessage)
	}
	if err == nil {
		err = b.dispatch(ctx, e)
	}
	if err != nil {
		b.refuse(e.ID, err)
	}
}

func (b *browser) refuse(id string, err error) {
	b.c.log.Debug("message of a page refused", "cause", err)
	b.sock.send(encode(signal.TypeError, id, "", signal.AsError(err)))
}

func (b *browser) dispatch(ctx context.Context, e signal.Envelope) error {
	switch e.Type {
	case signal.TypeStart:
		return b.start(ctx, e)
	case signal.TypeJoin:
		return b.join(ctx, e)
	case signal.TypeOffer:
		return b.offer(ctx, e)
	case signal.TypeCandidate:
		candidate, err := signal.Read[signal.Candidate](e)
		if err != nil {
			return err
		}
		return b.c.sessions.candidateFromPage(b.session, candidate)
	case signal.TypeLeave:
		return b.c.sessions.leave(b.session)
	case signal.TypeResume:
		return b.resume(ctx, e)
	}
	return signal.Errorf(signal.CodeBadRequest, "a page does not send %q", e.Type)
}

func (b *browser) start(ctx context.Context, e signal.Envelope) error {
	start, err := signal.Read[signal.Start](e)
	if err != nil {
		return err
	}
	workers, err := b.c.registry.candidates(start.Game, start.Zone, start.Latencies)
	if err != nil {
		return err
	}
	if err := b.charge(1); err != nil {
		return err
	}
	start.Host = b.host
	return b.play(ctx, request{
		id: e.ID, kind: e.Type, payload: start, workers: workers,
		check: func(a signal.Answer) error {
			if a.Game != start.Game {
				return signal.Errorf(signal.CodeFailed, "the worker started %q instead of %q", a.Game, start.Game)
			}
			return nil
		},
	})
}

func (b *browser) join(ctx context.Context, e signal.Envelope) error {
	join, err := signal.Read[signal.Join](e)
	if err != nil {
		return err
	}
	worker, err := b.c.registry.forRoom(join.Room)
	if err != nil {
		return err
	}
	if err := b.charge(joinCost); err != nil {
		return err
	}
	join.Host = b.host
	return b.play(ctx, request{
		id: e.ID, kind: e.Type, payload: join, workers: []*workerLink{worker},
		check: func(a signal.Answer) error {
			if a.Room != join.Room {
				return signal.Errorf(signal.CodeFailed, "the worker answered with another room")
			}
			return nil
		},
	})
}

// charge takes a start or join from the budget of the page's address.
func (b *browser) charge(cost float64) error {
	if b.c.budgets.take(b.from, cost, time.Now()) {
		return nil
	}
	return signal.Errorf(signal.CodeFull, "too many games were started from your address; wait a few seconds and try again")
}

// play begins a start or join and lets it go on beside the reading of messages,
// as candidates come meanwhile.
func (b *browser) play(ctx context.Context, r request) error {
	if err := b.c.sessions.begin(b.session, true); err != nil {
		return err
	}
	s := b.session
	b.c.requests.Go(func() { b.c.play(ctx, s, r) })
	return nil
}

func (b *browser) offer(ctx context.Context, e signal.Envelope) error {
	offer, err := signal.Read[signal.Offer](e)
	if err != nil {
		return err
	}
	if err := b.c.sessions.begin(b.session, false); err != nil {
		return err
	}
	s, room := b.session, b.c.sessions.roomOf(b.session)
	r := request{id: e.ID, kind: e.Type, payload: offer, check: func(a signal.Answer) error {
		if room != "" && a.Room != room {
			return signal.Errorf(signal.CodeFailed, "the worker answered with another room")
		}
		return nil
	}}
	w, missing := b.c.sessions.workerOf(s, time.Now())
	if w == nil {
		b.c.sessions.fail(s, r.id, workerMissing(missing))
		return nil
	}
	id, answer, forget := w.expect()
	b.c.sessions.ask(s, w, id, r)
	b.c.requests.Go(func() {
		defer forget()
		b.c.renegotiate(ctx, s, w, answer, r)
	})
	return nil
}

// resume takes up a session that lost its socket. One that this coordinator
// does not know (it was restarted, or it is another replica) is made again as
// soon as its worker is connected. Later messages wait meanwhile.
func (b *browser) resume(ctx context.Context, e signal.Envelope) error {
	resume, err := signal.Read[signal.Resume](e)
	if err != nil {
		return err
	}
	token, err := signal.VerifyToken(b.c.cfg.SessionSecret, resume.Token, time.Now())
	if err != nil {
		return signal.Errorf(signal.CodeDenied, "%v; start again from the menu", err)
	}
	if token.Worker != "" && !b.c.sessions.knows(token.ID) && !b.awaitWorker(ctx, token.Worker) {
		return signal.Errorf(signal.CodeNoWorker, "the worker of this session is not connected; a picture that still moves is not affected")
	}
	s, err := b.c.sessions.resume(b.session, e.ID, token, b.sock)
	if err != nil {
		return err
	}
	b.session = s
	return nil
}

// awaitWorker waits for a worker to be connected, as after a restart all come
// back within seconds.
func (b *browser) awaitWorker(ctx context.Context, id string) bool {
	timeout := time.NewTimer(resumePatience)
	defer timeout.Stop()
	for {
		w, changed := b.c.registry.workerOrWait(id)
		if w != nil {
			return true
		}
		select {
		case <-changed:
		case <-timeout.C:
			return false
		case <-b.sock.done:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
