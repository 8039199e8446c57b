package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// Secrets of the processes of one test.
const (
	guestSecret    = "secrets.worker=0123456789abcdef0123"
	guestSessions  = "fedcba98765432103210"
	guestKey       = "secrets.session=" + guestSessions
	guestsPatience = 60 * time.Second // that something comes at all
)

// guest is a page without pictures: it asks for a place, waits and comes back
// elsewhere.
type guest struct {
	name     string
	door     int // where it is
	conn     *websocket.Conn
	token    string // for Resume
	since    int64  // of the first token of who waits
	position int
	ticket   string
	answer   *signal.Answer
	browser  *peertest.Browser // of who plays
}

// news is what a guest was told; nothing: its connection ended.
type news struct {
	of   *guest
	conn *websocket.Conn
	e    *signal.Envelope
}

// crowd is guests of several coordinators. What they are told is taken by next
// alone, so nothing of theirs needs a lock.
type crowd struct {
	t       *testing.T
	doors   []string // addresses
	news    chan news
	guests  []*guest
	lost    []*guest // whose connection has ended
	grants  []*guest // in the order they heard
	expired bool     // a grant ran out: the machine is too slow for this test
}

func newCrowd(t *testing.T, doors ...string) *crowd {
	return &crowd{t: t, doors: doors, news: make(chan news, 10_000)}
}

// come opens a page.
func (c *crowd) come(door int) *guest {
	g := &guest{name: fmt.Sprint("guest ", len(c.guests))}
	c.guests = append(c.guests, g)
	g.token = c.dial(g, door).Token
	return g
}

