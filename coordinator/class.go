package coordinator

import (
	"context"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

// class is a kind of socket: who may open how many, and what each may take.
type class struct {
	upgrader websocket.Upgrader
	slots    chan struct{} // one per open socket
	crowd    *crowd        // by address
	limit    int           // bytes of a message
	queue    int           // messages to be written
}

func newClass(sockets, perAddress, limit, queue int, allow func(*http.Request) bool) class {
	return class{
		upgrader: websocket.Upgrader{
			HandshakeTimeout: handshakeTimeout, ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10, CheckOrigin: allow,
		},
		slots: make(chan struct{}, sockets), crowd: newCrowd(perAddress), limit: limit, queue: queue,
	}
}

// serveSocket upgrades a connection and lets run serve it. It returns after
// the socket's last goroutine ended.
func (c *Coordinator) serveSocket(rw http.ResponseWriter, r *http.Request, k *class, run func(ctx context.Context, sock *socket)) {
	from := addressOf(r)
	if !k.crowd.enter(from) {
		http.Error(rw, "too many connections from your address", http.StatusTooManyRequests)
		return
	}
	defer k.crowd.exit(from)
	if !c.enter(k) {
		http.Error(rw, "too many connections, or stopping; try again in a moment", http.StatusServiceUnavailable)
		return
	}
	defer c.exit(k)
	conn, err := k.upgrader.Upgrade(rw, r, nil)
	if err != nil {
		c.log.Debug("no WebSocket", "from", r.RemoteAddr, "path", r.URL.Path, "cause", err)
		return // Upgrade has answered
	}
	sock := newSocket(conn, k.limit, k.queue)
	var writer sync.WaitGroup
	writer.Go(func() { sock.writeLoop(r.Context()) })
	run(r.Context(), sock)
	sock.cut(websocket.CloseNormalClosure, "")
	writer.Wait()
}

// enter counts a socket in, unless there are too many or we are stopping.
func (c *Coordinator) enter(k *class) bool {
	c.gate.Lock()
	defer c.gate.Unlock()
	if c.closing {
		return false
	}
	select {
	case k.slots <- struct{}{}:
		c.sockets.Add(1)
		return true
	default:
		return false
	}
}

func (c *Coordinator) exit(k *class) {
	<-k.slots
	c.sockets.Done()
}
