package coordinator

import (
	"context"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// request is a start, join or offer of a page on its way to a worker.
type request struct {
	id      string // the page's, for the answer
	kind    signal.Type
	payload any
	check   func(signal.Answer) error
}

// begin makes a session busy with a request. A start or join (fresh) gives up
// what the session had: it goes on under a new id, so that nothing late of the
// old play can be taken for the new one.
func (t *sessions) begin(s *session, fresh bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.busy {
		return errNotAnswered()
	}
	if !fresh && s.worker == "" {
		return errNoGame()
	}
	if fresh && s.used {
		t.end(s)
		s.id, s.used = signal.NewID(), false
		t.byID[s.id] = s
	}
	if fresh {
		t.leaveQueue(s)
	}
	s.busy, s.ended = true, false
	s.toWork, s.toPage = nil, nil
	return nil
}

func errNotAnswered() *signal.Error {
	return signal.Errorf(signal.CodeBadRequest, "the request before this one is not answered yet")
}

func errNoGame() *signal.Error {
	return signal.Errorf(signal.CodeNotFound, "no game runs in this session; start or join one first")
}

// ask sends a request to a worker, and after it the candidates that came since
// the request began.
func (t *sessions) ask(s *session, w *workerLink, id string, r request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bind(s, w.id)
	s.used, s.away = true, time.Time{}
	w.sock.send(encode(r.kind, id, s.id, r.payload))
	for _, c := range s.toWork {
		w.post(signal.TypeCandidate, s.id, c)
	}
}

// giveUp takes a session from a worker that refused it or did not answer.
func (t *sessions) giveUp(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaveWorker(s)
	s.toPage, s.ended = nil, false
}

// finish answers the page's request with a worker's yes, and then with what
// the worker said since. If the page is gone, so is its seat.
func (t *sessions) finish(s *session, id string, a signal.Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.room, s.waiting, s.game = a.Room, 0, ""
	if s.sock == nil {
		t.leaveWorker(s)
	} else {
		a.Token = t.token(s)
		s.sock.send(encode(signal.TypeAnswer, id, "", a))
	}
	t.settle(s)
}

// fail answers the page's request with an error.
func (t *sessions) fail(s *session, id string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.sock != nil {
		s.sock.send(encode(signal.TypeError, id, "", signal.AsError(err)))
	}
	t.settle(s)
}

// settle ends a request. t.mu is held.
func (t *sessions) settle(s *session) {
	for _, data := range s.toPage {
		if s.sock != nil {
			s.sock.send(data)
		}
	}
	if s.ended {
		t.bind(s, "")
		s.room = ""
	}
	if s.sock == nil {
		s.lost = time.Now() // the grace begins now at the latest
	}
	s.busy, s.toWork, s.toPage = false, nil, nil
}

// leave ends the session's game at the page's wish.
func (t *sessions) leave(s *session) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.busy {
		return errNotAnswered()
	}
	t.leaveQueue(s)
	t.leaveWorker(s)
	return nil
}

// candidateFromPage passes a candidate on, at once and again to the next
// worker if the one that is being asked refuses.
func (t *sessions) candidateFromPage(s *session, c signal.Candidate) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.busy {
		if len(s.toWork) >= maxCandidates {
			return signal.Errorf(signal.CodeBadRequest, "more than %d candidates before the answer", maxCandidates)
		}
		s.toWork = append(s.toWork, c)
	}
	if s.worker == "" {
		if s.busy || t.queue.waiting(s) {
			return nil // of the connection that the page drops to wait
		}
		return errNoGame()
	}
	if w := t.registry.worker(s.worker); w == nil || !w.post(signal.TypeCandidate, s.id, c) {
		return errWorkerAway()
	}
	return nil
}

func errWorkerAway() *signal.Error {
	return signal.Errorf(signal.CodeNoWorker, "the worker of this game is not connected just now; the picture is not affected")
}

// of is the session that a worker speaks of, if it is its own and has a page.
// t.mu is held.
func (t *sessions) of(w *workerLink, id string) *session {
	s := t.byID[id]
	if s == nil || s.worker != w.id || s.sock == nil {
		return nil
	}
	return s
}

// candidateToPage passes a worker's candidate on, after the answer.
func (t *sessions) candidateToPage(w *workerLink, id string, c signal.Candidate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(w, id)
	if s == nil {
		return
	}
	data := encode(signal.TypeCandidate, "", "", c)
	switch {
	case !s.busy:
		s.sock.send(data)
	case len(s.toPage) < maxCandidates:
		s.toPage = append(s.toPage, data)
	}
}

// closed tells the page that its session ended at the worker.
func (t *sessions) closed(w *workerLink, id string, c signal.Closed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byID[id]; s != nil && s.worker == w.id && s.sock == nil && !s.busy {
		t.bind(s, "")
		s.room = ""
	}
	s := t.of(w, id)
	if s == nil {
		return
	}
	data := encode(signal.TypeClosed, "", "", c)
	if s.busy {
		s.toPage, s.ended = append(s.toPage, data), true
		return
	}
	t.bind(s, "")
	s.room = ""
	s.sock.send(data)
}

// refused passes on what a worker had against something that was only posted.
func (t *sessions) refused(w *workerLink, id string, e signal.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.of(w, id); s != nil && !s.busy {
		s.sock.send(encode(signal.TypeError, "", "", &e))
	}
}

// fail answers the page's request with an error, and counts it.
func (c *Coordinator) fail(s *session, id string, err error) {
	c.stats.refuse(string(signal.AsError(err).Code))
	c.sessions.fail(s, id, err)
}

// enterRoom asks a worker for a join and answers the page. The session is busy already.
func (c *Coordinator) enterRoom(ctx context.Context, s *session, w *workerLink, r request) {
	answer, err := c.try(ctx, s, w, r, requestTimeout)
	if err == nil {
		err = c.registry.addRoom(w, answer.Room)
	}
	if err != nil {
		c.log.Debug("worker refused", "worker", w.id, "request", r.kind, "cause", err) // anybody can have that as often as they like
		c.sessions.giveUp(s)
		c.fail(s, r.id, err)
		return
	}
	c.sessions.finish(s, r.id, answer)
}

// try asks one worker.
func (c *Coordinator) try(
	ctx context.Context, s *session, w *workerLink, r request, patience time.Duration,
) (signal.Answer, error) {
	id, answer, forget := w.expect()
	defer forget()
	c.sessions.ask(s, w, id, r)
	a, err := w.await(ctx, answer, patience)
	if err == nil {
		err = r.check(a)
	}
	return a, err
}

// renegotiate waits for the answer to an offer; the session stays where it is.
func (c *Coordinator) renegotiate(ctx context.Context, s *session, w *workerLink, answer <-chan signal.Envelope, r request) {
	a, err := w.await(ctx, answer, requestTimeout)
	if err == nil {
		err = r.check(a)
	}
	if err != nil {
		c.fail(s, r.id, err)
		return
	}
	c.sessions.finish(s, r.id, a)
}
