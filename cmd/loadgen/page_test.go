package loadgen

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// door is a coordinator of which each page meets the next script, and greets it.
func door(t *testing.T, scripts ...func(s side)) Options {
	t.Helper()
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		script := func(side) {}
		if len(scripts) > 0 {
			script, scripts = scripts[0], scripts[1:]
		}
		mu.Unlock()
		if r.URL.Path != "/ws" || r.Header.Get("Origin") != "http://"+r.Host {
			t.Errorf("%s from %s", r.URL, r.Header.Get("Origin"))
		}
		u := websocket.Upgrader{}
		conn, err := u.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		s := side{t, conn}
		s.say(signal.TypeHello, "", "", signal.Hello{Session: "s", Token: "t"})
		script(s)
	}))
	t.Cleanup(server.Close)
	return Options{Coordinators: []string{server.Listener.Addr().String()}, Game: ourGame, Starts: 1, Hold: time.Minute}
}

func room(letter string) string { return strings.Repeat(letter, 26) }

func answerIn(room string) signal.Answer {
	return signal.Answer{SDP: "v=0", Room: room, Game: ourGame, Player: 1, Seats: 1}
}

// start is the next Start of the page.
func (s side) start(id, ticket string) {
	s.t.Helper()
	e := s.hear(signal.TypeStart)
	start, err := signal.Read[signal.Start](e)
	if err != nil || e.ID != id || start.Ticket != ticket || start.Game != ourGame || !isCanned(start.SDP) {
		s.t.Errorf("%+v, %v", e, err)
	}
}

// bye is the end of a page that leaves: it says so, and closes in form.
func (s side) bye() {
	s.hear(signal.TypeLeave)
	if _, _, err := s.conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		s.t.Errorf("the page does not close in form: %v", err)
	}
}

func (s side) queued(position, waiting int) {
	s.say(signal.TypeQueued, "1", "", signal.Queued{Position: position, Waiting: waiting})
}

func (s side) granted(ticket string) {
	s.say(signal.TypeGranted, "", "", signal.Granted{Ticket: ticket, Seconds: 5})
}

// A page waits, is given a place, plays and leaves.
func TestPagePlays(t *testing.T) {
	o := door(t, func(s side) {
		s.start("1", "")
		s.queued(3, 3)
		s.queued(1, 2)
		s.say(signal.TypeServers, "", "", signal.Servers{}) // nothing to a page without media
		s.say(signal.TypeCandidate, "", "", signal.Candidate{})
		s.granted("a-ticket")
		s.start("2", "a-ticket")
		s.say(signal.TypeAnswer, "2", "", answerIn(room("a")))
		s.bye()
	})
	o.Hold = time.Millisecond
	r := strangers(t, o)
	r.starts(t.Context())
	n := r.tally.now()
	if n.started != 1 || n.everWait != 1 || n.mostWaits != 1 || n.waiting != 0 || n.granted != 1 || n.answered != 1 || n.doubled != 0 {
		t.Errorf("%+v", n)
	}
	got := r.report(false)
	if got.Wait.Count != 1 || got.Grant.Count != 0 || got.Answer.Count != 1 || got.Hello.Count != 1 || len(got.Causes) != 0 {
		t.Errorf("%+v", got)
	}
	if len(r.tally.rooms) != 0 || len(r.tally.line) != 0 {
		t.Error("something is left behind")
	}
}

