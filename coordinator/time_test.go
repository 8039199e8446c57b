package coordinator

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// loose is a socket without a connection: what is sent stays in its queue.
func loose() *socket {
	return &socket{queue: make(chan []byte, 64), done: make(chan struct{})}
}

func (s *socket) sent(t *testing.T, want signal.Type) signal.Envelope {
	t.Helper()
	e, err := signal.Decode(<-s.queue, signal.MaxInternal)
	if err != nil || e.Type != want {
		t.Fatalf("sent %s, %v, want %s", e.Type, err, want)
	}
	return e
}

// A worker that does not answer costs a start no more than requestTimeout.
func TestSilentWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		c := &Coordinator{log: slog.New(slog.DiscardHandler), registry: r, sessions: newSessions(secret, r)}
		var links []*workerLink
		for _, id := range []string{"a", "b", "c"} {
			w := &workerLink{id: id, maxRooms: 4, sock: loose(), pending: map[string]chan signal.Envelope{}}
			r.addWorker(w, games("pong"), nil)
			links = append(links, w)
		}
		page := loose()
		s := c.sessions.open(page, "")
		if err := c.sessions.begin(s, true); err != nil {
			t.Fatal(err)
		}
		workers, err := r.forGame("pong")
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		c.play(t.Context(), s, request{id: "p", kind: signal.TypeStart, payload: signal.Start{Game: "pong", SDP: "v=0"}, workers: workers})
		if d := time.Since(begin); d != maxPlacing {
			t.Errorf("the page waited %s", d)
		}
		for _, w := range links[:2] {
			w.sock.sent(t, signal.TypeStart)
			w.sock.sent(t, signal.TypeLeave)
			if w.starting != 0 || len(w.pending) != 0 {
				t.Errorf("%s: %d starts and %d requests are left", w.id, w.starting, len(w.pending))
			}
		}
		if len(links[2].sock.queue) != 0 {
			t.Error("the third was asked after the time was up")
		}
		e := page.sent(t, signal.TypeError)
		if refusal := read[signal.Error](t, e); refusal.Code != signal.CodeFailed || e.ID != "p" {
			t.Errorf("the page is told %+v for %q", refusal, e.ID)
		}
		if c.sessions.begin(s, true) != nil {
			t.Error("the page may not try again")
		}
	})
}

// pipes is a listener whose connections are net.Pipes, so that time can be faked.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// rig serves one socket over a pipe: run is its handler, the client is returned.
func rig(t *testing.T, queue int, run func(*socket)) *websocket.Conn {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(rw, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		sock := newSocket(conn, 100, queue)
		var writer sync.WaitGroup
		writer.Go(func() { sock.writeLoop(context.Background()) })
		run(sock)
		sock.cut(websocket.CloseNormalClosure, "")
		writer.Wait()
	})}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(l) }) // ends with l
	dialer := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		l.conns <- far
		return near, nil
	}}
	conn, response, err := dialer.Dial("ws://pipe/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	t.Cleanup(func() {
		conn.Close()
		server.Close()
		wg.Wait()
	})
	return conn
}

func TestKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ended := make(chan time.Duration, 1)
		conn := rig(t, 4, func(s *socket) {
			_, err := s.read()
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("read ends with %v", err)
			}
			ended <- time.Since(begin)
		})
		// The client answers pings for five minutes, then it is stuck.
		pings := 0
		answer := conn.PingHandler()
		conn.SetPingHandler(func(data string) error {
			if pings++; time.Since(begin) > 5*time.Minute {
				return nil
			}
			return answer(data)
		})
		_, _, err := conn.ReadMessage()
		if err == nil {
			t.Error("the socket is not closed")
		}
		if d := <-ended; d < 5*time.Minute || d > 5*time.Minute+readPatience {
			t.Errorf("the socket lived for %s", d)
		}
		if pings < 15 {
			t.Errorf("%d pings", pings)
		}
	})
}

// Who does not read is cut by the deadline of a write too, not only by the queue.
func TestStuckWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ended := make(chan time.Duration, 1)
		rig(t, 4, func(s *socket) {
			s.send([]byte("{}")) // nobody reads the pipe
			_, err := s.read()
			if err == nil {
				t.Error("read goes on")
			}
			ended <- time.Since(begin)
			if s.send([]byte("{}")) {
				t.Error("a socket that is cut takes messages")
			}
		})
		if d := <-ended; d != writeTimeout {
			t.Errorf("the socket lived for %s", d)
		}
	})
}

func TestFullQueueCutsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ended := make(chan time.Duration, 1)
		rig(t, 4, func(s *socket) {
			n := 0
			for s.send([]byte("{}")) {
				n++
			}
			if _, err := s.read(); err == nil {
				t.Error("read goes on")
			}
			if n < 4 || n > 5 {
				t.Errorf("%d messages were taken", n)
			}
			ended <- time.Since(begin)
		})
		if d := <-ended; d != 0 {
			t.Errorf("the socket lived for %s", d)
		}
	})
}