// dial connects a guest, whose token stays.
func (c *crowd) dial(g *guest, door int) signal.Hello {
	c.t.Helper()
	conn, response, err := websocket.DefaultDialer.DialContext(c.t.Context(), "ws://"+c.doors[door]+"/ws", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = response.Body.Close()
	c.t.Cleanup(func() { _ = conn.Close() })
	g.conn, g.door = conn, door
	_, data, err := conn.ReadMessage()
	if err != nil {
		c.t.Fatal(err)
	}
	e, err := signal.Decode(data, signal.MaxInternal)
	if err != nil {
		c.t.Fatal(err)
	}
	hello := told[signal.Hello](c.t, e)
	go func() {
		for {
			_, data, err := conn.ReadMessage()
			if err != nil {
				c.news <- news{g, conn, nil}
				return
			}
			e, err := signal.Decode(data, signal.MaxInternal)
			if err != nil {
				c.t.Error(err)
			}
			c.news <- news{g, conn, &e}
		}
	}()
	return hello
}

func told[T any](t *testing.T, e signal.Envelope) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(e.Data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (g *guest) say(t *testing.T, kind signal.Type, payload any) {
	t.Helper()
	data, err := signal.Encode(kind, "1", "", payload)
	if err == nil {
		err = g.conn.WriteMessage(websocket.TextMessage, data)
	}
	if err != nil {
		t.Error(err)
	}
}

// asks asks for a place.
func (g *guest) asks(t *testing.T) {
	t.Helper()
	g.say(t, signal.TypeStart, signal.Start{Game: library.TestCardID})
}

// next takes the next news.
func (c *crowd) next(what string, patience <-chan time.Time) {
	c.t.Helper()
	select {
	case n := <-c.news:
		c.take(n)
	case <-patience:
		c.t.Fatalf("waited too long for %s", what)
	}
}

func (c *crowd) take(n news) {
	c.t.Helper()
	switch {
	case n.conn != n.of.conn: // of a connection that it has left
	case n.e == nil:
		c.lost = append(c.lost, n.of)
	default:
		c.hear(n.of, *n.e)
	}
}

func (c *crowd) hear(g *guest, e signal.Envelope) {
	c.t.Helper()
	switch e.Type {
	case signal.TypeQueued:
		q := told[signal.Queued](c.t, e)
		if g.position = q.Position; q.Token == "" {
			return
		}
		s, err := signal.VerifyToken(guestSessions, q.Token, time.Now())
		if err != nil || g.since != 0 && g.since != s.Waiting {
			c.t.Errorf("%s waits since %d, and is told %d, %v", g.name, g.since, s.Waiting, err)
		}
		g.token, g.since = q.Token, s.Waiting
	case signal.TypeGranted:
		if g.ticket != "" {
			c.t.Errorf("%s has two places", g.name)
		}
		g.ticket, g.position = told[signal.Granted](c.t, e).Ticket, 0
		c.grants = append(c.grants, g)
	case signal.TypeAnswer:
		a := told[signal.Answer](c.t, e)
		g.answer, g.token = &a, cmp.Or(a.Token, g.token)
	case signal.TypeResumed:
		g.token = told[signal.Resumed](c.t, e).Token
	case signal.TypeError:
		if refusal := told[signal.Error](c.t, e); refusal.Code == signal.CodeExpired {
			c.expired = true
		} else {
			c.t.Errorf("%s is told %s", g.name, e.Data)
		}
	case signal.TypeClosed:
		c.t.Errorf("%s is told %s", g.name, e.Data)
	}
}

// until takes news until something is so.
func (c *crowd) until(what string, is func() bool) {
	c.t.Helper()
	patience := time.After(guestsPatience)
	for !is() && !c.expired {
		c.next(what, patience)
	}
}

// waiting are the guests in line, by position, once these are 1 to n, and nobody
// comes before one who has waited longer: coordinators learn of one another's guests
// a moment later.
func (c *crowd) waiting(n int) (line []*guest) {
	c.t.Helper()
	c.until(fmt.Sprintf("positions 1 to %d in the order of who came", n), func() bool {
		line = nil
		for _, g := range c.guests {
			if g.position > 0 {
				line = append(line, g)
			}
		}
		slices.SortFunc(line, func(a, b *guest) int { return cmp.Compare(a.position, b.position) })
		for i, g := range line {
			if g.position != i+1 {
				return false
			}
		}
		return len(line) == n && slices.IsSortedFunc(line, func(a, b *guest) int { return cmp.Compare(a.since, b.since) })
	})
	return line
}

// inOrder checks that nobody comes before one who has waited longer. Those of the
// same millisecond are equal.
func (c *crowd) inOrder(line []*guest) {
	c.t.Helper()
	for i := range line[1:] {
		if line[i].since > line[i+1].since {
			c.t.Errorf("number %d has waited since %d, number %d since %d", i+1, line[i].since, i+2, line[i+1].since)
		}
	}
}

// leave gives up a guest's place or game, as a page does: it says so and closes its
// connection, by which the worker knows it even while no coordinator reaches it.
func (c *crowd) leave(g *guest) {
	g.say(c.t, signal.TypeLeave, nil)
	if g.browser != nil {
		g.browser.Close()
	}
	g.ticket, g.answer = "", nil
}

// flee has all whose coordinator is gone resume at another one; who waited asks
// again.
func (c *crowd) flee(from, to int) {
	c.t.Helper()
	c.until("the end of all connections", func() bool {
		return !slices.ContainsFunc(c.guests, func(g *guest) bool { return g.door == from && !slices.Contains(c.lost, g) })
	})
	lost := c.lost
	c.lost = nil
	for _, g := range lost {
		c.dial(g, to)
		g.say(c.t, signal.TypeResume, signal.Resume{Token: g.token})
		if g.position > 0 {
			g.position = 0
			g.asks(c.t)
		}
	}
	c.until("all to wait again", func() bool {
		return !slices.ContainsFunc(lost, func(g *guest) bool { return g.answer == nil && g.ticket == "" && g.position == 0 })
	})
}

// play takes a place and a game in it with a browser.
func (c *crowd) play(g *guest) {
	c.t.Helper()
	g.browser = peertest.New(c.t, peertest.Options{NoAudio: true})
	g.say(c.t, signal.TypeStart, signal.Start{Game: library.TestCardID, SDP: g.browser.Offer()})
	c.until("a game", func() bool { return g.answer != nil })
	g.browser.Accept(g.answer.SDP)
	peertest.Wait(c.t, "a picture", g.browser.Pictures)
}

// address is where a coordinator that runs as a process is.
func address(t *testing.T, p *process) string {
	t.Helper()
	_, address, ok := strings.Cut(strings.TrimSpace(p.line), "http://")
	if !ok {
		t.Fatalf("it greets with %q", p.line)
	}
	return address
}
