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

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

// dialer connects to it, whatever the address.
func (l *pipes) dialer() *websocket.Dialer {
	return &websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		select {
		case l.conns <- far:
			return near, nil
		case <-l.done:
			return nil, net.ErrClosed
		}
	}}
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
	return rigUntil(context.Background(), t, queue, run)
}

// rigUntil is rig with an end.
func rigUntil(ctx context.Context, t *testing.T, queue int, run func(*socket)) *websocket.Conn {
	t.Helper()
	l := newPipes()
	dialed := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(rw, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		<-dialed // one that ends before would fail the Dial
		sock := newSocket(conn, 100, queue, pace{ping: 20 * time.Second, patience: 45 * time.Second})
		sock.serve(ctx, func(_ context.Context, sock *socket) { run(sock) })
	})}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(l) }) // ends with l
	conn, response, err := l.dialer().Dial("ws://pipe/", nil)
	close(dialed)
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

// What was sent before the end is written before it, in order, and nothing after.
func TestCutWritesWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := rig(t, 8, func(s *socket) {
			for _, text := range []string{"1", "2", "3"} {
				s.send([]byte(text))
			}
			s.cut(4000, "enough")
			s.cut(4001, "only the first counts")
			if s.send([]byte("4")) {
				t.Error("a socket that is cut takes messages")
			}
		})
		for _, want := range []string{"1", "2", "3"} {
			if _, data, err := conn.ReadMessage(); err != nil || string(data) != want {
				t.Fatalf("%q, %v, want %q", data, err, want)
			}
		}
		var closed *websocket.CloseError
		if _, _, err := conn.ReadMessage(); !errors.As(err, &closed) || closed.Code != 4000 || closed.Text != "enough" {
			t.Errorf("%v", err)
		}
	})
}

// The end of the context ends the socket, and says so.
func TestSocketEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		conn := rigUntil(ctx, t, 4, func(s *socket) {
			if _, err := s.read(); err == nil {
				t.Error("read goes on")
			}
		})
		cancel()
		var closed *websocket.CloseError
		if _, _, err := conn.ReadMessage(); !errors.As(err, &closed) || closed.Code != websocket.CloseGoingAway {
			t.Errorf("%v", err)
		}
	})
}

// Who does nothing but ping is cut; pings at a common pace are answered.
func TestPingFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		conn := rig(t, 4, func(s *socket) {
			_, err := s.read()
			ended <- err
		})
		pongs := make(chan struct{}, 1000)
		conn.SetPongHandler(func(string) error {
			pongs <- struct{}{}
			return nil
		})
		var reader sync.WaitGroup
		reader.Go(func() {
			for {
				if _, _, err := conn.ReadMessage(); err != nil {
					return
				}
			}
		})
		ping := func() error { return conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) }
		for range 30 { // before our own ping: a pipe has no buffers for two at once
			if err := ping(); err != nil {
				t.Fatal(err)
			}
			<-pongs
			time.Sleep(time.Second / 2)
		}
		for range 2 * controlBurst {
			if ping() != nil {
				break
			}
		}
		if err := <-ended; !errors.Is(err, errControl) {
			t.Errorf("%v", err)
		}
		reader.Wait()
	})
}

// After what is too large or binary the socket goes on.
func TestReadRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := make(chan error, 4)
		conn := rig(t, 4, func(s *socket) {
			for range 4 {
				data, err := s.read()
				if err == nil && len(data) != 100 {
					err = errors.New("not all of it")
				}
				errs <- err
			}
		})
		for _, m := range []struct {
			kind, size int
			want       error
		}{
			{websocket.TextMessage, 101, errTooLarge},
			{websocket.BinaryMessage, 100, errBinary},
			{websocket.TextMessage, 1 << 20, errTooLarge},
			{websocket.TextMessage, 100, nil},
		} {
			if err := conn.WriteMessage(m.kind, make([]byte, m.size)); err != nil {
				t.Fatal(err)
			}
			if err := <-errs; !errors.Is(err, m.want) {
				t.Errorf("%d bytes: %v, want %v", m.size, err, m.want)
			}
		}
	})
}

// An idle socket is one goroutine: none waits to write.
func TestIdleSocketHasNoWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here := make(chan *socket)
		conn := rig(t, 4, func(s *socket) {
			here <- s
			_, _ = s.read()
		})
		s := <-here
		busy := func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.writing || s.queue != nil
		}
		s.send([]byte("1"))
		if !busy() {
			t.Error("nobody writes")
		}
		if _, _, err := conn.ReadMessage(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if busy() {
			t.Error("somebody waits to write")
		}
	})
}
