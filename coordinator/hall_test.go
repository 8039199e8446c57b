package coordinator

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// hall is a worker that keeps its places as signal.Reserve says, at any number
// of coordinators.
type hall struct {
	t     *testing.T
	id    string
	links []*worker
	wg    sync.WaitGroup

	mu      sync.Mutex
	places  int
	held    map[string]bool   // tickets
	playing map[string]string // sessions, and their tickets
	line    []stand
	grants  []string // tickets, in the order they were granted
	doubled int      // more games than places, or a ticket that came twice
}

// stand is a request that stands.
type stand struct {
	signal.Reserve
	link *worker
	id   string
}

// newHall joins a worker with so many places to coordinators.
func newHall(t *testing.T, places int, doors ...*door) *hall {
	h := &hall{t: t, id: signal.NewID(), places: places, held: map[string]bool{}, playing: map[string]string{}}
	t.Cleanup(h.wg.Wait) // after those of its links
	for _, d := range doors {
		h.join(d)
	}
	return h
}

func (h *hall) join(d *door) {
	w := d.worker(func(r *signal.Register) {
		r.ID, r.Load = h.id, signal.Load{State: signal.StateReady, Places: h.places, Free: h.free()}
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.links = append(h.links, w)
	h.wg.Go(func() {
		for e := range w.in {
			h.hear(w, e)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.line = slices.DeleteFunc(h.line, func(s stand) bool { return s.link == w })
	})
}

func (h *hall) free() int { return h.places - len(h.held) - len(h.playing) }

// tell sends to a coordinator that may be gone. h.mu is held.
func (h *hall) tell(w *worker, t signal.Type, id, session string, payload any) {
	_ = w.conn.SetWriteDeadline(time.Now().Add(patient))
	_ = w.conn.WriteMessage(websocket.TextMessage, encode(t, id, session, payload))
}

func (h *hall) hear(w *worker, e signal.Envelope) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch e.Type {
	case signal.TypeReserve:
		h.reserve(stand{read[signal.Reserve](h.t, e), w, e.ID})
	case signal.TypeStart:
		h.start(w, e)
	case signal.TypeCancel:
		ticket := read[signal.Cancel](h.t, e).Ticket
		h.line = slices.DeleteFunc(h.line, func(s stand) bool { return s.Ticket == ticket })
		delete(h.held, ticket)
	case signal.TypeLeave:
		delete(h.playing, e.Session)
	case signal.TypeQueue:
		for _, other := range h.links {
			if other != w {
				h.tell(other, signal.TypeQueue, "", "", read[signal.Queue](h.t, e))
			}
		}
		return
	}
	h.settle()
}

func (h *hall) reserve(s stand) {
	switch {
	case s.Wait:
		at, _ := slices.BinarySearchFunc(h.line, s, func(a, b stand) int {
			return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.Ticket, b.Ticket))
		})
		h.line = slices.Insert(h.line, at, s)
	case h.free() > 0 && len(h.line) == 0:
		h.grant(s)
	default:
		h.tell(s.link, signal.TypeError, s.id, "", signal.Errorf(signal.CodeFull, "full"))
	}
}

func (h *hall) grant(s stand) {
	if h.held[s.Ticket] || slices.Contains(h.grants, s.Ticket) {
		h.doubled++
	}
	h.held[s.Ticket] = true
	h.grants = append(h.grants, s.Ticket)
	h.tell(s.link, signal.TypeReserved, s.id, "", signal.Reserved{Ticket: s.Ticket, Seconds: 20})
}

func (h *hall) start(w *worker, e signal.Envelope) {
	s := read[signal.Start](h.t, e)
	if !h.held[s.Ticket] {
		h.tell(w, signal.TypeError, e.ID, e.Session, signal.Errorf(signal.CodeExpired, "no place is held"))
		return
	}
	delete(h.held, s.Ticket)
	h.playing[e.Session] = s.Ticket
	h.tell(w, signal.TypeAnswer, e.ID, e.Session, answer("pong", signal.NewID()))
}

// settle gives free places to who stands first and says how many are left. h.mu is held.
func (h *hall) settle() {
	if h.free() < 0 {
		h.doubled++
	}
	for h.free() > 0 && len(h.line) > 0 {
		first := h.line[0]
		h.line = h.line[1:]
		h.grant(first)
	}
	for _, w := range h.links {
		h.tell(w, signal.TypeLoad, "", "", signal.Load{State: signal.StateReady, Places: h.places, Free: max(0, h.free())})
	}
}

// end ends n games.
func (h *hall) end(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for session := range h.playing {
		if n--; n < 0 {
			break
		}
		delete(h.playing, session)
	}
	h.settle()
}

// games is how many run, and how often something was given twice.
func (h *hall) games() (running, doubled int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.playing), h.doubled
}

// player is a page that takes the place that it is granted.
type player struct {
	*page
	done chan struct{}

	mu       sync.Mutex
	position int // 0 while it does not wait
	waiting  int
	since    int64
	token    string
	playing  bool
	granted  int
	failed   *signal.Error
}

// player opens a page whose messages are taken until it is closed.
func (d *door) player() *player {
	p := &player{page: d.page(), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for e := range p.in {
			p.hear(e)
		}
	}()
	d.t.Cleanup(func() {
		p.close()
		<-p.done
	})
	return p
}

func (p *player) hear(e signal.Envelope) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Type {
	case signal.TypeQueued:
		q := read[signal.Queued](p.t, e)
		p.position, p.waiting = q.Position, q.Waiting
		if q.Token != "" {
			s, err := signal.VerifyToken(secret, q.Token, time.Now())
			if err != nil || s.Waiting == 0 || s.Game != "pong" {
				p.t.Errorf("the token of who waits is of %+v, %v", s, err)
			}
			p.token, p.since = q.Token, s.Waiting
		}
	case signal.TypeGranted:
		p.granted++
		g := read[signal.Granted](p.t, e)
		_ = p.conn.SetWriteDeadline(time.Now().Add(patient))
		_ = p.conn.WriteMessage(websocket.TextMessage, encode(signal.TypeStart, "g", "",
			signal.Start{Game: "pong", SDP: "v=0", Ticket: g.Ticket}))
	case signal.TypeAnswer:
		p.playing, p.position = true, 0
	case signal.TypeError:
		refusal := read[signal.Error](p.t, e)
		p.failed, p.position = &refusal, 0
	}
}

func (p *player) state() (position int, playing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		p.t.Errorf("a page is told %v", p.failed)
		p.failed = nil // once is enough
	}
	return p.position, p.playing
}
