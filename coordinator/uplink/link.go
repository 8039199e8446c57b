package uplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// queueLength is how many messages wait to be written; overflow: the link is cut.
const queueLength = 1024

// keptBuffer is what a link keeps for reading from one message to the next, in bytes.
const keptBuffer = 64 << 10

// Errors by which a link ends.
var (
	errSlow  = errors.New("the coordinator reads too slowly")
	errLeave = errors.New("we are going")
)

// Link is one connection to one coordinator. It is never used again after it
// ended. Its methods may be called from any goroutine and do not block.
type Link struct {
	keeper      *Keeper
	coordinator string
	endpoint    discovery.Endpoint
	conn        *websocket.Conn
	up          atomic.Bool
	queue       chan item
	slow        chan struct{} // an item did not fit; capacity 1

	mu      sync.Mutex
	pending map[string]func() (signal.Type, any) // announcements in the queue
}

// item is something to write: a message, or the key of an announcement.
type item struct {
	data []byte // nil = an announcement
	key  string
}

func newLink(k *Keeper, coordinator string, endpoint discovery.Endpoint, conn *websocket.Conn) *Link {
	return &Link{
		keeper: k, coordinator: coordinator, endpoint: endpoint, conn: conn,
		queue: make(chan item, queueLength), slow: make(chan struct{}, 1), pending: map[string]func() (signal.Type, any){},
	}
}

// Coordinator is the id of the coordinator's process, from its Challenge.
func (l *Link) Coordinator() string { return l.coordinator }

// Endpoint is where the coordinator was found.
func (l *Link) Endpoint() discovery.Endpoint { return l.endpoint }

// Send queues a message and says whether it did: not if the link is down, or
// going down. Messages and announcements are written in the order in which they
// were queued. If the queue is full the link is cut: nothing is left out.
func (l *Link) Send(t signal.Type, id, session string, payload any) bool {
	if !l.up.Load() {
		return false
	}
	data, err := encode(t, id, session, payload)
	if err != nil {
		l.keeper.log.Error("message cannot be sent", "type", t, "error", err)
		return false
	}
	return l.push(item{data: data})
}

// Announce queues a message that is made when it is written. While it waits,
// another with the same key replaces it in its place. If make answers the type
// "" nothing is written. make must not block.
func (l *Link) Announce(key string, make func() (signal.Type, any)) {
	l.mu.Lock()
	_, queued := l.pending[key]
	l.pending[key] = make
	l.mu.Unlock()
	if !queued {
		l.push(item{key: key})
	}
}

func (l *Link) push(i item) bool {
	select {
	case l.queue <- i:
		return true
	default:
		mark(l.slow)
		_ = l.conn.Close() // the writer may be stuck in a write
		return false
	}
}

// serve carries messages until the connection or ctx ends.
func (l *Link) serve(ctx context.Context, accepted signal.Accepted) error {
	l.conn.SetPongHandler(func(string) error { return l.extend() })
	l.conn.SetPingHandler(func(text string) error {
		_ = l.conn.WriteControl(websocket.PongMessage, []byte(text), time.Now().Add(time.Second)) // the writer will tell
		return l.extend()
	})
	// However deaf the coordinator is, the end takes no longer than this.
	limit := time.AfterFunc(time.Hour, func() { _ = l.conn.Close() })
	limit.Stop()
	defer limit.Stop()
	defer context.AfterFunc(ctx, func() { limit.Reset(l.keeper.times.flush + l.keeper.times.farewell) })()
	l.up.Store(true)
	read := make(chan struct{})
	wrote := make(chan error, 1)
	go func() { wrote <- l.writeLoop(ctx, read) }()
	if l.keeper.role.Joined != nil {
		l.keeper.role.Joined(l, accepted)
	}
	err := l.readLoop(ctx)
	l.up.Store(false)
	close(read)
	if cause := <-wrote; cause != nil {
		err = cause // it was first: the reader ends with the connection
	}
	if l.keeper.role.Left != nil {
		l.keeper.role.Left(l)
	}
	return err
}

