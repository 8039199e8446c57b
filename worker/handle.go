package worker

import (
	"cmp"
	"slices"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/uplink"
	"github.com/cloudretro/cloudretro/worker/admission"
	"github.com/cloudretro/cloudretro/worker/room"
)

// handle takes one message of a coordinator. An error goes back to it.
func (w *Worker) handle(l *uplink.Link, e signal.Envelope) error {
	switch e.Type {
	case signal.TypeStart, signal.TypeJoin, signal.TypeOffer, signal.TypeCandidate, signal.TypeLeave, signal.TypeResume:
		return w.handleSession(l, e)
	case signal.TypeReserve, signal.TypeCancel, signal.TypeQueue:
		return w.handlePlace(l, e)
	case signal.TypeList, signal.TypeEnd, signal.TypeDrain, signal.TypeInvite, signal.TypeRevoke:
		return w.handleAdmin(l, e)
	case signal.TypeWant:
		w.announceLibrary(l, nil)
		return nil
	case signal.TypeError:
		w.log.Debug("coordinator reports an error", "coordinator", l.Coordinator(), "data", signal.Clip(string(e.Data)))
		return nil
	}
	return signal.Errorf(signal.CodeBadRequest, "a coordinator does not send %q to a worker", e.Type)
}

// handleSession takes what is about one browser.
func (w *Worker) handleSession(l *uplink.Link, e signal.Envelope) error {
	if e.Session == "" {
		return signal.Errorf(signal.CodeBadRequest, "%s lacks a session", e.Type)
	}
	switch e.Type {
	case signal.TypeJoin:
		join, err := signal.Read[signal.Join](e)
		if err != nil {
			return err
		}
		if err := w.rooms.comeBack(join.Room); err != nil {
			return err
		}
		return w.sessions.start(w, l, e)
	case signal.TypeStart:
		return w.sessions.start(w, l, e)
	}
	s := w.sessions.find(e.Session)
	switch {
	case s != nil && s.heeds(l, e.Type):
		return s.post(e)
	case s != nil:
		return nil
	case e.Type == signal.TypeResume:
		l.Send(signal.TypeClosed, "", e.Session, signal.Closed{Reason: "the session has ended"})
		return nil
	case e.Type == signal.TypeOffer:
		return signal.Errorf(signal.CodeNotFound, "the session has ended")
	}
	return nil // a candidate or a leave that crossed the end
}

// handlePlace takes what is about places and who waits for them.
func (w *Worker) handlePlace(l *uplink.Link, e signal.Envelope) error {
	switch e.Type {
	case signal.TypeReserve:
		r, err := signal.Read[signal.Reserve](e)
		if err != nil {
			return err
		}
		w.rooms.decide(func(d *desk, now time.Time) { d.Reserve(now, l, e.ID, r) })
	case signal.TypeCancel:
		c, err := signal.Read[signal.Cancel](e)
		if err != nil {
			return err
		}
		w.rooms.decide(func(d *desk, now time.Time) { d.Cancel(now, l, c.Ticket) })
	case signal.TypeQueue:
		q, err := signal.Read[signal.Queue](e)
		if err != nil {
			return err
		}
		w.keeper.PassOn(l, q)
	}
	return nil
}

// deliver tells what the desk has decided. A link that is down hears nothing:
// what it asked for ends with it, or runs out.
func deliver(a admission.Answer[*uplink.Link]) {
	if a.Err != nil {
		a.To.Send(signal.TypeError, a.ID, "", a.Err)
		return
	}
	seconds := max(1, int(a.Hold/time.Second))
	a.To.Send(signal.TypeReserved, a.ID, "", signal.Reserved{Ticket: a.Ticket, Seconds: seconds})
}

// handleAdmin takes what admins and hosts ask for.
func (w *Worker) handleAdmin(l *uplink.Link, e signal.Envelope) error {
	switch e.Type {
	case signal.TypeList:
		l.Send(signal.TypeSessions, e.ID, "", w.sessions.list())
	case signal.TypeDrain:
		d, err := signal.Read[signal.Drain](e)
		if err != nil {
			return err
		}
		w.log.Info("drain", "off", d.Off, "coordinator", l.Coordinator())
		w.rooms.drain(!d.Off)
	case signal.TypeEnd:
		end, err := signal.Read[signal.End](e)
		if err != nil {
			return err
		}
		if err := w.end(end); err != nil {
			return err
		}
		l.Send(signal.TypeDone, e.ID, e.Session, nil)
	case signal.TypeInvite, signal.TypeRevoke:
		return w.handleInvite(l, e)
	}
	return nil
}

// handleInvite hands an invitation, or the end of one, to its room.
func (w *Worker) handleInvite(l *uplink.Link, e signal.Envelope) error {
	if e.Type == signal.TypeRevoke {
		revoke, err := signal.Read[signal.Revoke](e)
		if err != nil {
			return err
		}
		r, err := w.room(revoke.Room)
		if err != nil {
			return err
		}
		if err := r.Revoke(revoke); err != nil {
			return asError(err)
		}
		l.Send(signal.TypeDone, e.ID, e.Session, nil)
		return nil
	}
	invite, err := signal.Read[signal.Invite](e)
	if err != nil {
		return err
	}
	r, err := w.room(invite.Room)
	if err != nil {
		return err
	}
	invited, err := r.Invite(invite)
	if err != nil {
		return asError(err)
	}
	l.Send(signal.TypeInvited, e.ID, e.Session, invited)
	return nil
}

// room is the one with an id, or an error for whoever asked.
func (w *Worker) room(id string) (*room.Room, error) {
	if r := w.rooms.find(id); r != nil {
		return r, nil
	}
	return nil, signal.Errorf(signal.CodeNotFound, "the room does not exist, or has ended")
}

// end ends a session or a room.
func (w *Worker) end(end signal.End) error {
	reason := cmp.Or(end.Reason, "an administrator has ended it")
	if end.Session != "" {
		if !w.sessions.end(end.Session, reason, "") {
			return signal.Errorf(signal.CodeNotFound, "the session does not exist, or has ended")
		}
		return nil
	}
	r, err := w.room(end.Room)
	if err != nil {
		return err
	}
	r.End(reason)
	return nil
}

// list is the sessions that have a place, the oldest first, and how many there
// are if not all of them are listed.
func (t *sessions) list() signal.Sessions {
	t.mu.Lock()
	list := make([]signal.SessionInfo, 0, len(t.byID))
	for _, s := range t.byID {
		if i := s.info(); i.Room != "" {
			list = append(list, i)
		}
	}
	t.mu.Unlock()
	slices.SortFunc(list, func(a, b signal.SessionInfo) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.ID, b.ID))
	})
	if len(list) > signal.MaxListed {
		return signal.Sessions{Sessions: list[:signal.MaxListed], Total: len(list)}
	}
	return signal.Sessions{Sessions: list}
}
