package room

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/peer/input"
	"github.com/cloudretro/cloudretro/worker/send"
)

// viewer is a browser, as package peer makes it. All of it may be called from
// any goroutine and nothing but Run blocks.
type viewer interface {
	stream
	Run(ctx context.Context) error
	Control(message []byte)
}

type stream interface {
	Profile() media.Profile
	Viewer() *send.Viewer // not nil
}

var _ viewer = (*peer.Peer)(nil)

// What a page may say on channel `control` per second, and how often it is
// told of what it does wrong.
const (
	talkRate     = 10 // messages a second
	talkBurst    = 30
	complainEach = time.Second
)

// Member is one place at a room: a browser with a seat, or one that watches.
// Reserve makes it, Attach fills it, Release gives it back.
type Member struct {
	room *Room
	user *signal.User
	ctx  context.Context // ends when the member must go
	stop context.CancelFunc

	// Of the room's goroutine only.
	pass    *pass // nil once nothing waits for it
	viewer  viewer
	left    func(Leave)
	hopes   bool  // for a seat that is kept for somebody
	leaving bool  // it is out of the room's life, its browser may still be closing
	why     Leave // of leaving

	mu        sync.Mutex // guards what follows: input arrives beside the room's goroutine
	status    Status
	muted     bool
	keeper    input.Keeper
	deadMan   *time.Timer
	talk      bucket
	complaint time.Time
}

// Status is what a member is just now.
type Status struct {
	Player int  // its seat, 0 = watches
	Host   bool // it is the host of the room
	Away   bool // the connection to it is lost, its place is held
}

func newMember(r *Room, p *pass, seat int) *Member {
	m := &Member{room: r, user: p.user, pass: p, status: Status{Player: seat}, talk: bucket{level: talkBurst}}
	m.ctx, m.stop = context.WithCancel(context.Background())
	return m
}

// Player is the seat of the member now, 0 if it watches.
func (m *Member) Player() int { return m.Status().Player }

// Status is what the member is now.
func (m *Member) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

// User is who the member belongs to, nil if nobody is signed in.
func (m *Member) User() *signal.User { return m.user }

// Events are what the member's peer must be opened with.
func (m *Member) Events() peer.Events {
	ready := func() {
		m.room.played.Store(true)
		m.setAway(false)
		m.room.keys.Request()
	}
	return peer.Events{
		Ready: ready, Lost: func() { m.setAway(true) }, KeyFrame: m.room.keys.Request, Input: m.input, Control: m.control,
	}
}

// Leave says how a member's browser left.
type Leave struct {
	Reason string      // for people
	Code   signal.Code // as in signal.Closed
	// Again means that the member keeps its place: the browser did not get as far
	// as a connection for want of a cipher in common (peer.ErrSRTP). Attach may be
	// called with another peer of it; otherwise Release must be.
	Again bool
}

// Attach gives the member its browser, which the room runs from now on. When it
// is gone, for whatever reason, left is called from the room's goroutine; it must
// not block. It is called once, but after a Leave with Again once more. If the
// room has ended meanwhile, ErrClosed comes back, if the member had to go, why;
// then the browser still belongs to the caller.
func (m *Member) Attach(v viewer, left func(Leave)) error {
	var refused error
	err := m.room.do(func() {
		switch {
		case m.room.why != nil:
			refused = m.room.closed()
		case m.leaving:
			refused = signal.Errorf(cmp.Or(m.why.Code, signal.CodeNotFound), "%s", m.why.Reason)
		default:
			m.room.attach(m, v, left)
		}
	})
	return errors.Join(err, refused)
}

// Release frees the place of a member that got no browser, or makes an attached
// one leave. Its seat is free at once for who asks for it; if nobody does, it
// waits for a moment: it may be a page that is being loaded anew. An invitation
// by which nobody got in is good again. It may be called more than once.
func (m *Member) Release() {
	_ = m.room.do(func() { m.room.dismiss(m, Leave{Reason: "the session ended"}, kept) })
}

// input takes a datagram of the browser: its states go, in order, to the port
// of its seat and to no other.
func (m *Member) input(b []byte) {
	var d input.Datagram
	if d.Decode(b) != nil {
		m.complain(signal.Errorf(signal.CodeBadRequest, "malformed datagram of %d bytes on channel input", len(b)), nil)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.status.Player == 0 || m.muted {
		return
	}
	m.keeper.Apply(&d, time.Now(), m.press)
	if _, held := m.keeper.Deadline(); !held {
		if m.deadMan != nil {
			m.deadMan.Stop()
		}
		return
	}
	if m.deadMan == nil {
		m.deadMan = time.AfterFunc(input.DeadMan, m.silent)
		return
	}
	m.deadMan.Reset(input.DeadMan)
}

// press hands a state to the engine. With m.mu held.
func (m *Member) press(s input.State) { m.room.setPad(m.status.Player-1, engine.Pad(s)) }

// letGo gives up all that is held on the seat. With m.mu held.
func (m *Member) letGo() {
	if m.deadMan != nil {
		m.deadMan.Stop()
	}
	if m.status.Player != 0 {
		m.press(input.State{})
		m.keeper.Release()
	}
}

// silent runs when the browser said nothing for a while.
func (m *Member) silent() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keeper.Expire(time.Now()) && m.status.Player != 0 {
		m.press(input.State{})
	}
}

// sit moves the member to another seat and lets go of all it held on the old one.
func (m *Member) sit(seat int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.status.Player != seat {
		m.letGo()
	}
	m.status.Player = seat
}

// mute makes the room deaf to the member's input.
func (m *Member) mute(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if on && !m.muted {
		m.letGo()
	}
	m.muted = on
}

func (m *Member) isMuted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.muted
}

func (m *Member) setHosting(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status.Host = on
}

// setAway is told when the path to the browser is lost, and found again. What
// it held is let go of.
func (m *Member) setAway(on bool) {
	m.mu.Lock()
	same := m.status.Away == on
	m.status.Away = on
	if on && !same {
		m.letGo()
	}
	m.mu.Unlock()
	if !same {
		_ = m.room.do(m.room.tellSoon)
	}
}

// control takes a message of the page.
func (m *Member) control(b []byte) {
	if !m.mayTalk() {
		m.complain(signal.Errorf(signal.CodeBadRequest, "more than %d messages a second on channel control", talkRate), nil)
		return
	}
	q, err := decodeRequest(b, m.room.cfg.Seats)
	if err != nil {
		m.complain(signal.AsError(err), q.Ref)
		return
	}
	_ = m.room.do(func() { m.room.asked(m, q) })
}

func (m *Member) mayTalk() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.talk.take(time.Now())
}

// complain tells the page what it did wrong, at most once a second.
func (m *Member) complain(e *signal.Error, ref json.RawMessage) {
	m.mu.Lock()
	quiet := time.Since(m.complaint) < complainEach
	if !quiet {
		m.complaint = time.Now()
	}
	m.mu.Unlock()
	if quiet {
		return
	}
	_ = m.room.do(func() { m.tell(newError(e, ref)) })
}

// tell sends a message to the page. Of the room's goroutine.
func (m *Member) tell(message any) {
	if m.viewer != nil {
		m.viewer.Control(encode(message))
	}
}

// bucket is a token bucket of talkRate and talkBurst.
type bucket struct {
	level float64
	at    time.Time
}

func (b *bucket) take(now time.Time) bool {
	if !b.at.IsZero() {
		b.level = min(talkBurst, b.level+now.Sub(b.at).Seconds()*talkRate)
	}
	b.at = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}
