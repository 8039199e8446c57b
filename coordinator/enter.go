package coordinator

import (
	"context"
	"errors"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// start asks for a place and a game in it, or takes the place that was granted.
func (b *browser) start(ctx context.Context, e signal.Envelope) error {
	start, err := signal.Read[signal.Start](e)
	if err != nil {
		return err
	}
	start.Host, start.User = b.host, b.user
	c, s, one := b.c, b.session, wish{start.Game, start.Zone}
	r := request{id: e.ID, kind: e.Type, payload: start, check: func(a signal.Answer) error {
		if a.Game != start.Game {
			return signal.Errorf(signal.CodeFailed, "the worker started %q instead of %q", a.Game, start.Game)
		}
		return nil
	}}
	if start.Ticket == "" {
		held, ok := c.queue.again(s, one, e.ID, start.SDP != "")
		if ok && held == "" {
			return nil
		}
		start.Ticket = held
	}
	if start.Ticket != "" {
		return b.redeem(ctx, start.Ticket, start.SDP, r)
	}
	since := c.sessions.since(s, start.Game)
	workers, err := c.registry.candidates(start.Game, start.Zone, start.Latencies)
	if err != nil && since == 0 && !c.registry.expects(time.Now()) {
		return err
	}
	if err := b.charge(1); err != nil {
		return err
	}
	if err := c.sessions.begin(s, true); err != nil {
		return err
	}
	if since == 0 {
		since = time.Now().UnixMilli()
	}
	id, _ := c.sessions.hello(s)
	t := c.queue.ticket(s, id, start, since, b.from)
	if c.mustWait(t, workers) {
		c.wait(ctx, s, t, r.id)
		return nil
	}
	c.requests.Go(func() { c.start(ctx, s, t, r, workers) })
	return nil
}

// redeem starts the game at the place that was granted to the page.
func (b *browser) redeem(ctx context.Context, ticket, sdp string, r request) error {
	if sdp == "" {
		return signal.Errorf(signal.CodeBadRequest, "a place is taken with an offer, the sdp is missing")
	}
	s := b.session
	start, _ := r.payload.(signal.Start)
	t, err := b.c.queue.take(s, ticket, start.Game)
	if err != nil {
		return err
	}
	if err := b.c.sessions.begin(s, true); err != nil {
		t.worker.post(signal.TypeCancel, "", signal.Cancel{Ticket: t.id})
		return err
	}
	b.c.requests.Go(func() { b.c.redeem(ctx, s, t, r) })
	return nil
}

// join enters a room that runs.
func (b *browser) join(ctx context.Context, e signal.Envelope) error {
	join, err := signal.Read[signal.Join](e)
	if err != nil {
		return err
	}
	if err := b.charge(joinCost); err != nil {
		return err
	}
	if join.Replaces, err = b.replaces(join); err != nil {
		return err
	}
	if err := b.checkInvite(join); err != nil {
		return err
	}
	worker, err := b.c.registry.forRoom(join.Room)
	if err != nil {
		return err
	}
	join.Host, join.User, join.Token = b.host, b.user, ""
	if err := b.c.sessions.begin(b.session, true); err != nil {
		return err
	}
	s := b.session
	r := request{id: e.ID, kind: e.Type, payload: join, check: func(a signal.Answer) error {
		if a.Room != join.Room {
			return signal.Errorf(signal.CodeFailed, "the worker answered with another room")
		}
		return nil
	}}
	b.c.requests.Go(func() { b.c.enterRoom(ctx, s, worker, r) })
	return nil
}

// introduced says whether a stranger goes back into a room with the token of a
// session that somebody had there who was signed in. It lets them in as a Resume
// with the same token would, if the session had not ended.
func (b *browser) introduced(e signal.Envelope) bool {
	if e.Type != signal.TypeJoin {
		return false
	}
	join, err := signal.Read[signal.Join](e)
	if err != nil || join.Token == "" {
		return false
	}
	token, err := b.c.verify(join.Token)
	if err != nil || token.User == nil || token.Room == "" || token.Room != join.Room {
		return false
	}
	b.user, b.stranger = token.User, false
	b.c.sessions.introduce(b.session, token.User)
	return true
}

// checkInvite refuses at the door who comes by an invitation that is forged, has
// expired or is for another room. Whether it was used or revoked the worker
// knows, and by whose clock it was made: in doubt it is the worker that refuses.
func (b *browser) checkInvite(join signal.Join) error {
	if join.Invite == "" {
		return nil
	}
	i, err := signal.VerifyInvite(signal.InviteKey(b.c.cfg.Secret, join.Room), join.Invite, time.Now().Add(-clockSkew))
	if err == nil && i.Room != join.Room {
		err = signal.ErrInviteInvalid
	}
	return err
}

// replaces is the session in the same room whose seat a join takes over, "" for
// none. A token that has expired takes nothing over, and is no reason to keep its
// owner out.
func (b *browser) replaces(join signal.Join) (string, error) {
	if join.Token == "" {
		return "", nil
	}
	token, err := b.c.verify(join.Token)
	switch {
	case errors.Is(err, signal.ErrTokenExpired):
		b.c.stats.refuse("expired")
		return "", nil
	case err != nil:
		b.c.stats.refuse("token")
		return "", signal.Errorf(signal.CodeDenied, "%v; enter the room without it", err)
	case token.Room != join.Room:
		return "", signal.Errorf(signal.CodeDenied, "the session token is of another room")
	case b.isAnother(token.User):
		return "", signal.Errorf(signal.CodeDenied, "the session token is of somebody else")
	}
	return token.ID, nil
}

// verify is signal.VerifyToken for what another coordinator may have made: by
// another clock or, which the log then says, with another secret.
func (c *Coordinator) verify(token string) (signal.Session, error) {
	now := time.Now()
	s, err := signal.VerifyToken(c.cfg.SessionSecret, token, now.Add(-clockSkew))
	if errors.Is(err, signal.ErrTokenInvalid) && c.seldom.may("token", now) {
		c.log.Warn("session token refused; do all coordinators have the same secrets.session and secrets.worker?", "cause", err, "quietFor", seldomPeriod)
	}
	return s, err
}

// isAnother says whether a token's user is not who is signed in here.
func (b *browser) isAnother(user *signal.User) bool {
	return user != nil && b.user != nil && user.ID != b.user.ID
}

// charge takes a start or join from the budget of the page's address.
func (b *browser) charge(cost float64) error {
	if b.c.budgets.take(b.from, cost, time.Now()) {
		return nil
	}
	b.c.stats.refuse("starts")
	return signal.Errorf(signal.CodeFull, "too many games were started from your address; wait a few seconds and try again")
}

// resume takes up a session that lost its socket. One that this coordinator
// does not know (it was restarted, or it is another replica) is made again as
// soon as its worker is connected. Later messages wait meanwhile.
func (b *browser) resume(ctx context.Context, e signal.Envelope) error {
	resume, err := signal.Read[signal.Resume](e)
	if err != nil {
		return err
	}
	token, err := b.c.verify(resume.Token)
	if err != nil {
		b.c.stats.refuse("token")
		return signal.Errorf(signal.CodeDenied, "%v; start again from the menu", err)
	}
	if b.isAnother(token.User) {
		return signal.Errorf(signal.CodeDenied, "the session token is of somebody else; start again from the menu")
	}
	if b.stranger && token.User == nil {
		return signal.Errorf(signal.CodeSignIn, "sign in first")
	}
	if token.Worker != "" && !b.c.sessions.knows(token.ID) && !b.awaitWorker(ctx, token.Worker) {
		return signal.Errorf(signal.CodeNoWorker, "the worker of this session is not connected; a picture that still moves is not affected")
	}
	s, err := b.c.sessions.resume(b.session, e.ID, token, b.sock)
	if err != nil {
		return err
	}
	if b.session, b.stranger = s, false; b.user == nil {
		b.user = token.User
	}
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
