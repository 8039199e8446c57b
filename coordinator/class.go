package coordinator

import (
	"context"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Buffers of a socket: there is one to read in each, the others are shared by
// those that write just now.
const (
	readBuffer  = 512 // longer messages are read past it
	writeBuffer = 4 << 10
)

// class is a kind of socket: who may open how many, and what each may take.
type class struct {
	upgrader websocket.Upgrader
	sockets  bound        // how many may be open
	open     atomic.Int64 // how many are; Coordinator.gate guards what is added
	crowd    *crowd       // by address
	limit    int          // bytes of a message
	queue    int          // messages to be written
	pace     pace
}

// newClass is of pages: their network may be away for a while.
func newClass(sockets, perAddress bound, limit, queue int, allow func(*http.Request) bool) *class {
	return &class{
		upgrader: websocket.Upgrader{
			HandshakeTimeout: handshakeTimeout, ReadBufferSize: readBuffer,
			WriteBufferSize: writeBuffer, WriteBufferPool: &sync.Pool{}, CheckOrigin: allow,
		},
		sockets: sockets, crowd: newCrowd(perAddress), limit: limit, queue: queue,
		pace: pace{ping: 20 * time.Second, patience: 45 * time.Second},
	}
}

// newRoles is of workers and gates: what is gone must be missed within 10 s.
func newRoles(sockets bound) *class {
	k := newClass(sockets, sockets, signal.MaxInternal, roleQueue, allowNone)
	k.pace = pace{
		ping: 3 * time.Second, patience: 8 * time.Second,
		silent: silentAfter, reserve: reservePatience, manage: managePatience, library: libraryPatience,
	}
	return k
}

// serveSocket upgrades a connection and has run serve it, in a goroutine of its
// own: that of the request would hold on to all that came with it. Run of the
// Coordinator waits for it. The context of r is that of the socket.
func (c *Coordinator) serveSocket(rw http.ResponseWriter, r *http.Request, k *class, run func(ctx context.Context, sock *socket)) {
	from := addressOf(r)
	if !k.crowd.enter(from) {
		c.stats.refuse("address")
		http.Error(rw, "too many connections from your address", http.StatusTooManyRequests)
		return
	}
	if !c.enter(k) {
		k.crowd.exit(from)
		c.stats.refuse("sockets")
		http.Error(rw, "too many connections, or stopping; try again in a moment", http.StatusServiceUnavailable)
		return
	}
	leave := func() {
		k.crowd.exit(from)
		c.exit(k)
	}
	conn, err := k.upgrader.Upgrade(rw, r, nil)
	if err != nil {
		leave()
		cause := "handshake"
		if !k.upgrader.CheckOrigin(r) {
			cause = "origin"
		}
		c.stats.refuse(cause)
		c.log.Debug("no WebSocket", "from", r.RemoteAddr, "path", r.URL.Path, "cause", err)
		return // Upgrade has answered
	}
	ctx, sock := r.Context(), newSocket(conn, k.limit, k.queue, k.pace)
	go func() { // waited for by c.sockets, see enter
		defer leave()
		defer c.recovered()
		sock.serve(ctx, run)
		if sock.lagged() {
			c.stats.refuse("slow")
		}
	}()
}

// recovered keeps a fault in what serves one socket from ending all others, as
// net/http does for requests.
func (c *Coordinator) recovered() {
	if p := recover(); p != nil {
		c.log.Error("socket handler panicked", "cause", p, "stack", string(debug.Stack()))
	}
}

// enter counts a socket in, unless there are too many or we are stopping.
func (c *Coordinator) enter(k *class) bool {
	c.gate.Lock()
	defer c.gate.Unlock()
	if c.closing || k.open.Load() >= int64(k.sockets()) {
		return false
	}
	k.open.Add(1)
	c.sockets.Add(1)
	return true
}

func (c *Coordinator) exit(k *class) {
	k.open.Add(-1)
	c.sockets.Done()
}
