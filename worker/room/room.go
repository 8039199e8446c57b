// Package room is one running game and its seats: the place where an engine and
// the browsers that play and watch meet.
//
// One goroutine, Run, owns the room's state; everything else sends it requests.
// Pictures and sound do not pass it: they go from the engine's goroutine to the
// room's send.Sender, which has a goroutine of its own.
package room

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// firstGrace is how long a room waits for its first member at least.
const firstGrace = 15 * time.Second

// DefaultMaxMembers is how many browsers a room takes if Config does not say.
const DefaultMaxMembers = 64

// Errors of Reserve and Attach.
var (
	ErrClosed = errors.New("the room has ended")
	ErrFull   = errors.New("the room is full")
)

// gameEngine is what plays the game, as package engine makes it. Nothing but
// Run and the stateKeeper blocks, and all of it may be called from any goroutine.
type gameEngine interface {
	encoder
	stateKeeper
	Run(ctx context.Context) error
	SetPad(port int, p engine.Pad)
}

type encoder interface {
	RequestKeyFrame()
	SetProfile(p media.Profile)
}

// stateKeeper is the one part of an engine whose methods block.
type stateKeeper interface {
	Save(ctx context.Context) ([]byte, error)
	Load(ctx context.Context, state []byte) error
}

var _ gameEngine = (*engine.Engine)(nil)

// Config is what a Room needs.
type Config struct {
	Logger *slog.Logger // required
	ID     string       // signal.ValidRoomID
	Game   signal.Game  // what is played
	Seats  int          // 0..signal.MaxPlayers; more makes no sense to the engine
	// Grace is how long the room outlives its last member.
	Grace      time.Duration
	Video      packetize.Codec // of the engine's pictures; 0 = H264
	Profile    media.Profile   // that the engine begins with
	Send       send.Config     // its Logger is replaced
	MaxMembers int             // 0 = DefaultMaxMembers
	InviteKey  string          // signs invitations, see signal.InviteKey; "" = none can be made
	// Changed is called from the room's goroutine when the numbers of players
	// or viewers, or Closed, may have changed; it must not block. May be nil.
	Changed func()
}

// Room is one running game. Its methods may be called from any goroutine.
type Room struct {
	cfg      Config
	log      *slog.Logger
	engine   gameEngine // set by Run before anything else happens
	keys     *keyGate
	sender   *send.Sender
	requests chan func()
	started  chan struct{}  // closed when engine is set
	done     chan struct{}  // closed when Run ends
	errands  errgroup.Group // saves and loads; Run waits for them

	players, viewers atomic.Int32
	idle             atomic.Pointer[time.Time] // see Idle, nil while it is not
	played           atomic.Bool               // somebody was connected
	shut             atomic.Bool               // see Closed

	// Of the room's goroutine only.
	members []*Member              // by arrival, with those on their way out
	seats   []*Member              // index = player - 1
	host    *Member                // nil while nobody is there
	persons int                    // who have been here so far
	past    []*pass                // of who left, the last one last
	banned  []string               // see Room.ban
	invites map[string]*invitation // by id
	profile media.Profile
	info    engine.Info
	known   bool // info is
	grace   *time.Timer
	hope    *time.Timer // see Room.expect
	news    *time.Timer // runs while pages are to be told of a change
	stale   bool        // they are
	told    time.Time   // when they were told
	quick   quickSave
	playing context.Context // ends with the engine
	ends    time.Time       // see EndsBy
	why     *signal.Error   // the room ends, nil while it does not; not written after done is closed
}

// New makes a room; Run starts it with an engine that writes to Sink.
func New(cfg Config) *Room {
	if cfg.MaxMembers == 0 {
		cfg.MaxMembers = DefaultMaxMembers
	}
	if cfg.Video == 0 {
		cfg.Video = packetize.H264
	}
	cfg.Seats = max(0, min(cfg.Seats, signal.MaxPlayers, engine.Ports))
	r := &Room{
		cfg: cfg, log: cfg.Logger.With("room", cfg.ID), profile: cfg.Profile,
		requests: make(chan func()), started: make(chan struct{}), done: make(chan struct{}),
		seats: make([]*Member, cfg.Seats), invites: map[string]*invitation{},
	}
	r.keys = newKeyGate(func() { r.engine.RequestKeyFrame() })
	cfg.Send.Logger = r.log
	r.sender = send.New(cfg.Send)
	return r
}

