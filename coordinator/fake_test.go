package coordinator

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/cloudretro/cloudretro/coordinator/acme/acmetest"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

const (
	secret  = "north"
	patient = time.Minute // for what should be there in no time, on a machine that may stall
	silence = 60 * time.Millisecond
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, acmetest.Leaks()) }

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not happen within %s", what, patient)
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func web() fstest.MapFS {
	return fstest.MapFS{
		"index.html":     {Data: []byte("<!doctype html><title>page</title>")},
		"app.js":         {Data: []byte("export {}")},
		"css/style.css":  {Data: []byte("body{}")},
		".hidden":        {Data: []byte("secret")},
		"css/.hidden.js": {Data: []byte("secret")},
	}
}

// door is a running Coordinator.
type door struct {
	*Coordinator
	t      *testing.T
	stop   func()
	dialer *websocket.Dialer
}

func start(t *testing.T, change func(*Config)) *door {
	t.Helper()
	cfg := Config{Address: "127.0.0.1:0", Web: web(), Secret: secret, Logger: testLog(t)}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, c)
}

// startPiped is start without a network, so that time can be faked. Workers are
// missed as quickly as usual there.
func startPiped(t *testing.T) *door {
	t.Helper()
	c, err := New(Config{Address: "127.0.0.1:0", Web: web(), Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.listener.Close(); err != nil {
		t.Fatal(err)
	}
	l := newPipes()
	c.listener = l
	d := serving(t, c)
	d.dialer = l.dialer()
	return d
}

// run is start for a Coordinator that is made already. No worker is given up
// while the machine stalls.
func run(t *testing.T, c *Coordinator) *door {
	t.Helper()
	p := &c.roles.pace
	p.patience, p.silent, p.reserve, p.manage, p.library = patient, patient, patient, patient, patient
	return serving(t, c)
}

func serving(t *testing.T, c *Coordinator) *door {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var once sync.Once
	d := &door{Coordinator: c, t: t, dialer: websocket.DefaultDialer, stop: func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}}
	t.Cleanup(d.stop)
	return d
}

func (d *door) url(scheme, path string) string { return scheme + "://" + d.Addr().String() + path }

// client is one end of a WebSocket, with all that it received.
type client struct {
	t    *testing.T
	conn *websocket.Conn
	in   chan signal.Envelope // closed at the end
	wg   sync.WaitGroup
	err  error // why it ended, valid after in is closed
}

func (d *door) dial(path string, header http.Header) *client {
	d.t.Helper()
	conn, response, err := d.dialer.Dial(d.url("ws", path), header)
	if err != nil {
		d.t.Fatalf("dial %s: %v", path, err)
	}
	response.Body.Close()
	c := &client{t: d.t, conn: conn, in: make(chan signal.Envelope, 4096)}
	c.wg.Go(c.receive)
	d.t.Cleanup(c.close)
	return c
}

func (c *client) close() {
	c.conn.Close()
	c.wg.Wait()
}

func (c *client) receive() {
	defer close(c.in)
	for {
		_, data, err := c.conn.ReadMessage()
		if err != nil {
			c.err = err
			return
		}
		e, err := signal.Decode(data, signal.MaxInternal)
		if err != nil {
			c.t.Errorf("%s: %v", data, err)
			return
		}
		c.in <- e
	}
}

func (c *client) raw(data []byte) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patient))
	if err := c.conn.WriteMessage(websocket.TextMessage, data); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

func (c *client) say(t signal.Type, id, session string, payload any) {
	c.t.Helper()
	data, err := signal.Encode(t, id, session, payload)
	if err != nil {
		c.t.Fatal(err)
	}
	c.raw(data)
}

// next is the next message, which must be of the type.
func (c *client) next(want signal.Type) signal.Envelope {
	c.t.Helper()
	select {
	case e, ok := <-c.in:
		if !ok {
			c.t.Fatalf("the connection ended instead of %s: %v", want, c.err)
		}
		if e.Type != want {
			c.t.Fatalf("received %s %s instead of %s", e.Type, e.Data, want)
		}
		return e
	case <-time.After(patient):
		c.t.Fatalf("no %s came", want)
	}
	panic("unreachable")
}

// nothing: no message comes for a while.
func (c *client) nothing() {
	c.t.Helper()
	select {
	case e, ok := <-c.in:
		c.t.Fatalf("received %s %s (%v), not nothing", e.Type, e.Data, ok)
	case <-time.After(silence):
	}
}

// ends waits for the close frame and answers its code.
func (c *client) ends() int {
	c.t.Helper()
	for {
		select {
		case _, ok := <-c.in:
			if ok {
				continue
			}
			var closed *websocket.CloseError
			if errors.As(c.err, &closed) {
				return closed.Code
			}
			return 0
		case <-time.After(patient):
			c.t.Fatal("the connection does not end")
		}
	}
}

// refused is an error with the code.
func (c *client) refused(id string, code signal.Code) signal.Error {
	c.t.Helper()
	e := c.next(signal.TypeError)
	r := read[signal.Error](c.t, e)
	if r.Code != code || e.ID != id {
		c.t.Fatalf("refused %q with %s (%s), want %q with %s", e.ID, r.Code, r.Message, id, code)
	}
	return r
}

