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
	user       *signal.User // who is signed in, nil for nobody
	stranger   bool         // somebody must be, and nobody is: may only resume
	bucket     *bucket
	violations int
}

// serveBrowser is /ws.
func (c *Coordinator) serveBrowser(rw http.ResponseWriter, r *http.Request) {
	host, from, user := hostName(r.Host), addressOf(r), c.door.User(r)
	c.serveSocket(rw, r, c.pages, func(ctx context.Context, sock *socket) {
		b := &browser{
			c: c, sock: sock, host: host, from: from, bucket: newBucket(pageRate, pageBurst, time.Now()),
			user: user, stranger: user == nil && c.door.Required(),
		}
		b.run(ctx)
	})
}

// run serves the page until its socket ends.
func (b *browser) run(ctx context.Context) {
	b.session = b.c.sessions.open(b.sock, b.host, b.user)
	if b.session == nil {
		b.c.stats.refuse("sessions")
		b.sock.cut(websocket.CloseTryAgainLater, "too many sessions")
		return
	}
	defer func() { b.c.sessions.lose(b.session, b.sock, time.Now()) }()
	b.sock.send(encode(signal.TypeHello, "", "", b.hello()))
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

// hello greets the page. A stranger gets no credentials for the gates.
func (b *browser) hello() signal.Hello {
	id, token := b.c.sessions.hello(b.session)
	h := signal.Hello{Session: id, Token: token, ICEServers: []signal.ICEServer{}, Alternates: b.c.now().alternates, User: b.user}
	if !b.stranger {
		h.ICEServers = b.c.iceServers(id, b.host)
	}
	return h
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
	b.c.stats.refuse("rate")
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
	refusal := signal.AsError(err)
	b.c.stats.refuse(string(refusal.Code))
	b.sock.send(encode(signal.TypeError, id, "", refusal))
}

func (b *browser) dispatch(ctx context.Context, e signal.Envelope) error {
	if b.stranger && e.Type != signal.TypeResume && !b.introduced(e) {
		return signal.Errorf(signal.CodeSignIn, "sign in first")
	}
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
	case signal.TypeServers:
		id, _ := b.c.sessions.hello(b.session)
		b.sock.send(encode(signal.TypeServers, e.ID, "", signal.Servers{ICEServers: b.c.iceServers(id, b.host)}))
		return nil
	}
	return signal.Errorf(signal.CodeBadRequest, "a page does not send %q", e.Type)
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
		b.c.fail(s, r.id, workerMissing(missing))
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
