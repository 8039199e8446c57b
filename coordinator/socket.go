package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Times and bounds of every WebSocket.
const (
	writeTimeout = 10 * time.Second
	flushTimeout = 2 * time.Second // for what is queued when a socket is closed
	maxDiscard   = 16 << 20        // bytes of one message that are read in order to refuse it
	controlRate  = 5               // pings and pongs a second that are taken
	controlBurst = 60
	lightMessage = 64 << 10 // bytes of one that costs next to nothing
)

// pace is how often a socket pings, and how long the other side may take.
type pace struct {
	ping     time.Duration
	patience time.Duration // nothing may come for so long: it answers two pings and some

	// Of a worker alone.
	silent  time.Duration // for which nothing may come for it still to be asked for a place
	reserve time.Duration // to answer whether it gives one
	manage  time.Duration // to answer who manages it
	library time.Duration // to give its library, before another worker is asked
}

// Close codes of our own (RFC 6455 7.4.2 leaves 4000-4999 to applications).
const closeReplaced = 4001 // another socket resumed the session

// errTooLarge says that a message was read to its end and thrown away.
var errTooLarge = errors.New("message is too large")

// errBinary says that a message was not text.
var errBinary = errors.New("message is binary")

// errHeavy says that there is no room for a message that is not light.
var errHeavy = errors.New("no room for a large message")

// errControl says that somebody does nothing but ping.
var errControl = errors.New("too many control frames")

// socket is one WebSocket with a bounded queue of messages to write. Whoever
// reads too slowly is cut when the queue is full or a write takes longer than
// writeTimeout: messages are never dropped one by one.
//
// send and cut may be called from any goroutine, read from one. There are very
// many sockets and most of them are idle: then there is no goroutine but the one
// that reads, and no buffer to write. What is queued, a ping that is due and the
// end are written by a goroutine that begins with the first of them and ends
// when nothing is left; it alone closes the connection in form.
type socket struct {
	conn  *websocket.Conn // nil in tests
	limit int             // bytes of a message that read takes
	room  int             // for messages to be written
	pace  pace
	done  chan struct{} // closed by cut
	heard atomic.Int64  // ns since 1970, when the other side was heard last

	// Of the goroutine that reads.
	control bucket
	heavy   func() bool // whether a message over lightMessage may be read now; nil = any may

	mu      sync.Mutex
	queue   [][]byte // to be written
	pinging bool     // a ping is to be written
	writing bool     // writeOut runs
	ended   bool     // cut was called: after what is queued, the end
	slow    bool     // nothing more is written
	closed  bool     // writeOut has written the end, or failed
	code    int      // why it ended
	text    string
	by      time.Time // until when to write what is queued at the end
	pings   *time.Timer
	writers sync.WaitGroup
}

func newSocket(conn *websocket.Conn, limit, room int, pace pace) *socket {
	now := time.Now()
	s := &socket{
		conn: conn, limit: limit, room: room, pace: pace, done: make(chan struct{}),
		control: *newBucket(controlRate, controlBurst, now),
	}
	conn.SetReadLimit(maxDiscard)
	pong := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { return errors.Join(s.hear(), pong(data)) })
	conn.SetPongHandler(func(string) error { return s.hear() })
	_ = s.extend()
	s.mu.Lock() // the timer may be quicker
	defer s.mu.Unlock()
	s.pings = time.AfterFunc(pace.ping, s.ping)
	return s
}

// serve lets run use the socket until it returns, or ctx ends. It returns after
// the socket's last goroutine ended.
func (s *socket) serve(ctx context.Context, run func(ctx context.Context, sock *socket)) {
	stop := context.AfterFunc(ctx, func() { s.cut(websocket.CloseGoingAway, "the coordinator is stopping") })
	defer stop()
	defer s.writers.Wait()
	defer s.cut(websocket.CloseNormalClosure, "")
	run(ctx, s)
}

func (s *socket) extend() error {
	now := time.Now()
	s.heard.Store(now.UnixNano())
	return s.conn.SetReadDeadline(now.Add(s.pace.patience))
}

// hear takes a ping or pong.
func (s *socket) hear() error {
	if !s.control.take(1, time.Now()) {
		return errControl
	}
	return s.extend()
}

// silent is for how long nothing has been heard, a pong least of all.
func (s *socket) silent(now time.Time) time.Duration { return now.Sub(time.Unix(0, s.heard.Load())) }

// isSilent says whether that is too long to ask it for anything.
func (s *socket) isSilent(now time.Time) bool { return s.silent(now) >= s.pace.silent }

