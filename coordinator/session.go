package coordinator

import (
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

const (
	sessionGrace  = 30 * time.Second   // a session is kept after its socket is lost
	sweepPeriod   = 5 * time.Second    // how often lost sessions are looked for
	tokenTTL      = 7 * 24 * time.Hour // longer than anybody plays
	waitTTL       = 3 * time.Minute    // of the token of who waits: it is renewed, and must not be a way past others later
	clockSkew     = time.Minute        // that the clocks of coordinators and workers may be apart
	maxSessions   = 100_000            // with and without a socket
	workerGrace   = 10 * time.Second   // as long as a worker takes to come back to a coordinator
	goneMemory    = 10 * time.Minute   // as long as it is known when a worker left
	maxCandidates = 64                 // held back in either direction during a request
)

// session is one browser's play: from hello, over a start or join, to leave.
// Its fields are guarded by the mutex of sessions.
type session struct {
	id      string
	worker  string  // id, "" while no game runs or is asked for; see sessions.bind
	room    string  // "" while no game runs
	sock    *socket // nil while it is lost
	host    string  // by which the browser reached us
	user    *signal.User
	waiting int64  // ms since 1970 when it began to wait for a place, 0 if it does not
	game    string // that it waits for
	lost    time.Time
	away    time.Time          // since when offers find no worker, zero if the last one did
	used    bool               // a worker has heard of this id
	busy    bool               // a request to a worker is under way
	ended   bool               // the worker closed it while busy
	toWork  []signal.Candidate // since the request began, for the next worker asked
	toPage  [][]byte           // since the request began, to follow its answer
}

// sessions is the table of all browsers. All methods may be called
// concurrently; none blocks. Its mutex may be held while that of the queue or the
// registry is taken, not the other way round.
type sessions struct {
	secret   string
	registry *registry
	queue    *queue
	mu       sync.Mutex
	byID     map[string]*session
	byWorker map[string]map[*session]struct{}
	gone     map[string]time.Time // workers that left, and when
}

func newSessions(secret string, r *registry, q *queue) *sessions {
	return &sessions{
		secret: secret, registry: r, queue: q,
		byID: map[string]*session{}, byWorker: map[string]map[*session]struct{}{}, gone: map[string]time.Time{},
	}
}

// open makes a session for a new socket, nil if there are too many.
func (t *sessions) open(sock *socket, host string, user *signal.User) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.byID) >= maxSessions {
		return nil
	}
	s := &session{id: signal.NewID(), sock: sock, host: host, user: user}
	t.byID[s.id] = s
	return s
}

// bind notes at which worker a session plays, "" for none. t.mu is held.
func (t *sessions) bind(s *session, worker string) {
	if s.worker == worker {
		return
	}
	if there := t.byWorker[s.worker]; there != nil {
		if delete(there, s); len(there) == 0 {
			delete(t.byWorker, s.worker)
		}
	}
	if s.worker = worker; worker == "" {
		return
	}
	if t.byWorker[worker] == nil {
		t.byWorker[worker] = map[*session]struct{}{}
	}
	t.byWorker[worker][s] = struct{}{}
}

// token is what resumes s. t.mu is held.
func (t *sessions) token(s *session) string {
	life := tokenTTL
	if s.waiting != 0 {
		life = waitTTL
	}
	return signal.MintToken(t.secret, signal.Session{
		ID: s.id, Worker: s.worker, Room: s.room, Waiting: s.waiting, Game: s.game, User: s.user,
		Expires: time.Now().Add(life).Unix(),
	})
}

// hello is the id and the token of a session.
func (t *sessions) hello(s *session) (id, token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.id, t.token(s)
}

// introduce notes who a session is of.
func (t *sessions) introduce(s *session, user *signal.User) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.user = user
}

