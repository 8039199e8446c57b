package loadgen

import (
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/uplink"
)

// handle takes what a coordinator says.
func (w *worker) handle(l *uplink.Link, e signal.Envelope) error {
	switch e.Type {
	case signal.TypeReserve, signal.TypeCancel, signal.TypeQueue:
		return w.handlePlace(l, e)
	case signal.TypeWant:
		w.tellLibrary(l)
		return nil
	case signal.TypeStart:
		return w.start(l, e)
	case signal.TypeOffer:
		return w.offer(l, e)
	case signal.TypeLeave:
		w.end(e.Session)
		return nil
	case signal.TypeResume:
		if w.find(e.Session) == nil {
			l.Send(signal.TypeClosed, "", e.Session, signal.Closed{Reason: "the session has ended"})
		}
		return nil
	case signal.TypeCandidate, signal.TypeError:
		return nil
	}
	return w.handleAdmin(l, e)
}

// handlePlace takes what is about places and who waits for them.
func (w *worker) handlePlace(l *uplink.Link, e signal.Envelope) error {
	switch e.Type {
	case signal.TypeReserve:
		r, err := signal.Read[signal.Reserve](e)
		if err != nil {
			return err
		}
		w.decide(func(d *desk, now time.Time) { d.Reserve(now, l, e.ID, r) })
	case signal.TypeCancel:
		c, err := signal.Read[signal.Cancel](e)
		if err != nil {
			return err
		}
		w.decide(func(d *desk, now time.Time) { d.Cancel(now, l, c.Ticket) })
	case signal.TypeQueue:
		q, err := signal.Read[signal.Queue](e)
		if err != nil {
			return err
		}
		w.keeper.PassOn(l, q)
	}
	return nil
}

// start opens a room and answers, at once or when media is ready.
func (w *worker) start(l *uplink.Link, e signal.Envelope) error {
	start, err := signal.Read[signal.Start](e)
	if err != nil {
		return err
	}
	w.end(e.Session) // a start that is asked for anew begins anew
	s, err := w.open(e.Session, start)
	if err != nil {
		return err
	}
	if isCanned(start.SDP) {
		w.answer(l, e, s, w.fleet.canned)
		return nil
	}
	w.media.Go(func() {
		send, sdp, err := newSender(start.SDP)
		if err != nil {
			w.end(e.Session)
			l.Send(signal.TypeError, e.ID, e.Session, signal.AsError(err))
			return
		}
		w.mu.Lock()
		there := w.sessions[e.Session] == s
		if there {
			s.send = send
		}
		w.mu.Unlock()
		if !there {
			send.close()
			return
		}
		w.answer(l, e, s, sdp)
	})
	return nil
}

func (w *worker) answer(l *uplink.Link, e signal.Envelope, s *session, sdp string) {
	game := w.shelf.byID[s.game]
	l.Send(signal.TypeAnswer, e.ID, e.Session, signal.Answer{
		SDP: sdp, Room: s.room, Game: s.game, Title: game.Title, System: game.System, Player: 1, Seats: max(1, game.Players),
	})
}

// offer answers an ICE restart of a page without media.
func (w *worker) offer(l *uplink.Link, e signal.Envelope) error {
	s := w.find(e.Session)
	if s == nil {
		return signal.Errorf(signal.CodeNotFound, "the session has ended")
	}
	w.answer(l, e, s, w.fleet.canned)
	return nil
}

// handleAdmin takes what admins and hosts ask for, so that /admin works with
// simulated workers too.
func (w *worker) handleAdmin(l *uplink.Link, e signal.Envelope) error {
	switch e.Type {
	case signal.TypeList:
		l.Send(signal.TypeSessions, e.ID, "", w.list())
		return nil
	case signal.TypeDrain:
		d, err := signal.Read[signal.Drain](e)
		if err != nil {
			return err
		}
		w.decide(func(desk *desk, now time.Time) { desk.Drain(now, !d.Off) })
		return nil
	case signal.TypeEnd:
		end, err := signal.Read[signal.End](e)
		if err != nil {
			return err
		}
		if !w.evict(l, end) {
			return signal.Errorf(signal.CodeNotFound, "there is nothing to end")
		}
		l.Send(signal.TypeDone, e.ID, e.Session, nil)
		return nil
	}
	return signal.Errorf(signal.CodeBadRequest, "a simulated worker does not do that")
}

// evict ends a session or a room, and tells its page by the link it was asked by.
func (w *worker) evict(l *uplink.Link, end signal.End) bool {
	id := end.Session
	if end.Room != "" {
		id = w.inRoom(end.Room)
	}
	if !w.end(id) {
		return false
	}
	l.Send(signal.TypeClosed, "", id, signal.Closed{Reason: end.Reason})
	return true
}

func (w *worker) list() signal.Sessions {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out signal.Sessions
	for id, s := range w.sessions {
		out.Sessions = append(out.Sessions, signal.SessionInfo{
			ID: id, Room: s.room, Game: s.game, Player: 1, Hosting: true, Since: s.since.UnixMilli(),
		})
	}
	return out
}
