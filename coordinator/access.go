package coordinator

import (
	"bufio"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what of a request is logged.
const (
	maxLoggedMethod  = 16  // bytes
	maxLoggedPath    = 160 // bytes
	maxLoggedSegment = 64  // bytes: a name or id of ours
)

// logged writes a line for each request that next has answered, and for each
// WebSocket when it has ended, if Config.AccessLog says so. Nothing of a query,
// a header or a body is in it, so that no token is.
func (c *Coordinator) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !c.now().accessLog {
			next.ServeHTTP(rw, r)
			return
		}
		begin := time.Now()
		line := c.log.With("method", cut(r.Method, maxLoggedMethod), "path", loggedPath(r.URL.Path), "from", loggedFrom(r))
		if user := c.door.User(r); user != nil {
			line = line.With("user", user.ID)
		}
		w := &loggedWriter{ResponseWriter: rw, ended: func(status int, bytes int64) {
			line.Info("request", "status", status, "bytes", bytes, "duration", time.Since(begin))
		}}
		next.ServeHTTP(w, r)
		w.end()
	})
}

// loggedPath is a path without anything that is none of our names and ids: who
// pastes a link with its token into one has it stand here for all to read.
func loggedPath(path string) string {
	segments := strings.Split(cut(path, maxLoggedPath), "/")
	for i, s := range segments {
		if len(s) > maxLoggedSegment || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
			segments[i] = "*"
		}
	}
	return strings.Join(segments, "/")
}

// loggedFrom is where a request comes from, as far as it is counted.
func loggedFrom(r *http.Request) string {
	if a := addressOf(r); a != (address{}) {
		return netip.Prefix(a).String()
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func cut(s string, limit int) string { return s[:min(len(s), limit)] }

// loggedWriter counts what is answered. A connection that is taken over logs
// its own end.
type loggedWriter struct {
	http.ResponseWriter
	ended  func(status int, bytes int64)
	status int
	bytes  int64
	taken  bool
}

// WriteHeader implements http.ResponseWriter.
func (w *loggedWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK { // what is below comes before the answer
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *loggedWriter) Write(data []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(data)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *loggedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker.
func (w *loggedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.taken = true
	own, ended := &loggedConn{Conn: conn}, w.ended // w, and the request with it, must not last as long
	own.close = sync.OnceFunc(func() { ended(http.StatusSwitchingProtocols, own.written.Load()) })
	return own, buffered, nil
}

// end logs, unless the connection will.
func (w *loggedWriter) end() {
	if w.taken {
		return
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.ended(w.status, w.bytes)
}

// loggedConn is a WebSocket's connection, which is logged when it is closed.
type loggedConn struct {
	net.Conn
	written atomic.Int64
	close   func()
}

// Write implements net.Conn.
func (c *loggedConn) Write(data []byte) (int, error) {
	n, err := c.Conn.Write(data)
	c.written.Add(int64(n))
	return n, err
}

// Close implements net.Conn.
func (c *loggedConn) Close() error {
	err := c.Conn.Close()
	c.close()
	return err
}
