package uplink

import (
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// coordinator is a fake one, which can be killed and started again at the same
// address.
type coordinator struct {
	id      string
	address string
	greet   func(conn *websocket.Conn) bool                    // in place of the challenge; false = it is over
	accept  func(conn *websocket.Conn, e signal.Envelope) bool // in place of Accepted; false = it is over
	serve   func(conn *websocket.Conn)                         // in place of reading
	status  int                                                // in place of a WebSocket

	hands   sync.Mutex // held while Accepted is written
	mu      sync.Mutex
	server  *http.Server
	conns   map[*websocket.Conn]struct{}
	nonces  []string
	hosts   []string
	tries   int
	heard   []signal.Envelope
	ends    []error // of reading
	serving sync.WaitGroup
}

// newCoordinator starts one; change is called before.
func newCoordinator(t *testing.T, change func(*coordinator)) *coordinator {
	t.Helper()
	c := &coordinator{id: signal.NewID(), address: "127.0.0.1:0", conns: map[*websocket.Conn]struct{}{}}
	if change != nil {
		change(c)
	}
	c.start(t)
	t.Cleanup(c.kill)
	return c
}

func (c *coordinator) start(t *testing.T) {
	t.Helper()
	c.address = c.listen(t, c.address)
}

// listen opens one more address.
func (c *coordinator) listen(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	if c.server == nil {
		server := &http.Server{}
		server.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { c.handle(server, rw, r) })
		c.server = server
	}
	server := c.server
	c.mu.Unlock()
	c.serving.Go(func() { _ = server.Serve(l) })
	return l.Addr().String()
}

// kill ends it as kill -9 does: without a word.
func (c *coordinator) kill() {
	c.mu.Lock()
	server := c.server
	c.server = nil
	for conn := range c.conns {
		_ = conn.UnderlyingConn().Close()
	}
	c.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
	c.serving.Wait()
}

// handle serves one who comes to the server, unless that was killed.
func (c *coordinator) handle(server *http.Server, rw http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	if c.server != server {
		c.mu.Unlock()
		return
	}
	c.serving.Add(1) // kill waits from now on
	defer c.serving.Done()
	c.tries++
	c.hosts = append(c.hosts, r.Host+r.URL.Path)
	status := c.status
	c.mu.Unlock()
	if status != 0 {
		http.Error(rw, "go away", status)
		return
	}
	conn, err := (&websocket.Upgrader{}).Upgrade(rw, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	if !c.keep(server, conn) {
		return
	}
	defer c.forget(conn)
	if c.shakeHands(conn) {
		c.read(conn)
	}
}

// keep has kill close a connection; false if that has been called by now.
func (c *coordinator) keep(server *http.Server, conn *websocket.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != server {
		return false
	}
	c.conns[conn] = struct{}{}
	return true
}

func (c *coordinator) forget(conn *websocket.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, conn)
}

func (c *coordinator) shakeHands(conn *websocket.Conn) bool {
	if c.greet != nil {
		if !c.greet(conn) {
			return false
		}
	} else {
		nonce := signal.NewNonce()
		c.mu.Lock()
		c.nonces = append(c.nonces, nonce)
		c.mu.Unlock()
		say(conn, signal.TypeChallenge, signal.Challenge{Nonce: nonce, Coordinator: c.id})
	}
	e, err := hear(conn)
	if err != nil {
		return false
	}
	c.hands.Lock()
	defer c.hands.Unlock()
	if c.accept != nil {
		return c.accept(conn, e)
	}
	say(conn, signal.TypeAccepted, signal.Accepted{Library: true})
	return true
}

func (c *coordinator) read(conn *websocket.Conn) {
	if c.serve != nil {
		c.serve(conn)
		return
	}
	for {
		e, err := hear(conn)
		c.mu.Lock()
		if err != nil {
			c.ends = append(c.ends, err)
		} else {
			c.heard = append(c.heard, e)
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// endpoint is where it is.
func (c *coordinator) endpoint() discovery.Endpoint {
	return discovery.Endpoint{URL: "ws://" + c.address}
}

// tell sends all that have joined a message.
func (c *coordinator) tell(t signal.Type, id, session string, payload any) {
	data, err := signal.Encode(t, id, session, payload)
	if err != nil {
		panic(err)
	}
	c.tellRaw(websocket.TextMessage, data)
}

func (c *coordinator) tellRaw(kind int, data []byte) {
	c.hands.Lock()
	defer c.hands.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		_ = conn.WriteMessage(kind, data)
	}
}

// messages are those that it has heard of a type.
func (c *coordinator) messages(t signal.Type) (list []signal.Envelope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.heard {
		if e.Type == t {
			list = append(list, e)
		}
	}
	return list
}

// types are those of all messages so far.
func (c *coordinator) types() (types []signal.Type) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.heard {
		types = append(types, e.Type)
	}
	return types
}

func (c *coordinator) tried() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tries
}

func (c *coordinator) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func say(conn *websocket.Conn, t signal.Type, payload any) {
	data, err := signal.Encode(t, "", "", payload)
	if err != nil {
		panic(err)
	}
	_ = conn.WriteMessage(websocket.TextMessage, data) // who left is noticed by reading
}

func hear(conn *websocket.Conn) (signal.Envelope, error) {
	_, data, err := conn.ReadMessage()
	if err != nil {
		return signal.Envelope{}, err
	}
	return signal.Decode(data, signal.MaxInternal)
}
