package worker

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// door is a coordinator for tests: it shakes hands and then does as told.
type door struct {
	t      *testing.T
	server *httptest.Server
	calls  chan *call
}

// call is one connection of a worker.
type call struct {
	t        *testing.T
	conn     *websocket.Conn
	register signal.Register
	incoming chan signal.Envelope
	kept     []signal.Envelope // came, but nobody wanted it yet
}

func newDoor(t *testing.T) *door {
	d := &door{t: t, calls: make(chan *call, 4)}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws/worker", d.serve)
	d.server = httptest.NewServer(mux)
	t.Cleanup(d.server.Close)
	return d
}

func (d *door) address() string { return strings.TrimPrefix(d.server.URL, "http://") }

func (d *door) serve(rw http.ResponseWriter, r *http.Request) {
	conn, err := (&websocket.Upgrader{}).Upgrade(rw, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	c := &call{t: d.t, conn: conn, incoming: make(chan signal.Envelope, 256)}
	defer close(c.incoming)
	nonce := signal.NewNonce()
	c.send(signal.TypeChallenge, "", "", signal.Challenge{Nonce: nonce})
	for first := true; ; first = false {
		_, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		e, err := signal.Decode(data, signal.MaxInternal)
		if err != nil {
			d.t.Errorf("the worker sends %q: %v", data, err)
			return
		}
		if !first {
			c.incoming <- e
			continue
		}
		if c.register, err = signal.Read[signal.Register](e); err != nil {
			d.t.Error(err)
			return
		}
		if !signal.CheckMAC(secret, nonce, signal.RoleWorker, c.register.ID, c.register.MAC) {
			c.send(signal.TypeError, "", "", signal.Errorf(signal.CodeDenied, "wrong secret"))
			return
		}
		c.send(signal.TypeAccepted, "", "", nil)
		d.calls <- c
	}
}

// accept waits for a worker that was let in.
func (d *door) accept() *call {
	d.t.Helper()
	select {
	case c := <-d.calls:
		return c
	case <-time.After(10 * time.Second):
		d.t.Fatal("no worker came")
		return nil
	}
}

func (c *call) send(t signal.Type, id, session string, payload any) {
	data, err := signal.Encode(t, id, session, payload)
	if err != nil {
		c.t.Error(err)
		return
	}
	c.raw(string(data))
}

func (c *call) raw(text string) {
	if err := c.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Errorf("write to the worker: %v", err)
	}
}

// want waits for a message of a type about a session; others are kept for later.
func (c *call) want(kind signal.Type, session string) signal.Envelope {
	c.t.Helper()
	for i, e := range c.kept {
		if e.Type == kind && e.Session == session {
			c.kept = append(c.kept[:i:i], c.kept[i+1:]...)
			return e
		}
	}
	timeout := time.After(10 * time.Second)
	for {
		select {
		case e, ok := <-c.incoming:
			if !ok {
				c.t.Fatalf("the worker hung up before %s for %q; there was %v", kind, session, c.kept)
			}
			if e.Type == kind && e.Session == session {
				return e
			}
			c.kept = append(c.kept, e)
		case <-timeout:
			c.t.Fatalf("no %s for %q came, but %v", kind, session, c.kept)
		}
	}
}

// wantRooms waits for an announcement that fits.
func (c *call) wantRooms(fits func([]signal.Room) bool) {
	c.t.Helper()
	for {
		r, err := signal.Read[signal.Rooms](c.want(signal.TypeRooms, ""))
		if err != nil {
			c.t.Fatal(err)
		}
		if fits(r.Rooms) {
			return
		}
	}
}
