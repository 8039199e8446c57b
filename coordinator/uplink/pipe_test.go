package uplink

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// hijacked is the answer to a request that comes by conn.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
	rw   *bufio.ReadWriter
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.conn, h.rw, nil }

// pipe is a WebSocket without a network, so that time can be faked.
func pipe(t *testing.T) (near, far *websocket.Conn) {
	t.Helper()
	a, b := net.Pipe()
	upgraded := make(chan *websocket.Conn)
	go func() {
		defer close(upgraded)
		rw := bufio.NewReadWriter(bufio.NewReader(b), bufio.NewWriter(b))
		request, err := http.ReadRequest(rw.Reader)
		if err != nil {
			t.Error(err)
			return
		}
		conn, err := (&websocket.Upgrader{}).Upgrade(hijacked{conn: b, rw: rw}, request, nil)
		if err != nil {
			t.Error(err)
			return
		}
		upgraded <- conn
	}()
	dialer := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) { return a, nil }}
	near, response, err := dialer.Dial("ws://pipe/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return near, <-upgraded
}

// linked serves a link over a pipe until ctx ends. The other side is returned,
// and how the link ends.
func linked(ctx context.Context, t *testing.T, r *role) (far *websocket.Conn, ended <-chan error) {
	t.Helper()
	near, far := pipe(t)
	end := make(chan error, 1)
	l := newLink(New(r.Role), "c", discovery.Endpoint{}, near)
	go func() { end <- l.serve(ctx, signal.Accepted{}) }()
	return far, end
}

// listen reads all that comes until the connection ends.
func listen(conn *websocket.Conn) (ended <-chan struct{}) {
	end := make(chan struct{})
	go func() {
		defer close(end)
		for _, err := hear(conn); err == nil; _, err = hear(conn) {
		}
	}()
	return end
}

// deaf is what does not answer pings.
func deaf(string) error { return nil }

// A coordinator that says nothing is dead, even if it takes what we say.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		far, ended := linked(t.Context(), t, newRole())
		far.SetPingHandler(deaf)
		heard := listen(far)
		err := <-ended
		if took := time.Since(began); took != defaultTimes().silence || !strings.Contains(err.Error(), "nothing was heard for 8s") {
			t.Errorf("ended after %v: %v", took, err)
		}
		<-heard
	})
}

// Pongs, pings and pieces of a long message are signs of life.
func TestLife(t *testing.T) {
	silence := defaultTimes().silence
	ways := map[string]func(*websocket.Conn){
		"pongs": func(*websocket.Conn) {},
		"pings": func(conn *websocket.Conn) {
			_ = conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
		},
		"pieces": func(conn *websocket.Conn) {
			w, err := conn.NextWriter(websocket.TextMessage)
			if err != nil {
				t.Error(err)
				return
			}
			for range 20 {
				_, _ = w.Write([]byte(strings.Repeat(" ", 5000)))
				time.Sleep(silence / 10)
			}
			_, _ = w.Write([]byte(`{"v":1,"type":"want"}`))
			_ = w.Close()
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				r := newRole()
				far, ended := linked(ctx, t, r)
				if name != "pongs" {
					far.SetPingHandler(deaf)
				}
				heard := listen(far)
				for end := time.Now().Add(3 * silence); time.Now().Before(end); time.Sleep(silence / 10) {
					way(far)
				}
				say(far, signal.TypeDone, nil)
				synctest.Wait()
				if got := r.got(); len(got) == 0 || got[len(got)-1] != signal.TypeDone || len(r.saw()) != 1 {
					t.Errorf("heard %v, saw %v", got, r.saw())
				}
				cancel()
				if err := <-ended; err == nil || len(r.saw()) != 2 {
					t.Errorf("ended with %v, saw %v", err, r.saw())
				}
				<-heard
			})
		})
	}
}
