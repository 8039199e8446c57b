package coordinator

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

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
		sock := newSocket(conn, 100, queue, pace{ping: 20 * time.Second, patience: 45 * time.Second})
		sock.serve(context.Background(), func(_ context.Context, sock *socket) { run(sock) })
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
		if d := <-ended; d < 5*time.Minute || d > 5*time.Minute+45*time.Second {
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
