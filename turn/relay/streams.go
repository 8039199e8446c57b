package relay

import (
	"net"
	"sync"
	"time"
)

// acceptPause is how long is waited after an Accept that failed, for want of
// file descriptors as a rule.
const acceptPause = 100 * time.Millisecond

// streams are the connections of a stream listener.
type streams struct {
	listener *Listener
	ln       net.Listener
	framing  Framing

	mu     sync.Mutex
	closed bool
	conns  map[endpoint]*stream
}

// ListenStreams serves the connections that ln accepts: TCP or TLS (framing
// Stream), or DTLS (Datagram). Remote addresses must be *net.TCPAddr or
// *net.UDPAddr. The Listener owns ln. Accept must not wait for handshakes: give
// connections that do theirs in the first Read, as tls.Conn, which happens in
// a goroutine of its own. A connection without an allocation is closed after 30
// seconds; when a connection ends, so does its allocation. It may be called
// before and while Run runs.
func (r *Relay) ListenStreams(ln net.Listener, framing Framing) (*Listener, error) {
	l := r.newListener(ln.Addr())
	l.streams = &streams{listener: l, ln: ln, framing: framing, conns: map[endpoint]*stream{}}
	if err := r.adopt(l); err != nil {
		_ = l.Close()
		return nil, err
	}
	r.spawn(l.streams.accept) // refused only if l has been closed meanwhile
	return l, nil
}

// accept serves connections until close.
func (s *streams) accept() {
	for {
		conn, err := s.ln.Accept()
		if err == nil {
			s.serve(conn)
			continue
		}
		timer := time.NewTimer(acceptPause)
		select {
		case <-s.listener.done:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// serve starts a connection's goroutines, if there is room for it. The
// 5-tuple of a listener on several addresses may be ambiguous: the first wins.
func (s *streams) serve(conn net.Conn) {
	from, ok := endpointOfAddr(conn.RemoteAddr())
	c := newStream(s, conn, from)
	if !ok || !s.add(c) {
		_ = conn.Close() // nobody to tell
		return
	}
	if !s.listener.relay.spawn(c.read) || !s.listener.relay.spawn(c.write) {
		c.close()
	}
}

// add takes c in. When there are too many, a stranger gives way: connections
// without an allocation must not keep those out that will have one, however many
// somebody opens. Any of them will do, as the map gives them, for in a flood
// hardly one is honest.
func (s *streams) add(c *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.conns[c.from] != nil {
		return false
	}
	if len(s.conns) >= s.listener.relay.cfg.MaxStreams {
		stranger := s.stranger()
		if stranger == nil || !s.listener.relay.spawn(stranger.close) {
			return false
		}
		delete(s.conns, stranger.from)
	}
	s.conns[c.from] = c
	return true
}

// stranger is a connection without an allocation, or nil.
func (s *streams) stranger() *stream {
	for _, c := range s.conns {
		if !c.holds() {
			return c
		}
	}
	return nil
}

func (s *streams) remove(c *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c.from] == c {
		delete(s.conns, c.from)
	}
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// write queues a control message for the client at to.
func (s *streams) write(to endpoint, p []byte) {
	s.mu.Lock()
	c := s.conns[to]
	s.mu.Unlock()
	if c == nil || !c.enqueue(nil, p) {
		s.listener.counters[s.listener.relay.cfg.Loops].dropped[DropSlow].Add(1)
	}
}

// close ends all connections. It is called once.
func (s *streams) close() {
	s.mu.Lock()
	s.closed = true
	all := make([]*stream, 0, len(s.conns))
	for _, c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	_ = s.ln.Close() // nobody to tell
	for _, c := range all {
		c.close()
	}
}
