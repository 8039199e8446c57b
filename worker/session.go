package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/uplink"
	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/room"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// Bounds of sessions.
const (
	maxSessions    = 4096
	sessionQueue   = 128              // messages; overflow: refused with an error
	requestTimeout = 10 * time.Second // for one start, join or offer
	againPatience  = 10 * time.Second // for the offer of a new connection after CodeSRTP
)

// session is one browser at this worker, from start or join to its end. It
// survives the coordinator: whichever link spoke of it last hears of it. Its
// goroutine, run, does what the coordinator asks in the order of asking.
type session struct {
	worker *Worker
	id     string
	link   atomic.Pointer[uplink.Link]
	inbox  chan signal.Envelope
	ended  chan room.Leave // from the room; capacity 2, for one with Again and the last
	finish chan room.Leave // from sessions.end; capacity 1
	since  time.Time
	shown  atomic.Pointer[shown] // nil until it has a place
	leaves atomic.Bool           // its page has left it
	quiet  atomic.Bool           // another one has its id: nobody hears of this one

	// Of run only.
	peer   *peer.Peer
	member *room.Member
	room   *room.Room
	host   string      // by which the browser reached the coordinator
	again  *time.Timer // runs while a new connection is awaited, else nil
}

// shown is what info needs.
type shown struct {
	room   *room.Room
	member *room.Member
}

// info is what is listed of the session. Its Room is "" while it has no place yet.
func (s *session) info() signal.SessionInfo {
	i := signal.SessionInfo{ID: s.id, Since: s.since.UnixMilli()}
	if at := s.shown.Load(); at != nil {
		now := at.member.Status()
		i.Room, i.Game, i.User = at.room.ID(), at.room.Game().ID, at.member.User()
		i.Player, i.Hosting, i.Away = now.Player, now.Host, now.Away
	}
	return i
}

// sessions is the table of them. Its methods may be called from any goroutine.
type sessions struct {
	mu      sync.Mutex
	byID    map[string]*session
	running int // with those whose id another one has
	closing bool
	group   sync.WaitGroup
}

func (t *sessions) find(id string) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id]
}

func (t *sessions) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}

// end makes a session end; its page hears why. It says whether there is one.
func (t *sessions) end(id, reason string, code signal.Code) bool {
	s := t.find(id)
	if s == nil {
		return false
	}
	select {
	case s.finish <- room.Leave{Reason: reason, Code: code}:
	default: // it ends already
	}
	return true
}

// close lets no new session start.
func (t *sessions) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closing = true
}

// wait returns when all sessions have ended, after close.
func (t *sessions) wait() { t.group.Wait() }

// start makes a session and runs it with the message that asked for it. One
// that has the id ends, if its page has left it or comes by another link: the
// answer was lost with the coordinator before.
func (t *sessions) start(w *Worker, l *uplink.Link, e signal.Envelope) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.byID[e.Session]
	switch {
	case t.closing:
		return signal.Errorf(signal.CodeFull, "the worker is going down")
	case max(len(t.byID), t.running) >= maxSessions:
		return signal.Errorf(signal.CodeFull, "the worker has %d sessions", maxSessions)
	case old != nil && !old.yield(l):
		return signal.Errorf(signal.CodeBadRequest, "the session plays already")
	}
	s := &session{
		worker: w, id: e.Session, since: time.Now(), inbox: make(chan signal.Envelope, sessionQueue),
		ended: make(chan room.Leave, 2), finish: make(chan room.Leave, 1),
	}
	s.link.Store(l)
	t.byID[s.id] = s
	t.running++
	t.group.Go(func() {
		s.run(e)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.running--
		if t.byID[s.id] == s {
			delete(t.byID, s.id)
		}
	})
	return nil
}

// yield gives the id to another session that is asked for by l, if it may.
func (s *session) yield(l *uplink.Link) bool {
	if !s.leaves.Load() && (s.link.Load() == l || s.post(signal.Envelope{Type: signal.TypeLeave}) != nil) {
		return false
	}
	s.quiet.Store(true)
	return true
}