// What becomes of a page, by what it is told after its Start.
func TestPagesPath(t *testing.T) {
	type outcome struct {
		waited, granted, answered, doubled int
		cause                              string
	}
	for name, test := range map[string]struct {
		script func(s side)
		want   outcome
	}{
		"a place at once, and an answer": {func(s side) {
			s.say(signal.TypeAnswer, "1", "", answerIn(room("a")))
			s.say(signal.TypeClosed, "", "", signal.Closed{Reason: "over"})
		}, outcome{0, 1, 1, 0, "lost: closed by the worker"}},
		"the place has expired": {func(s side) {
			s.granted("x")
			s.start("2", "x")
			s.say(signal.TypeError, "2", "", signal.Errorf(signal.CodeExpired, "too late"))
		}, outcome{0, 1, 0, 0, "start: expired"}},
		"the place is given twice to the one": {func(s side) {
			s.queued(1, 1)
			s.granted("x")
			s.start("2", "x")
			s.granted("y")
			s.start("2", "y")
			s.say(signal.TypeError, "2", "", signal.Errorf(signal.CodeFull, "x"))
		}, outcome{1, 1, 0, 0, "start: full"}},
		"two answers": {func(s side) {
			s.say(signal.TypeAnswer, "1", "", answerIn(room("a")))
			s.say(signal.TypeAnswer, "1", "", answerIn(room("b")))
			s.say(signal.TypeError, "1", "", signal.Errorf(signal.CodeFailed, "x"))
		}, outcome{0, 1, 1, 1, "lost: failed"}},
		"refused in the queue": {func(s side) {
			s.queued(1, 1)
			s.say(signal.TypeError, "1", "", signal.Errorf(signal.CodeNoWorker, "x"))
		}, outcome{1, 0, 0, 0, "start: no-worker"}},
		"a grant of nothing":   {func(s side) { s.say(signal.TypeGranted, "", "", nil) }, outcome{0, 0, 0, 0, "start: bad-request"}},
		"an answer of nothing": {func(s side) { s.say(signal.TypeAnswer, "1", "", nil) }, outcome{0, 0, 0, 0, "start: bad-request"}},
		"an error of nothing":  {func(s side) { s.say(signal.TypeError, "1", "", nil) }, outcome{0, 0, 0, 0, "start: bad-request"}},
		"another version": {func(s side) {
			_ = s.conn.WriteMessage(websocket.TextMessage, []byte(`{"v":2,"type":"queued"}`))
		}, outcome{0, 0, 0, 0, "start: version"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := strangers(t, door(t, func(s side) {
				s.start("1", "")
				test.script(s)
				_, _, _ = s.conn.ReadMessage()
			}))
			r.starts(t.Context())
			n := r.tally.now()
			if n.everWait != test.want.waited || n.granted != test.want.granted || n.answered != test.want.answered || n.doubled != test.want.doubled {
				t.Errorf("%+v, want %+v", n, test.want)
			}
			if got := r.tally.causes(); len(got) != 1 || got[0] != (Cause{test.want.cause, 1}) {
				t.Errorf("causes %v, want %s", got, test.want.cause)
			}
			if n.waiting != 0 || len(r.tally.line) != 0 || len(r.tally.rooms) != 0 {
				t.Errorf("%+v, something is left behind", n)
			}
		})
	}
}