// Sink is where the room's engine must write to.
func (r *Room) Sink() engine.Sink { return sink{r} }

// ID is the room's name.
func (r *Room) ID() string { return r.cfg.ID }

// Game is what is played.
func (r *Room) Game() signal.Game { return r.cfg.Game }

// Seats is how many can play.
func (r *Room) Seats() int { return r.cfg.Seats }

// Count is how many play and how many watch.
func (r *Room) Count() (players, viewers int) {
	return int(r.players.Load()), int(r.viewers.Load())
}

// Idle is since when the room has been left by its last member, long ago if none
// of them was ever connected; false while somebody is there, and before anybody was.
func (r *Room) Idle() (since time.Time, ok bool) {
	if t := r.idle.Load(); t != nil {
		return *t, true
	}
	return time.Time{}, false
}

// Run plays until the last member is gone for longer than the grace time or ctx
// ends (nil; its cause, if it is a *signal.Error, is what members are told), or the engine gives up (its error). All members have left and
// the engine has ended when it returns. It is called once.
func (r *Room) Run(ctx context.Context, e gameEngine) error {
	r.engine = e
	close(r.started)
	defer func() { _ = r.errands.Wait() }() // they return nil, once done is closed
	defer close(r.done)
	defer r.keys.Close()
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngine()
	r.playing = engineCtx
	ended := make(chan error, 1)
	go func() { ended <- e.Run(engineCtx) }()
	stopSending := r.send(ctx)
	defer stopSending()
	r.grace = time.NewTimer(max(r.cfg.Grace, firstGrace))
	defer r.grace.Stop()
	r.hope, r.news = time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer r.hope.Stop()
	defer r.news.Stop()

	var result error
	playing, cancelled := true, ctx.Done()
	for playing || len(r.members) > 0 {
		select {
		case request := <-r.requests:
			request()
		case err := <-ended:
			playing = false
			if result = err; err != nil && r.why == nil {
				r.close(signal.Errorf(signal.CodeFailed, "the game ended: %v", err))
			}
			r.close(signal.Errorf(signal.CodeFailed, "the game ended"))
		case <-r.news.C:
			r.announce()
		case <-r.hope.C:
			r.fulfil()
		case <-r.grace.C:
			if len(r.members) == 0 {
				r.close(signal.Errorf(signal.CodeNotFound, "nobody is in the room"))
			}
		case <-cancelled:
			cancelled = nil
			r.close(why(ctx))
		}
		if r.why != nil && len(r.members) == 0 {
			stopEngine()
		}
	}
	return result
}

// send runs the sender beside the room until the returned function is called.
func (r *Room) send(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	group.Go(func() error { return r.sender.Run(ctx) })
	return func() {
		cancel()
		_ = group.Wait() // Run returns nil
	}
}

// why is what ended ctx, for people.
func why(ctx context.Context) *signal.Error {
	var e *signal.Error
	if errors.As(context.Cause(ctx), &e) {
		return e
	}
	return signal.Errorf(signal.CodeFailed, "the machine of this game is going down, to be updated or switched off")
}

// do runs request in the room's goroutine and waits for it; closed if the room
// has ended. It must not be called from that goroutine.
func (r *Room) do(request func()) error {
	finished := make(chan struct{})
	select {
	case r.requests <- func() { request(); close(finished) }:
		<-finished
		return nil
	case <-r.done:
		return r.closed()
	}
}

// closed is ErrClosed and, as a *signal.Error, why. Of the room's goroutine, or
// after its end.
func (r *Room) closed() error {
	if r.why == nil {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, r.why)
}

// setPad hands a pad to the engine. Members exist only after Run has started.
func (r *Room) setPad(port int, p engine.Pad) { r.engine.SetPad(port, p) }

// close makes the room end: everybody is told why and leaves.
func (r *Room) close(why *signal.Error) {
	if r.why != nil {
		return
	}
	r.why = why
	r.log.Info("room ends", "reason", why.Message)
	for _, m := range slices.Clone(r.members) {
		if m.viewer == nil {
			r.dismiss(m, Leave{}, 0) // it is told why the room ends
			continue
		}
		m.tell(newError(why, nil))
		m.stop()
	}
}
