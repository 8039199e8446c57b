package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Times and bounds of every WebSocket.
const (
	pingPeriod   = 20 * time.Second
	readPatience = 45 * time.Second // without a pong or a message: two pings and some
	writeTimeout = 10 * time.Second
	flushTimeout = 2 * time.Second // for what is queued when a socket is closed
	maxDiscard   = 16 << 20        // bytes of one message that are read in order to refuse it
)

// Close codes of our own (RFC 6455 7.4.2 leaves 4000-4999 to applications).
const closeReplaced = 4001 // another socket resumed the session

// errTooLarge says that a message was read to its end and thrown away.
var errTooLarge = errors.New("message is too large")

// errBinary says that a message was not text.
var errBinary = errors.New("message is binary")

// socket is one WebSocket with a bounded queue of messages to write. Whoever
// reads too slowly is cut when the queue is full or a write takes longer than
// writeTimeout: messages are never dropped one by one.
//
// send and cut may be called from any goroutine, read from one. The goroutine
// that runs writeLoop owns the connection's writing side and closes it.
type socket struct {
	conn  *websocket.Conn
	limit int           // bytes of a message that read takes
	queue chan []byte   // to writeLoop
	done  chan struct{} // closed by cut
	once  sync.Once
	code  int    // set before done is closed
	text  string // set before done is closed
	slow  atomic.Bool
	buf   []byte // of read

	patience time.Duration
	heard    atomic.Int64 // ns since 1970, when the other side was heard last
}

func newSocket(conn *websocket.Conn, limit, queue int) *socket {
	s := &socket{conn: conn, limit: limit, queue: make(chan []byte, queue), done: make(chan struct{}), patience: readPatience}
	conn.SetReadLimit(maxDiscard)
	conn.SetPongHandler(func(string) error { return s.extend() })
	_ = s.extend()
	return s
}

func (s *socket) extend() error {
	now := time.Now()
	s.heard.Store(now.UnixNano())
	return s.conn.SetReadDeadline(now.Add(s.patience))
}

// silent is for how long nothing has been heard, a pong least of all.
func (s *socket) silent(now time.Time) time.Duration { return now.Sub(time.Unix(0, s.heard.Load())) }

// send queues a message, which must not change any more. If the queue is full
// the socket is cut at once. It does not block.
func (s *socket) send(data []byte) bool {
	select {
	case <-s.done:
		return false
	default:
	}
	select {
	case s.queue <- data:
		return true
	default:
		s.slow.Store(true)
		s.cut(websocket.ClosePolicyViolation, "reads too slowly")
		_ = s.conn.Close() // the writer may be stuck in a write
		return false
	}
}

// cut ends the socket: what is queued is still written, then a close frame.
// Only the first call counts. It does not wait.
func (s *socket) cut(code int, text string) {
	s.once.Do(func() {
		s.code, s.text = code, text
		close(s.done)
	})
}

// read waits for a message. The bytes are valid until the next call. After
// errTooLarge and errBinary the socket goes on, after any other error it is over.
func (s *socket) read() ([]byte, error) {
	kind, r, err := s.conn.NextReader()
	if err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	s.buf = s.buf[:0]
	for {
		if len(s.buf) == cap(s.buf) {
			s.buf = append(s.buf, 0)[:len(s.buf)]
		}
		n, err := r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read message: %w", err)
		}
		if len(s.buf) > s.limit {
			s.buf = nil // do not keep what one bad message took
			if _, err := io.Copy(io.Discard, r); err != nil {
				return nil, fmt.Errorf("discard message: %w", err)
			}
			return nil, errTooLarge
		}
	}
	if err := s.extend(); err != nil {
		return nil, fmt.Errorf("extend read deadline: %w", err)
	}
	if len(s.buf) > s.limit {
		return nil, errTooLarge
	}
	if kind != websocket.TextMessage {
		return nil, errBinary
	}
	return s.buf, nil
}

// writeLoop writes what is queued, and pings, until the socket is cut, ctx
// ends or a write fails. It closes the connection, which ends read.
func (s *socket) writeLoop(ctx context.Context) {
	ping := time.NewTicker(pingPeriod)
	defer ping.Stop()
	defer func() { _ = s.conn.Close() }()
	defer s.cut(websocket.CloseAbnormalClosure, "the connection failed")
	for {
		select {
		case data := <-s.queue:
			if s.write(data, writeTimeout) != nil {
				return
			}
		case <-ping.C:
			if s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout)) != nil {
				return
			}
		case <-ctx.Done():
			s.cut(websocket.CloseGoingAway, "the coordinator is stopping")
			s.flush()
			return
		case <-s.done:
			s.flush()
			return
		}
	}
}

// flush writes what is still queued and the close frame.
func (s *socket) flush() {
	if s.slow.Load() {
		return
	}
	end := time.Now().Add(flushTimeout)
	for len(s.queue) > 0 {
		if s.write(<-s.queue, time.Until(end)) != nil {
			return
		}
	}
	frame := websocket.FormatCloseMessage(s.code, s.text)
	if s.code == websocket.CloseAbnormalClosure {
		frame = nil // must not be sent (RFC 6455 7.4.1)
	}
	_ = s.conn.WriteControl(websocket.CloseMessage, frame, end) // the other side may be gone
}

func (s *socket) write(data []byte, within time.Duration) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	return s.conn.WriteMessage(websocket.TextMessage, data)
}