// A coordinator that leads two pages into one room is found out.
func TestLyingCoordinator(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	script := func(s side) {
		s.start("1", "")
		s.say(signal.TypeAnswer, "1", "", answerIn(room("a")))
		s.conn.SetPongHandler(func(string) error { both.Done(); return nil }) // it has read the answer
		_ = s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
		s.bye()
	}
	o := door(t, script, script)
	o.Starts = 2
	r := strangers(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	var leave sync.WaitGroup
	leave.Go(func() { both.Wait(); cancel() })
	r.starts(ctx)
	leave.Wait()
	if got := r.report(false); got.Doubled != 1 || got.Answered != 2 {
		t.Errorf("%+v", got)
	}
}

// Positions of pages are exact only if all have been told their own.
func TestPositionsOfPages(t *testing.T) {
	r := strangers(t, Options{Coordinators: []string{"a:1"}, Libraries: 1})
	told := func(positions ...int) {
		clear(r.tally.line)
		for _, at := range positions {
			q := signal.Queued{Position: at, Waiting: 9}
			data, err := signal.Encode(signal.TypeQueued, "1", "", q)
			if err != nil {
				t.Fatal(err)
			}
			e, err := signal.Decode(data, signal.MaxMessage)
			if err == nil {
				err = r.newPage(0, false).hear(e, signal.Start{})
			}
			if err != nil {
				t.Error(err)
			}
		}
		r.tally.look()
	}
	for _, test := range []struct {
		positions []int
		exact     int
	}{
		{[]int{1, 1}, 0},
		{[]int{2, 3}, 0},
		{[]int{1}, 1},
		{[]int{3, 1, 2}, 3},
		{[]int{1, 2}, 3}, // fewer than before: the most counts
		{[]int{4, 3, 2, 2}, 3},
		{[]int{4, 3, 2, 1}, 4},
	} {
		told(test.positions...)
		if n := r.tally.now(); n.exact != test.exact {
			t.Errorf("%v: exact to %d, want %d", test.positions, n.exact, test.exact)
		}
	}
}

// Idle pages answer pings, leave in form when they are told to, and are missed
// when they are cut.
func TestIdlePages(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ponged := make(chan string, 1)
	r := strangers(t, door(t,
		func(s side) {
			s.conn.SetPongHandler(func(text string) error { ponged <- text; cancel(); return nil })
			_ = s.conn.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(time.Second))
			if _, _, err := s.conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				t.Errorf("the page does not close in form: %v", err)
			}
		},
		func(side) {}))
	r.idler(ctx, 0)
	if text := <-ponged; text != "there?" {
		t.Error(text)
	}
	if n := r.tally.now(); n.idle != 1 || n.mostIdle != 1 || n.idleLost != 0 || len(r.tally.causes()) != 0 {
		t.Errorf("%+v, %v", n, r.tally.causes())
	}
	r.idler(t.Context(), 1)
	if n := r.tally.now(); n.idle != 1 || n.mostIdle != 2 || n.idleLost != 1 {
		t.Errorf("%+v", n)
	}
	if got := r.tally.causes(); len(got) != 1 || !strings.HasPrefix(got[0].Why, "lost: ") {
		t.Errorf("%v", got)
	}
}

// What happens to a page after it was told to go is nobody's fault.
func TestPagesAreToldToGo(t *testing.T) {
	for name, test := range map[string]struct {
		script func(s side, cancel func())
		cause  string // "" = none
	}{
		"before the greeting is answered": {func(s side, cancel func()) {
			s.start("1", "")
			cancel()
			s.bye()
		}, "given up at the end"},
		"in the queue": {func(s side, cancel func()) {
			s.start("1", "")
			s.queued(1, 1)
			cancel()
			s.bye()
		}, "given up at the end"},
		"while it plays": {func(s side, cancel func()) {
			s.start("1", "")
			s.say(signal.TypeAnswer, "1", "", answerIn(room("a")))
			_ = s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
			s.conn.SetPongHandler(func(string) error { cancel(); return nil }) // it has read the answer
			s.bye()
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := strangers(t, door(t, func(s side) { test.script(s, cancel) }))
			r.starts(ctx)
			got := r.tally.causes()
			if test.cause == "" && len(got) != 0 || test.cause != "" && (len(got) != 1 || got[0].Why != test.cause) {
				t.Errorf("%v", got)
			}
			if n := r.tally.now(); n.waiting != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// A page that measures has a latency for each zone, in bounds.
func TestLatencies(t *testing.T) {
	if got := (&run{}).newPage(0, false).latencies(); got != nil {
		t.Error(got)
	}
	got := (&run{o: Options{Zones: signal.MaxZones}}).newPage(0, false).latencies()
	if err := (signal.Start{Game: ourGame, Latencies: got}).Validate(); err != nil || len(got) != signal.MaxZones || got["zone-1"] < 5 {
		t.Errorf("%v, %v", got, err)
	}
}