// heeds says whether a message by l counts, and notes where the page is now. A
// coordinator from which it has gone gives up what it had asked for there: that
// must not end what the page plays by way of another.
func (s *session) heeds(l *uplink.Link, t signal.Type) bool {
	switch t {
	case signal.TypeResume, signal.TypeOffer:
		s.link.Store(l)
	case signal.TypeLeave:
		return s.link.Load().Coordinator() == l.Coordinator()
	}
	return true
}

func (s *session) post(e signal.Envelope) error {
	if e.Type == signal.TypeResume {
		return nil // its link is noted
	}
	select {
	case s.inbox <- e:
		if e.Type == signal.TypeLeave {
			s.leaves.Store(true)
		}
		return nil
	default:
		return signal.Errorf(signal.CodeBadRequest, "too many messages at once")
	}
}

// run opens the session and serves it to its end.
func (s *session) run(first signal.Envelope) {
	answer, err := s.begin(first)
	if err != nil {
		s.tell(signal.TypeError, first.ID, asError(err))
		return
	}
	s.tell(signal.TypeAnswer, first.ID, answer)
	defer s.log()
	for s.next() {
	}
}

// next does what comes next; false at the end of the session.
func (s *session) next() bool {
	var late <-chan time.Time
	if s.again != nil {
		late = s.again.C
	}
	select {
	case l := <-s.ended:
		if !l.Again {
			s.tell(signal.TypeClosed, "", signal.Closed{Reason: signal.Clip(l.Reason), Code: l.Code})
			return false
		}
		s.again = time.NewTimer(againPatience)
		s.tell(signal.TypeError, "", signal.Errorf(signal.CodeSRTP, "%s", l.Reason))
	case why := <-s.finish:
		s.member.Dismiss(why) // and the room tells that it ended
	case <-late:
		s.member.Release() // and the room tells that it ended
	case e := <-s.inbox:
		if e.Type == signal.TypeLeave {
			s.member.Release()
			for l := <-s.ended; l.Again; l = <-s.ended {
			}
			return false
		}
		if err := s.serve(e); err != nil {
			s.tell(signal.TypeError, e.ID, asError(err))
		}
	}
	return true
}

// log says what became of the session's pictures.
func (s *session) log() {
	n := s.peer.Stats()
	s.worker.log.Info("session ends", "session", s.id, "room", s.room.ID(), "fast", n.Fast,
		"frames", n.Frames, "framesDropped", n.FramesDroppedSlow, "framesWaiting", n.FramesDroppedWaiting,
		"sounds", n.Sounds, "soundsDropped", n.SoundsDropped, "packets", n.Packets, "bytes", n.Bytes,
		"resent", n.ResentRTX+n.ResentPlain, "resendsRefused", n.RefusedGone+n.RefusedUnknown+n.RefusedSoon+n.RefusedBudget,
		"keyFramesAsked", n.KeyFramesAsked, "unsent", n.Unsent+n.WriteErrors, "controlsDropped", n.ControlsDropped)
}

func (s *session) tell(t signal.Type, id string, payload any) {
	if !s.quiet.Load() {
		s.link.Load().Send(t, id, s.id, payload)
	}
}

// begin takes a place in a new room or a running one.
func (s *session) begin(e signal.Envelope) (signal.Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if e.Type == signal.TypeStart {
		start, err := signal.Read[signal.Start](e)
		if err != nil {
			return signal.Answer{}, err
		}
		return s.open(ctx, start)
	}
	join, err := signal.Read[signal.Join](e)
	if err != nil {
		return signal.Answer{}, err
	}
	if err := peer.CheckOffer(join.SDP); err != nil { // before it costs an invitation, or the seat of who comes back
		return signal.Answer{}, err
	}
	r := s.worker.rooms.find(join.Room)
	if r == nil {
		return signal.Answer{}, signal.Errorf(signal.CodeNotFound, "the room does not exist, or has ended")
	}
	s.host = join.Host
	entry := room.Entry{Replaces: join.Replaces, Player: join.Player, Invite: join.Invite, User: join.User}
	return s.enter(ctx, r, entry, signal.Offer{SDP: join.SDP, SRTP: join.SRTP})
}