// resume binds sock to the session that a token names, whether this
// coordinator knows it or not, in place of the fresh one, and tells the page.
// The answer is the session; the socket it had before is cut.
func (t *sessions) resume(fresh *session, id string, token signal.Session, sock *socket) (*session, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fresh.busy {
		return nil, signal.Errorf(signal.CodeBadRequest, "a game is just being started here, so no other session can be resumed")
	}
	s, ok := t.byID[token.ID]
	if !ok {
		s = &session{id: token.ID, host: fresh.host, user: fresh.user}
		s.waiting, s.game = min(token.Waiting, time.Now().UnixMilli()), token.Game
		t.byID[s.id] = s
	}
	t.learn(s, token)
	if token.User != nil {
		s.user = token.User
	}
	if s != fresh {
		t.end(fresh)
		if s.sock != nil {
			s.sock.cut(closeReplaced, "the session was resumed on another connection")
		}
		s.sock = sock
		t.queue.follow(s, sock)
	}
	sock.send(encode(signal.TypeResumed, id, "", signal.Resumed{Session: s.id, Token: t.token(s)}))
	if w := t.registry.worker(s.worker); w != nil && !s.busy {
		w.post(signal.TypeResume, s.id, nil)
	}
	return s, nil
}

// learn takes from a token where a session plays if that is not known here: it
// may have begun its game at another coordinator before we missed its page. A
// token that is older than the end of the game does no harm: the worker says that
// it has ended. t.mu is held.
func (t *sessions) learn(s *session, token signal.Session) {
	if s.busy || s.worker != "" || token.Worker == "" {
		return
	}
	t.leaveQueue(s)
	t.bind(s, token.Worker)
	s.room, s.used = token.Room, true
}

// knows says whether a session is in the table.
func (t *sessions) knows(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.byID[id]
	return ok
}

// end takes a session out of the table, the queue and from its worker. t.mu is held.
func (t *sessions) end(s *session) {
	t.leaveWorker(s)
	t.leaveQueue(s)
	delete(t.byID, s.id)
}

// leaveQueue gives up the place that a session has or waits for. t.mu is held.
func (t *sessions) leaveQueue(s *session) {
	s.waiting, s.game = 0, ""
	t.queue.leave(s)
}

// leaveWorker tells the session's worker that it is over. t.mu is held.
func (t *sessions) leaveWorker(s *session) {
	if w := t.registry.worker(s.worker); w != nil {
		w.post(signal.TypeLeave, s.id, nil)
	}
	t.bind(s, "")
	s.room = ""
}

// lose notes that the socket of a session is gone, unless it has another one. A
// session that no worker has heard of has nothing to be kept for: who waits has
// a token that says since when.
func (t *sessions) lose(s *session, sock *socket, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.sock != sock {
		return
	}
	s.sock, s.lost = nil, now
	t.queue.leave(s)
	if !s.used && !s.busy {
		delete(t.byID, s.id)
	}
}

// here says whether a session has a socket just now.
func (t *sessions) here(s *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.sock != nil
}

// sweep forgets sessions that have been lost for longer than sessionGrace.
// Their workers are not told: media may flow on without any of us.
func (t *sessions) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, s := range t.byID {
		if s.sock == nil && !s.busy && now.Sub(s.lost) >= sessionGrace {
			t.bind(s, "")
			delete(t.byID, id)
		}
	}
	for id, left := range t.gone {
		if now.Sub(left) >= goneMemory {
			delete(t.gone, id)
		}
	}
}

// rebind tells a worker that has (re)connected which of its sessions are here.
func (t *sessions) rebind(w *workerLink) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.gone, w.id)
	for s := range t.byWorker[w.id] {
		s.away = time.Time{}
		if s.sock != nil && !s.busy {
			w.post(signal.TypeResume, s.id, nil)
		}
	}
}

// left notes when the last link of a worker ended.
func (t *sessions) left(w *workerLink, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.byWorker[w.id]) > 0 && t.registry.worker(w.id) == nil {
		t.gone[w.id] = now
	}
}

// roomOf is the room that a session plays in, "" for none.
func (t *sessions) roomOf(s *session) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.room
}

// workerOf is the link of the worker that a session plays at; if it is not
// connected nil, and for how long it has been away, as far as we know.
func (t *sessions) workerOf(s *session, now time.Time) (w *workerLink, missing time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w = t.registry.worker(s.worker); w != nil {
		s.away = time.Time{}
		return w, 0
	}
	if s.away.IsZero() {
		s.away = now
	}
	if left, ok := t.gone[s.worker]; ok && left.Before(s.away) {
		s.away = left
	}
	return nil, now.Sub(s.away)
}

// workerMissing is what a page is told that has lost its picture and whose
// worker is not connected: after a while both together mean that it died.
func workerMissing(missing time.Duration) *signal.Error {
	if missing < workerGrace {
		return errWorkerAway()
	}
	return signal.Errorf(signal.CodeNotFound, "the worker of this game is gone, and the game with it")
}
