package uplink

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// However long a coordinator was away, it is looked for each second.
func TestBackOffWhileAway(t *testing.T) {
	r := newRole()
	k := New(r.Role)
	s := newSeeker(k, discovery.Endpoint{URL: "ws://a"})
	refused := func() time.Duration { return s.backOff(0, fmt.Errorf("connect: %w", statusError{503, "503"})) }
	away := func() time.Duration {
		return s.backOff(0, fmt.Errorf("read: %w", &websocket.CloseError{Code: websocket.CloseAbnormalClosure}))
	}
	for range 20 {
		if d := away(); d > time.Second {
			t.Fatalf("%v while it is away", d)
		}
	}
	longest := time.Duration(0)
	for i := range 100 {
		d := refused()
		longest = max(longest, d)
		if d > 30*time.Second || i == 0 && d > time.Second {
			t.Fatalf("%v after refusal %d", d, i)
		}
	}
	if longest < 15*time.Second {
		t.Errorf("at most %v after refusals", longest)
	}
	if d := away(); d > time.Second {
		t.Errorf("%v after a refusal, while it is away", d)
	}
	for range 20 {
		refused()
	}
	if d := s.backOff(time.Hour, errSlow); d > 300*time.Millisecond {
		t.Errorf("%v after a link that lasted", d)
	}
	for range 20 { // a link that ends at once, again and again
		if d := s.backOff(1, errSlow); d > time.Second {
			t.Errorf("%v after a link", d)
		}
	}
	if d := s.pause; d != k.times.away {
		t.Errorf("links that do not last are made again after %v", d)
	}
}

// A thousand workers that lose a coordinator at the same moment do not come back
// at the same moment.
func TestJitter(t *testing.T) {
	const workers, slots = 1000, 10
	var hits [slots]int
	for range workers {
		d := jitter(time.Second)
		if d < time.Second/4 || d > time.Second {
			t.Fatal(d)
		}
		hits[min(slots-1, int((d-time.Second/4)*slots/(time.Second*3/4)))]++
	}
	for i, n := range hits {
		if n < workers/slots/2 || n > workers/slots*2 {
			t.Errorf("%d of %d come back in tenth %d", n, workers, i)
		}
	}
}

func TestRefusals(t *testing.T) {
	deny := signal.Errorf(signal.CodeDenied, "wrong secret")
	tests := map[string]struct {
		change func(*coordinator)
		says   string
	}{
		"status 503": {func(c *coordinator) { c.status = http.StatusServiceUnavailable }, "503"},
		"status 404": {func(c *coordinator) { c.status = http.StatusNotFound }, "404"},
		"denied": {func(c *coordinator) {
			c.accept = func(conn *websocket.Conn, _ signal.Envelope) bool { say(conn, signal.TypeError, deny); return false }
		}, "wrong secret"},
		"refused at once": {func(c *coordinator) {
			c.greet = func(conn *websocket.Conn) bool { say(conn, signal.TypeError, deny); return false }
		}, "wrong secret"},
		"no challenge": {func(c *coordinator) {
			c.greet = func(conn *websocket.Conn) bool { say(conn, signal.TypeHello, nil); return false }
		}, "greets with"},
		"bad challenge": {func(c *coordinator) {
			c.greet = func(conn *websocket.Conn) bool {
				say(conn, signal.TypeChallenge, signal.Challenge{Nonce: "00", Coordinator: "c"})
				return false
			}
		}, "nonce"},
		"rubbish": {func(c *coordinator) {
			c.greet = func(conn *websocket.Conn) bool {
				_ = conn.WriteMessage(websocket.TextMessage, []byte("x"))
				return false
			}
		}, "JSON"},
		"bad error": {func(c *coordinator) {
			c.accept = func(conn *websocket.Conn, _ signal.Envelope) bool { say(conn, signal.TypeError, nil); return false }
		}, "code is malformed"},
		"no answer": {func(c *coordinator) {
			c.accept = func(conn *websocket.Conn, _ signal.Envelope) bool { say(conn, signal.TypeWant, nil); return false }
		}, "answers our introduction"},
		"too large": {func(c *coordinator) {
			c.greet = func(conn *websocket.Conn) bool {
				_ = conn.WriteMessage(websocket.TextMessage, make([]byte, signal.MaxInternal+1))
				return false
			}
		}, "read limit"},
		"closed": {func(c *coordinator) { c.greet = func(*websocket.Conn) bool { return false } }, "1006"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCoordinator(t, test.change)
			r := newRole().run(t, at(c.endpoint()))
			until(t, "some attempts", func() bool { return c.tried() >= 4 })
			if r.links() != 0 || len(r.saw()) != 0 {
				t.Errorf("joined: %v", r.saw())
			}
			if n := r.log.count("level=WARN"); n != 1 || r.log.count(test.says) != 1 {
				t.Errorf("the cause is logged %d times, want once with %q:\n%s", n, test.says, r.log)
			}
		})
	}
}

// A coordinator that says something else each time does not fill the log.
func TestManyCausesAreFewLines(t *testing.T) {
	c := newCoordinator(t, func(c *coordinator) {
		c.accept = func(conn *websocket.Conn, _ signal.Envelope) bool {
			say(conn, signal.TypeError, signal.Errorf(signal.CodeFailed, "%s", signal.NewID()))
			return false
		}
	})
	times := quick()
	times.refused = times.first
	r := newRole().runWith(t, times, at(c.endpoint()))
	until(t, "many attempts", func() bool { return c.tried() > 2*maxSaid })
	if n := r.log.count("level=WARN"); n != maxSaid {
		t.Errorf("%d lines", n)
	}
}

