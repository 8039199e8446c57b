package coordinator

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

func TestVisits(t *testing.T) {
	const a, i, h, c = http.StateActive, http.StateIdle, http.StateHijacked, http.StateClosed
	for name, test := range map[string]struct {
		states []http.ConnState
		served bool
		lasts  time.Duration
		want   string
	}{
		"silent and gone":        {states: []http.ConnState{c}},
		"half-open":              {states: []http.ConnState{c}, lasts: headerTimeout, want: "slow"},
		"slow headers":           {states: []http.ConnState{a, c}, lasts: headerTimeout, want: "slow"},
		"malformed":              {states: []http.ConnState{a, c}, want: "bad-request"},
		"served":                 {states: []http.ConnState{a, c}, served: true, lasts: time.Hour},
		"kept alive":             {states: []http.ConnState{a, i, c}, served: true, lasts: time.Hour},
		"slow in the second":     {states: []http.ConnState{a, i, a, c}, served: true, lasts: headerTimeout, want: "slow"},
		"malformed afterwards":   {states: []http.ConnState{a, i, a, c}, served: true, want: "bad-request"},
		"a WebSocket, and after": {states: []http.ConnState{a, h, c}, lasts: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := ""
				v := newVisits(func(cause string) { got += cause })
				conn, other := net.Pipe()
				defer func() { _, _ = conn.Close(), other.Close() }()
				ctx := v.come(context.Background(), conn)
				if test.served {
					r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
					v.served(http.NotFoundHandler()).ServeHTTP(discard{}, r)
				}
				for n, state := range test.states {
					if n == len(test.states)-1 {
						time.Sleep(test.lasts)
					}
					v.changed(conn, state)
				}
				v.changed(other, c) // nobody knows it
				if got != test.want || len(v.open) != 0 {
					t.Errorf("%q, %d are left", got, len(v.open))
				}
			})
		})
	}
}

// discard is an http.ResponseWriter.
type discard struct{}

func (discard) Header() http.Header            { return http.Header{} }
func (discard) Write(data []byte) (int, error) { return len(data), nil }
func (discard) WriteHeader(int)                {}

// What no handler of ours hears of is counted all the same.
func TestMalformedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := startPiped(t)
		want := maps.Clone(d.stats.refusals())
		for _, test := range []struct {
			request, cause string
			status         int
		}{
			{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "bad-request", 400},
			{"GET / HTTP/1.1\r\n\r\n", "bad-request", 400},
			{"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", "bad-request", 400},
			{"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n", "bad-request", 431},
			{"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "method", 405},
			{"PUT /ws HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "method", 405},
			{"CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\nConnection: close\r\n\r\n", "path", 404},
		} {
			conn, err := d.dialer.NetDialContext(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			var sent sync.WaitGroup
			sent.Go(func() { _, _ = conn.Write([]byte(test.request)) }) // not all of it may be read
			buf := make([]byte, 64)
			n, _ := conn.Read(buf)
			if !strings.HasPrefix(string(buf[:n]), fmt.Sprintf("HTTP/1.1 %d ", test.status)) {
				t.Errorf("%.40q: %q", test.request, buf[:n])
			}
			_ = conn.Close()
			sent.Wait()
			want[test.cause]++
			until(t, "the count of "+test.cause, func() bool { return maps.Equal(d.stats.refusals(), want) })
		}
	})
}

// Who reads too slowly is cut and counted; whose connection fails is not.
func TestSlowReaderIsCounted(t *testing.T) {
	d := start(t, func(c *Config) { c.Logger = nil })
	p := d.page()
	s := d.sessions.byID[p.hello.Session]
	s.sock.mu.Lock()
	for range s.sock.room { // as if the other side took nothing
		s.sock.queue = append(s.sock.queue, []byte("{}"))
	}
	s.sock.mu.Unlock()
	s.sock.send([]byte("{}"))
	until(t, "the count", func() bool { return d.stats.refusals()["slow"] == 1 })
	for _, test := range []struct {
		err    error
		ended  bool
		lagged bool
	}{{os.ErrDeadlineExceeded, false, true}, {os.ErrDeadlineExceeded, true, false}, {os.ErrClosed, false, false}} {
		one := loose()
		if test.ended {
			one.cut(websocket.CloseNormalClosure, "")
		}
		if one.fail(test.err); one.lagged() != test.lagged {
			t.Errorf("%+v: %v", test, one.lagged())
		}
	}
}