// open starts a game whose host the session is.
func (s *session) open(ctx context.Context, start signal.Start) (signal.Answer, error) {
	if err := peer.CheckOffer(start.SDP); err != nil { // before it costs a process
		return signal.Answer{}, err
	}
	r, err := s.worker.openRoom(ctx, start)
	if err != nil {
		return signal.Answer{}, err
	}
	s.host = start.Host
	answer, err := s.enter(ctx, r.Room, room.Entry{User: start.User}, signal.Offer{SDP: start.SDP, SRTP: start.SRTP})
	if err != nil {
		r.cancel(nil) // nobody else knows of it
	}
	return answer, err
}

// enter brings the browser into a room.
func (s *session) enter(ctx context.Context, r *room.Room, e room.Entry, offer signal.Offer) (signal.Answer, error) {
	e.Session = s.id
	if s.leaves.Load() { // meanwhile: another one may have its place
		return signal.Answer{}, signal.Errorf(signal.CodeNotFound, "the session has ended")
	}
	m, err := r.Reserve(ctx, e)
	if err != nil {
		return signal.Answer{}, err
	}
	s.member, s.room = m, r
	s.shown.Store(&shown{r, m})
	answer, err := s.connect(ctx, offer)
	if err != nil {
		m.Release()
	}
	return answer, err
}

// connect gives the member its browser.
func (s *session) connect(ctx context.Context, offer signal.Offer) (signal.Answer, error) {
	var o peer.Options
	if offer.SRTP == signal.SRTPSHA1 {
		o.SRTP = seal.AES128CMHMACSHA180
	}
	p, err := s.worker.media.Open(s.member.Events(), o)
	if err != nil {
		return signal.Answer{}, err
	}
	sdp, err := p.Answer(ctx, offer.SDP, s.host)
	if err == nil {
		err = s.member.Attach(p, func(l room.Leave) { s.ended <- l })
	}
	if err != nil {
		p.Close()
		return signal.Answer{}, err
	}
	s.peer = p
	return s.answer(sdp), nil
}

func (s *session) answer(sdp string) signal.Answer {
	game := s.room.Game()
	return signal.Answer{
		SDP: sdp, Room: s.room.ID(), Game: game.ID, Title: game.Title, System: game.System,
		Player: s.member.Player(), Seats: s.room.Seats(),
	}
}

// serve does what comes while the session runs.
func (s *session) serve(e signal.Envelope) error {
	switch e.Type {
	case signal.TypeCandidate:
		c, err := signal.Read[signal.Candidate](e)
		if err != nil {
			return err
		}
		return s.peer.AddCandidate(c.Candidate, c.SDPMid, c.SDPMLineIndex)
	case signal.TypeOffer:
		offer, err := signal.Read[signal.Offer](e)
		if err != nil {
			return err
		}
		answer, err := s.renegotiate(offer)
		if err != nil {
			return err
		}
		s.tell(signal.TypeAnswer, e.ID, answer)
	}
	return nil
}

// renegotiate answers an offer of the browser that is there, or of the new
// connection that is awaited.
func (s *session) renegotiate(offer signal.Offer) (signal.Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if s.again == nil {
		sdp, err := s.peer.Answer(ctx, offer.SDP, s.host)
		if err != nil {
			return signal.Answer{}, err
		}
		return s.answer(sdp), nil
	}
	if offer.SRTP != signal.SRTPSHA1 {
		return signal.Answer{}, signal.Errorf(signal.CodeSRTP, "%v", peer.ErrSRTP)
	}
	answer, err := s.connect(ctx, offer)
	if err == nil {
		s.again.Stop()
		s.again = nil
	}
	return answer, err
}

// asError classifies what went wrong for whoever asked.
func asError(err error) *signal.Error {
	var why *signal.Error
	switch {
	case errors.As(err, &why):
		return why
	case errors.Is(err, room.ErrFull):
		return signal.Errorf(signal.CodeFull, "%v", err)
	case errors.Is(err, room.ErrClosed), errors.Is(err, peer.ErrClosed):
		return signal.Errorf(signal.CodeNotFound, "%v", err)
	case errors.Is(err, peer.ErrOffer):
		return signal.Errorf(signal.CodeBadRequest, "%v", err)
	}
	return signal.AsError(err)
}