func (l *Link) extend() error {
	return l.conn.SetReadDeadline(time.Now().Add(l.keeper.times.silence))
}

// readLoop hands over what the coordinator says. Once we are going it only
// waits for the end.
func (l *Link) readLoop(ctx context.Context) error {
	var buf bytes.Buffer
	for {
		if err := l.readMessage(&buf); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return fmt.Errorf("nothing was heard for %v: %w", l.keeper.times.silence, err)
			}
			return fmt.Errorf("read: %w", err)
		}
		if ctx.Err() != nil {
			continue
		}
		e, err := signal.Decode(buf.Bytes(), signal.MaxInternal)
		if err == nil {
			err = l.keeper.role.Message(l, e)
		}
		if err != nil && e.Type != signal.TypeError { // two must not answer one another for ever
			l.Send(signal.TypeError, e.ID, e.Session, signal.AsError(err))
		}
		if buf.Cap() > keptBuffer {
			buf = bytes.Buffer{}
		}
	}
}

// readMessage reads one message into buf. Each piece of it is a sign of life:
// a long one may take its time.
func (l *Link) readMessage(buf *bytes.Buffer) error {
	buf.Reset()
	if err := l.extend(); err != nil {
		return err
	}
	_, r, err := l.conn.NextReader()
	if err != nil {
		return err
	}
	_, err = buf.ReadFrom(alive{l, r})
	return err
}

// alive is a reader that extends the deadline with each piece.
type alive struct {
	link *Link
	r    io.Reader
}

func (a alive) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if n > 0 {
		_ = a.link.extend() // the next read tells
	}
	return n, err
}

// writeLoop writes what is queued and pings. It closes the connection, which
// ends the reading side; read is closed when that has ended. Its error is nil
// if the reader was first.
func (l *Link) writeLoop(ctx context.Context, read <-chan struct{}) error {
	defer func() { _ = l.conn.Close() }()
	ping := time.NewTicker(l.keeper.times.ping)
	defer ping.Stop()
	for {
		select {
		case <-l.slow:
			return errSlow
		default:
		}
		select {
		case i := <-l.queue:
			if err := l.writeItem(i, l.keeper.times.silence); err != nil {
				return l.why(err)
			}
		case <-ping.C:
			if err := l.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(l.keeper.times.silence)); err != nil {
				return l.why(fmt.Errorf("ping: %w", err))
			}
		case <-l.slow:
			return errSlow
		case <-read:
			return l.why(nil)
		case <-ctx.Done():
			l.up.Store(false)
			l.goodbye(read)
			return errLeave
		}
	}
}

// why is the cause of an end, err if nothing else: push may have closed the
// connection.
func (l *Link) why(err error) error {
	select {
	case <-l.slow:
		return errSlow
	default:
		return err
	}
}

// writeItem writes a message, or makes and writes an announcement.
func (l *Link) writeItem(i item, within time.Duration) error {
	if i.data == nil {
		l.mu.Lock()
		make := l.pending[i.key]
		delete(l.pending, i.key)
		l.mu.Unlock()
		t, payload := make()
		if t == "" {
			return nil
		}
		data, err := encode(t, "", "", payload)
		if err != nil {
			l.keeper.log.Error("announcement cannot be sent", "type", t, "error", err)
			return nil
		}
		i.data = data
	}
	return write(l.conn, i.data, within)
}

// goodbye writes what is still queued, closes in form, and waits a moment for
// the coordinator to have read it: a connection closed with something unread in
// it is reset, and what we wrote is lost.
func (l *Link) goodbye(read <-chan struct{}) {
	end := time.Now().Add(l.keeper.times.flush)
	for len(l.queue) > 0 {
		if l.writeItem(<-l.queue, time.Until(end)) != nil {
			return
		}
	}
	frame := websocket.FormatCloseMessage(websocket.CloseGoingAway, "going down")
	if l.conn.WriteControl(websocket.CloseMessage, frame, end) != nil {
		return
	}
	patience := time.NewTimer(l.keeper.times.farewell)
	defer patience.Stop()
	select {
	case <-read:
	case <-patience.C:
	}
}
