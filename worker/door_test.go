package worker

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/uplink"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// door is a coordinator for tests: it shakes hands and then does as told.
type door struct {
	t      testing.TB
	id     string
	wants  bool // the library, of who registers
	server *httptest.Server
	calls  chan *call

	ctx     context.Context // ends with the test
	serving sync.WaitGroup
}

// call is one connection of a worker.
type call struct {
	t        testing.TB
	conn     *websocket.Conn
	register signal.Register
	incoming chan signal.Envelope
	kept     []signal.Envelope // came, but nobody wanted it yet
	load     signal.Load       // the last one announced that was looked at
}

func newDoor(t testing.TB) *door {
	d := &door{t: t, id: signal.NewID(), calls: make(chan *call, 4)}
	var end context.CancelFunc
	d.ctx, end = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("/ws/worker", d.serve)
	d.server = httptest.NewServer(mux)
	t.Cleanup(func() { // the server forgets connections that became WebSockets
		end()
		d.server.Close()
		d.serving.Wait()
	})
	return d
}

func (d *door) address() string { return strings.TrimPrefix(d.server.URL, "http://") }

func (d *door) serve(rw http.ResponseWriter, r *http.Request) {
	d.serving.Add(1)
	defer d.serving.Done()
	conn, err := (&websocket.Upgrader{}).Upgrade(rw, r, nil)
	if err != nil {
		return
	}
	ctx, end := context.WithCancel(d.ctx)
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	defer end()
	d.serving.Go(func() { remind(ctx, conn) })
	c := &call{t: d.t, conn: conn, incoming: make(chan signal.Envelope, 256)}
	defer close(c.incoming)
	nonce := signal.NewNonce()
	c.greet(signal.TypeChallenge, signal.Challenge{Nonce: nonce, Coordinator: d.id})
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
			select {
			case c.incoming <- e:
				continue
			case <-d.ctx.Done():
				return
			}
		}
		if c.register, err = signal.Read[signal.Register](e); err != nil {
			d.t.Error(err)
			return
		}
		accepted := signal.Accepted{Library: d.wants}
		switch {
		case signal.CheckMAC(secret, nonce, signal.RoleWorker, c.register.ID, c.register.MAC):
		case c.register.MAC == "": // a token, which the test looks at
			accepted.Invites = signal.InviteKey(secret, signal.PodPart(signal.TokenPod(c.register.Token)))
		default:
			c.greet(signal.TypeError, signal.Errorf(signal.CodeDenied, "wrong secret"))
			return
		}
		c.greet(signal.TypeAccepted, accepted)
		select {
		case d.calls <- c:
		case <-d.ctx.Done():
			return
		}
	}
}

// remind lets the worker know often that it has a coordinator: it would hang up
// after some seconds of silence, of which a busy machine is one cause.
func remind(ctx context.Context, conn *websocket.Conn) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(peertest.Patience)) // who reads will tell
		case <-ctx.Done():
			return
		}
	}
}

// greet is send to a worker that may hang up meanwhile, as one does that ends.
func (c *call) greet(t signal.Type, payload any) {
	data, err := signal.Encode(t, "", "", payload)
	if err != nil {
		c.t.Error(err)
		return
	}
	_ = c.conn.WriteMessage(websocket.TextMessage, data)
}

// accept waits for a worker that was let in.
func (d *door) accept() *call {
	d.t.Helper()
	select {
	case c := <-d.calls:
		return c
	case <-time.After(peertest.Patience):
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
	return c.wait(string(kind)+" for "+session, func(e signal.Envelope) bool { return e.Type == kind && e.Session == session })
}

func (c *call) wait(what string, fits func(signal.Envelope) bool) signal.Envelope {
	c.t.Helper()
	if i := slices.IndexFunc(c.kept, fits); i >= 0 {
		e := c.kept[i]
		c.kept = slices.Delete(c.kept, i, i+1)
		return e
	}
	timeout := time.After(peertest.Patience)
	for {
		select {
		case e, ok := <-c.incoming:
			if !ok {
				c.t.Fatalf("the worker hung up before %s; there was %v", what, c.kept)
			}
			if fits(e) {
				return e
			}
			c.kept = append(c.kept, e)
		case <-timeout:
			c.t.Fatalf("no %s came, but %v", what, c.kept)
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

// wantLoad waits for an announcement that fits; the load at the registration
// counts as the first.
func (c *call) wantLoad(fits func(signal.Load) bool) {
	c.t.Helper()
	if c.load == (signal.Load{}) {
		c.load = c.register.Load
	}
	for !fits(c.load) {
		l, err := signal.Read[signal.Load](c.want(signal.TypeLoad, ""))
		if err != nil {
			c.t.Fatal(err)
		}
		c.load = l
	}
}

// reserve asks for a place and waits for the ticket's answer.
func (c *call) reserve(ticket, game string) signal.Envelope {
	c.t.Helper()
	c.ask(ticket, game, 1, false)
	return c.answerTo(ticket)
}

// ask asks for a place; the id of the request is the ticket.
func (c *call) ask(ticket, game string, since int64, wait bool) {
	c.send(signal.TypeReserve, ticket, "", signal.Reserve{Ticket: ticket, Game: game, Since: since, Wait: wait})
}

// answerTo waits for the answer to a request.
func (c *call) answerTo(id string) signal.Envelope {
	c.t.Helper()
	return c.wait("an answer to "+id, func(e signal.Envelope) bool { return e.ID == id && e.Session == "" })
}

// newLink is a link of a role that does nothing, and the other end of it.
func newLink(t testing.TB) (*uplink.Link, *call) {
	t.Helper()
	d := newDoor(t)
	source, err := discovery.New([]string{d.address()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	links := make(chan *uplink.Link, 1)
	digest := signal.LibraryDigest(nil)
	keeper := uplink.New(uplink.Role{
		Path: "/ws/worker",
		Introduce: func(c signal.Challenge, _ int) (signal.Type, any) {
			return signal.TypeRegister, signal.Register{
				ID: "w", MAC: signal.MAC(secret, c.Nonce, signal.RoleWorker, "w"), Library: digest,
				Load: signal.Load{State: signal.StateReady},
			}
		},
		Joined:  func(l *uplink.Link, _ signal.Accepted) { links <- l },
		Message: func(*uplink.Link, signal.Envelope) error { return nil },
	}, source)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- keeper.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	c := d.accept()
	return <-links, c
}