// A coordinator that says that it goes is no cause for worry: each rollout has some.
// That it cannot be reached is.
func TestFarewellIsNoWarning(t *testing.T) {
	r := newRole()
	var logged bytes.Buffer
	r.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	s := newSeeker(New(r.Role), discovery.Endpoint{URL: "ws://a"})
	for _, code := range []int{websocket.CloseGoingAway, websocket.CloseServiceRestart} {
		s.backOff(time.Minute, fmt.Errorf("read: %w", &websocket.CloseError{Code: code, Text: "the coordinator is stopping"}))
	}
	if text := logged.String(); strings.Contains(text, "level=WARN") || strings.Count(text, "has gone") != 2 {
		t.Errorf("logged\n%s", text)
	}
	for _, err := range []error{
		fmt.Errorf("read: %w", &websocket.CloseError{Code: websocket.CloseAbnormalClosure}),
		fmt.Errorf("read: %w", &websocket.CloseError{Code: websocket.ClosePolicyViolation}),
		fmt.Errorf("connect: %w", errSlow),
	} {
		logged.Reset()
		s.backOff(0, err)
		if text := logged.String(); strings.Count(text, "level=WARN") != 1 {
			t.Errorf("%v: logged %q", err, text)
		}
	}
}

// Who is denied tries the next secret, and stays with the one that fits.
func TestAttempts(t *testing.T) {
	var c *coordinator
	denials := 2
	c = newCoordinator(t, func(c *coordinator) {
		c.accept = func(conn *websocket.Conn, _ signal.Envelope) bool {
			c.mu.Lock()
			denials--
			denied := denials >= 0
			c.mu.Unlock()
			if denied {
				say(conn, signal.TypeError, signal.Errorf(signal.CodeDenied, "wrong secret"))
				return false
			}
			say(conn, signal.TypeAccepted, nil)
			return true
		}
	})
	r := newRole().run(t, at(c.endpoint()))
	r.link(t)
	c.kill()
	until(t, "the end", func() bool { return r.links() == 0 })
	c.start(t)
	r.link(t)
	if got := r.tried(); !slices.Equal(got, []int{0, 1, 2, 2}) {
		t.Errorf("attempts are %v", got)
	}
	if n := strings.Count(r.log.String(), "wrong secret"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestAway(t *testing.T) {
	refused := func(code int) error { return fmt.Errorf("connect: %w", statusError{code, http.StatusText(code)}) }
	closed := func(code int) error { return fmt.Errorf("read: %w", &websocket.CloseError{Code: code}) }
	var d net.Dialer
	_, nobody := d.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, timeout := d.DialContext(late, "tcp", "127.0.0.1:1")
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"nobody": {nobody, true}, "time-out": {timeout, false}, "503": {refused(503), false}, "401": {refused(401), false}, "502": {refused(502), true},
		"killed": {closed(1006), true}, "going": {closed(1001), true}, "policy": {closed(1008), false}, "try later": {closed(1013), false},
		"denied": {fmt.Errorf("x: %w", signal.Errorf(signal.CodeDenied, "no")), false}, "odd": {errors.New("odd"), false},
	} {
		if test.err == nil || away(test.err) != test.want {
			t.Errorf("%s: away(%v) = %v", name, test.err, !test.want)
		}
	}
}

// Two attempts differ by our own port only: that is one cause.
func TestGist(t *testing.T) {
	addr := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }
	reset := func(port int) error {
		return fmt.Errorf("read: %w", &net.OpError{Op: "read", Net: "tcp", Source: addr(port), Addr: addr(1), Err: errors.New("reset")})
	}
	if a, b := gist(reset(7)), gist(reset(8)); a != b || !strings.Contains(a, "reset") {
		t.Errorf("%q and %q", a, b)
	}
	if gist(errSlow) != errSlow.Error() {
		t.Error(gist(errSlow))
	}
}

// With wss the certificate must be for the URL's host, by a root of the system.
func TestTLS(t *testing.T) {
	names := make(chan string, 100)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- hello.ServerName
		return nil, nil
	}}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.StartTLS()
	defer server.Close()
	r := newRole().run(t, at(discovery.Endpoint{URL: "wss://play.example.org", Dial: server.Listener.Addr().String()}))
	if name := <-names; name != "play.example.org" {
		t.Errorf("the name is %q", name)
	}
	until(t, "the refusal", func() bool { return r.log.count("certificate") >= 1 })
	if r.links() != 0 {
		t.Error("a certificate of nobody is taken")
	}
}

// A coordinator that takes connections and says nothing is a time-out, not one
// that is away.
func TestTimeOut(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	k := New(newRole().Role)
	k.times.dial = 20 * time.Millisecond
	_, err = newSeeker(k, discovery.Endpoint{URL: "ws://" + silent.Addr().String()}).join(t.Context())
	if err == nil || away(err) {
		t.Errorf("join = %v, away = %v", err, away(err))
	}
	c := newCoordinator(t, func(c *coordinator) {
		c.greet = func(conn *websocket.Conn) bool { _, err := hear(conn); return err == nil }
	})
	k.times = quick()
	k.times.handshake = 20 * time.Millisecond
	_, err = newSeeker(k, c.endpoint()).join(t.Context())
	if err == nil || away(err) {
		t.Errorf("join = %v, away = %v", err, away(err))
	}
}
