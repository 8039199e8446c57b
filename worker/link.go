package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Times and bounds of the connection to a coordinator.
const (
	dialTimeout  = 5 * time.Second
	handshake    = 10 * time.Second
	linkWrite    = 10 * time.Second
	linkPing     = 15 * time.Second
	linkPatience = 45 * time.Second // without a word: two pings of either side and some
	linkQueue    = 1024             // messages; overflow: the connection is cut
	backOffMin   = 200 * time.Millisecond
	backOffMax   = 10 * time.Second
)

// errSlow says that a coordinator does not read.
var errSlow = errors.New("the coordinator reads too slowly")

// link keeps a worker joined to one coordinator. send and the announcements
// may be called from any goroutine.
type link struct {
	worker *Worker
	url    string
	log    *slog.Logger

	out     chan []byte
	rooms   chan struct{} // the list has changed; capacity 1
	games   chan struct{} // the list has changed; capacity 1
	up      atomic.Bool
	slow    chan struct{} // a message did not fit; capacity 1
	dropped atomic.Uint64 // messages while no connection was up, or too many
}

func newLink(w *Worker, url string) *link {
	return &link{
		worker: w, url: url, log: w.log.With("coordinator", url), out: make(chan []byte, linkQueue),
		rooms: make(chan struct{}, 1), games: make(chan struct{}, 1), slow: make(chan struct{}, 1),
	}
}

func (l *link) joined() bool     { return l.up.Load() }
func (l *link) announceRooms()   { mark(l.rooms) }
func (l *link) announceLibrary() { mark(l.games) }