// send queues a message, which must not change any more. If the queue is full
// the socket is cut at once. It does not block.
func (s *socket) send(data []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	if len(s.queue) >= s.room {
		s.slow = true
		s.end(websocket.ClosePolicyViolation, "reads too slowly")
		if s.conn != nil {
			_ = s.conn.Close() // the writer may be stuck in a write
		}
		return false
	}
	s.queue = append(s.queue, data)
	s.kick()
	return true
}

// cut ends the socket: what is queued is still written, then a close frame.
// Only the first call counts. It does not wait.
func (s *socket) cut(code int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(code, text)
}

// end is cut; s.mu is held.
func (s *socket) end(code int, text string) {
	if s.ended {
		return
	}
	s.ended, s.code, s.text, s.by = true, code, text, time.Now().Add(flushTimeout)
	close(s.done)
	if s.pings != nil {
		s.pings.Stop()
	}
	s.kick()
}

// ping is called by the timer.
func (s *socket) ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.pinging = true
		s.pings.Reset(s.pace.ping)
		s.kick()
	}
}

// kick has writeOut look at what there is to write. s.mu is held.
func (s *socket) kick() {
	if s.writing || s.closed || s.conn == nil {
		return
	}
	s.writing = true
	s.writers.Go(s.writeOut)
}

// What writeOut is to do next.
const (
	stepNothing = iota
	stepMessage
	stepPing
	stepClose
)

// next is what to do, and the message if it is one.
func (s *socket) next() (step int, data []byte, by time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	by = time.Now().Add(writeTimeout)
	if s.ended {
		by = s.by
	}
	switch {
	case len(s.queue) > 0 && !s.slow:
		data = s.queue[0]
		s.queue[0] = nil
		if s.queue = s.queue[1:]; len(s.queue) == 0 {
			s.queue = nil // most sockets are idle for long
		}
		return stepMessage, data, by
	case s.ended:
		return stepClose, nil, by
	case s.pinging:
		s.pinging = false
		return stepPing, nil, by
	}
	s.writing = false
	return stepNothing, nil, by
}

// writeOut writes until nothing is left, a write fails or the socket has ended:
// then it closes the connection, which ends read.
func (s *socket) writeOut() {
	for {
		var err error
		step, data, by := s.next()
		switch step {
		case stepMessage:
			err = s.write(data, by)
		case stepPing:
			err = s.conn.WriteControl(websocket.PingMessage, nil, by)
		case stepClose:
			s.writeClose(by)
			return
		default:
			return
		}
		if err != nil {
			s.fail(err)
			s.close()
			return
		}
	}
}

// fail ends the socket as a write failed.
func (s *socket) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow = s.slow || !s.ended && errors.Is(err, os.ErrDeadlineExceeded)
	s.end(websocket.CloseAbnormalClosure, "the connection failed")
}

// lagged says whether the socket ended as the other side read too slowly.
func (s *socket) lagged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slow
}

// writeClose writes the close frame, unless the other side reads too slowly for
// it, and closes.
func (s *socket) writeClose(by time.Time) {
	if !s.slow { // not changed any more, as the socket has ended
		_ = s.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(s.code, s.text), by) // the other side may be gone
	}
	s.close()
}

// close is the end of writeOut.
func (s *socket) close() {
	_ = s.conn.Close() // nothing more is said
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.queue = true, nil
}

func (s *socket) write(data []byte, by time.Time) error {
	if err := s.conn.SetWriteDeadline(by); err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.TextMessage, data)
}

// read waits for a message. After errTooLarge and errBinary the socket goes on,
// after any other error it is over.
func (s *socket) read() ([]byte, error) {
	kind, r, err := s.conn.NextReader()
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	// A buffer that is kept would be as large as the largest message, in each of
	// many sockets that wait.
	data, err := s.whole(r)
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	if len(data) > s.limit {
		if _, err := io.Copy(io.Discard, r); err != nil {
			return nil, fmt.Errorf("discard message: %w", err)
		}
	}
	if err := s.extend(); err != nil {
		return nil, fmt.Errorf("extend read deadline: %w", err)
	}
	switch {
	case len(data) > s.limit:
		return nil, errTooLarge
	case kind != websocket.TextMessage:
		return nil, errBinary
	}
	return data, nil
}

// whole reads a message, of one that is too large a byte too many.
func (s *socket) whole(r io.Reader) ([]byte, error) {
	limit := int64(s.limit) + 1
	if s.heavy == nil || limit <= lightMessage {
		return io.ReadAll(io.LimitReader(r, limit))
	}
	data, err := io.ReadAll(io.LimitReader(r, lightMessage))
	if err != nil || len(data) < lightMessage {
		return data, err
	}
	if !s.heavy() {
		return nil, errHeavy
	}
	return io.ReadAll(io.LimitReader(io.MultiReader(bytes.NewReader(data), r), limit))
}