func read[T any, P interface {
	*T
	Validate() error
}](t *testing.T, e signal.Envelope) T {
	t.Helper()
	v, err := signal.Read[T, P](e)
	if err != nil {
		t.Fatalf("%s: %v", e.Data, err)
	}
	return v
}

// page is a browser that was greeted.
type page struct {
	*client
	hello signal.Hello
}

func (d *door) page() *page {
	d.t.Helper()
	c := d.dial("/ws", nil)
	return &page{c, read[signal.Hello](d.t, c.next(signal.TypeHello))}
}

// worker is a worker that was accepted.
type worker struct {
	*client
	id string
}

func games(ids ...string) []signal.Game {
	list := []signal.Game{}
	for _, id := range ids {
		list = append(list, signal.Game{ID: id, Title: "Game " + id, System: "nes", Players: 2})
	}
	return list
}

func (d *door) register(secret string, change func(*signal.Register)) *worker {
	d.t.Helper()
	c := d.dial("/ws/worker", nil)
	challenge := read[signal.Challenge](d.t, c.next(signal.TypeChallenge))
	r := signal.Register{
		ID: signal.NewID(), Name: "w", MediaAddrs: []string{"127.0.0.1:8443"}, Library: signal.LibraryDigest(games("pong")),
		Load: signal.Load{State: signal.StateReady, Places: 64, Free: 64},
	}
	if change != nil {
		change(&r)
	}
	r.MAC = signal.MAC(secret, challenge.Nonce, signal.RoleWorker, r.ID)
	c.say(signal.TypeRegister, "r", "", r)
	return &worker{c, r.ID}
}

// worker is one that is in the registry, with the game pong.
func (d *door) worker(change func(*signal.Register)) *worker {
	d.t.Helper()
	return d.workerWith(games("pong"), change)
}

// workerWith is one that is in the registry, with its games.
func (d *door) workerWith(list []signal.Game, change func(*signal.Register)) *worker {
	d.t.Helper()
	w := d.register(secret, func(r *signal.Register) {
		r.Library = signal.LibraryDigest(list)
		if change != nil {
			change(r)
		}
	})
	if read[signal.Accepted](d.t, w.next(signal.TypeAccepted)).Library {
		w.say(signal.TypeLibrary, "", "", signal.Library{Digest: signal.LibraryDigest(list), Put: list})
	}
	until(d.t, "the registration", func() bool { return d.registry.knows(w.id) })
	return w
}

// gives grants the place that it is asked for next, and answers the ticket.
func (w *worker) gives() string {
	w.t.Helper()
	e := w.next(signal.TypeReserve)
	ticket := read[signal.Reserve](w.t, e).Ticket
	w.say(signal.TypeReserved, e.ID, "", signal.Reserved{Ticket: ticket, Seconds: 30})
	return ticket
}

// starts grants a place and is the start that takes it.
func (w *worker) starts() signal.Envelope {
	w.t.Helper()
	ticket := w.gives()
	e := w.next(signal.TypeStart)
	if s := read[signal.Start](w.t, e); s.Ticket != ticket {
		w.t.Errorf("the start has the ticket %q, not %q", s.Ticket, ticket)
	}
	return e
}

// opens grants what it is asked for until it has started a game, whatever else
// it hears.
func (w *worker) opens() {
	w.t.Helper()
	for {
		select {
		case e := <-w.in:
			switch e.Type {
			case signal.TypeReserve:
				w.say(signal.TypeReserved, e.ID, "", signal.Reserved{Ticket: read[signal.Reserve](w.t, e).Ticket, Seconds: 30})
			case signal.TypeStart:
				w.yes(e, signal.NewID())
				return
			}
		case <-time.After(patient):
			w.t.Fatal("nothing is started")
		}
	}
}

// leaves waits for the end of a session whose start failed, and its place's.
func (w *worker) leaves() {
	w.t.Helper()
	w.next(signal.TypeLeave)
	w.next(signal.TypeCancel)
}

// yes answers a request with a room.
func (w *worker) yes(e signal.Envelope, room string) {
	w.t.Helper()
	w.say(signal.TypeAnswer, e.ID, e.Session, answer("pong", room))
}

func (w *worker) no(e signal.Envelope, code signal.Code) {
	w.t.Helper()
	w.say(signal.TypeError, e.ID, e.Session, signal.Errorf(code, "no: %s", code))
}

func answer(game, room string) signal.Answer {
	return signal.Answer{SDP: "v=0 answer", Room: room, Game: game, Title: "T", System: "nes", Player: 1, Seats: 2}
}

// plays brings a page into a game and answers the session that the worker saw.
func (p *page) plays(w *worker) (session, token, room string) {
	p.t.Helper()
	room = signal.NewID()
	p.say(signal.TypeStart, "s", "", signal.Start{Game: "pong", SDP: "v=0"})
	e := w.starts()
	w.yes(e, room)
	a := p.next(signal.TypeAnswer)
	if a.ID != "s" {
		p.t.Errorf("the answer is to %q", a.ID)
	}
	return e.Session, read[signal.Answer](p.t, a).Token, room
}