// mark notes that something is to be done; once is enough.
func mark(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func unmark(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// send queues a message. While the coordinator is away it is dropped: what
// matters is announced again when it is back.
func (l *link) send(t signal.Type, id, session string, payload any) {
	data, err := signal.Encode(t, id, session, payload)
	if err != nil {
		l.log.Error("message cannot be encoded", "type", t, "error", err)
		return
	}
	if !l.up.Load() {
		l.dropped.Add(1)
		return
	}
	select {
	case l.out <- data:
	default:
		l.dropped.Add(1)
		mark(l.slow)
	}
}

// run joins again and again until ctx ends, with a growing, jittered pause.
func (l *link) run(ctx context.Context) {
	pause := backOffMin
	for ctx.Err() == nil {
		joined, err := l.join(ctx)
		if ctx.Err() != nil {
			return
		}
		if joined {
			pause = backOffMin
		}
		wait := pause/2 + rand.N(pause)
		l.log.Warn("coordinator is not connected; games go on", "cause", err, "retry", wait)
		pause = min(2*pause, backOffMax)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// join connects once and serves the connection to its end. It says whether the
// coordinator accepted the worker.
func (l *link) join(ctx context.Context) (joined bool, err error) {
	dialer := websocket.Dialer{HandshakeTimeout: dialTimeout}
	conn, response, err := dialer.DialContext(ctx, l.url, nil)
	if err != nil {
		if response != nil {
			err = fmt.Errorf("%w (%s)", err, response.Status)
		}
		return false, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	conn.SetReadLimit(signal.MaxInternal)
	if err := l.introduce(conn); err != nil {
		return false, err
	}
	stop() // from here on the end is one in form
	l.log.Info("coordinator joined")
	return true, l.serve(ctx, conn)
}

// introduce shakes hands: challenge, register, accepted.
func (l *link) introduce(conn *websocket.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(handshake)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	e, err := receive(conn)
	if err != nil {
		return err
	}
	if e.Type != signal.TypeChallenge {
		return fmt.Errorf("it greets with %q, not with a challenge", e.Type)
	}
	challenge, err := signal.Read[signal.Challenge](e)
	if err != nil {
		return err
	}
	// What changes from here on is announced once more.
	unmark(l.rooms)
	unmark(l.games)
	data, err := signal.Encode(signal.TypeRegister, "", "", l.worker.register(challenge.Nonce))
	if err != nil {
		return err
	}
	if err := write(conn, data); err != nil {
		return err
	}
	if e, err = receive(conn); err != nil {
		return err
	}
	switch e.Type {
	case signal.TypeAccepted:
		return nil
	case signal.TypeError:
		refusal, err := signal.Read[signal.Error](e)
		if err != nil {
			return err
		}
		return fmt.Errorf("it refuses this worker: %w", &refusal)
	}
	return fmt.Errorf("it answers registration with %q", e.Type)
}

func receive(conn *websocket.Conn) (signal.Envelope, error) {
	_, data, err := conn.ReadMessage()
	if err != nil {
		return signal.Envelope{}, fmt.Errorf("read: %w", err)
	}
	return signal.Decode(data, signal.MaxInternal)
}

func write(conn *websocket.Conn, data []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(linkWrite)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if err := conn.WriteMessage(websocket.TextMessage, data); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// serve carries messages until the connection or ctx ends.
func (l *link) serve(ctx context.Context, conn *websocket.Conn) error {
	for len(l.out) > 0 { // of a connection that is gone
		<-l.out
		l.dropped.Add(1)
	}
	unmark(l.slow)
	l.up.Store(true)
	defer l.up.Store(false)
	extend := func(string) error { return conn.SetReadDeadline(time.Now().Add(linkPatience)) }
	conn.SetPongHandler(extend)
	conn.SetPingHandler(func(text string) error {
		_ = conn.WriteControl(websocket.PongMessage, []byte(text), time.Now().Add(linkWrite))
		return extend("")
	})
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.writeLoop(groupCtx, conn) })
	group.Go(func() error { return l.readLoop(conn, extend) })
	return group.Wait()
}

func (l *link) readLoop(conn *websocket.Conn, extend func(string) error) error {
	for {
		if err := extend(""); err != nil {
			return fmt.Errorf("set deadline: %w", err)
		}
		_, data, err := conn.ReadMessage()
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		e, err := signal.Decode(data, signal.MaxInternal)
		if err == nil {
			err = l.worker.handle(l, e)
		}
		if err != nil {
			l.send(signal.TypeError, e.ID, e.Session, signal.AsError(err))
		}
	}
}

// writeLoop writes what is queued and announced; it closes the connection,
// which ends the reading side.
func (l *link) writeLoop(ctx context.Context, conn *websocket.Conn) error {
	defer conn.Close()
	ping := time.NewTicker(linkPing)
	defer ping.Stop()
	for {
		if err := l.writeNext(ctx, conn, ping.C); err != nil {
			return err
		}
	}
}

func (l *link) writeNext(ctx context.Context, conn *websocket.Conn, ping <-chan time.Time) error {
	select {
	case data := <-l.out:
		return write(conn, data)
	case <-l.rooms:
		return l.announce(conn, signal.TypeRooms, signal.Rooms{Rooms: l.worker.rooms.list()})
	case <-l.games:
		return l.announce(conn, signal.TypeLibrary, signal.Library{Games: l.worker.library.Games()})
	case <-ping:
		return conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(linkWrite))
	case <-l.slow:
		return errSlow
	case <-ctx.Done():
		return l.goodbye(conn)
	}
}

func (l *link) announce(conn *websocket.Conn, t signal.Type, payload any) error {
	data, err := signal.Encode(t, "", "", payload)
	if err != nil {
		return err
	}
	return write(conn, data)
}

// goodbye writes what is still queued and closes in form.
func (l *link) goodbye(conn *websocket.Conn) error {
	for len(l.out) > 0 {
		if err := write(conn, <-l.out); err != nil {
			return err
		}
	}
	frame := websocket.FormatCloseMessage(websocket.CloseGoingAway, "the worker is going down")
	_ = conn.WriteControl(websocket.CloseMessage, frame, time.Now().Add(time.Second)) // it may be gone
	return context.Canceled
}
