package loadgen

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Times of a page.
const (
	silence     = 60 * time.Second // coordinators ping three times in it
	writeLimit  = 10 * time.Second
	goodbyeTime = 2 * time.Second // for a coordinator to answer our close
)

// Descriptions of who has no media are as long as real ones, and nobody reads them.
const (
	cannedMark  = "v=0\r\ns=loadgen\r\n"
	offerLines  = 250
	answerLines = 120
)

func canned(lines int) string { return cannedMark + strings.Repeat("a=loadgen\r\n", lines) }

func isCanned(sdp string) bool { return strings.HasPrefix(sdp, cannedMark) }

// page is one browser. Its fields belong to the goroutine that reads, but for
// those under mu.
type page struct {
	r       *run
	number  int
	media   bool
	conn    *websocket.Conn
	stop    func() bool // the end of ctx does not end the page any more
	hello   signal.Hello
	watch   *watcher // its media, nil for none
	begun   time.Time
	granted bool
	room    string
	end     *time.Timer // of the game

	mu     sync.Mutex
	plays  bool // there is something to leave
	parted bool // we said goodbye
}

func (r *run) newPage(number int, media bool) *page {
	return &page{r: r, number: number, media: media, stop: func() bool { return true }}
}

// idler is a page that is connected and does nothing until ctx ends.
func (r *run) idler(ctx context.Context, number int) {
	p := r.newPage(number, false)
	if !p.come(ctx) {
		r.tally.idler(false)
		return
	}
	defer p.leave()
	r.tally.idler(true)
	for {
		if _, err := p.receive(); err != nil {
			if !p.saidGoodbye() {
				r.tally.lostIdler(cause(err))
			}
			return
		}
	}
}

// come connects and is greeted.
func (p *page) come(ctx context.Context) bool {
	begin := time.Now()
	conn, err := p.r.dialer.dial(ctx, p.number)
	if err != nil {
		p.r.tally.refused(ctx, "connect: "+cause(err))
		return false
	}
	p.conn = conn
	conn.SetReadLimit(signal.MaxInternal)
	pong := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { return errors.Join(p.extend(), pong(data)) })
	p.stop = context.AfterFunc(ctx, p.goodbye)
	e, err := p.receive()
	if err == nil && e.Type != signal.TypeHello {
		err = fmt.Errorf("greeted with %s", e.Type)
	}
	if err == nil {
		p.hello, err = signal.Read[signal.Hello](e)
	}
	if err != nil {
		p.r.tally.refused(ctx, "hello: "+cause(err))
		p.leave()
		return false
	}
	p.r.tally.greeted(time.Since(begin))
	return true
}

// leave closes the connection for good.
func (p *page) leave() {
	p.stop()
	if p.end != nil {
		p.end.Stop()
	}
	p.goodbye()
	_ = p.conn.Close()
	if p.watch != nil {
		p.watch.close()
	}
	if p.room != "" {
		p.r.tally.leftRoom(p.room)
	}
}

// goodbye leaves the game and closes in form; the reading side ends when the
// coordinator answers, or after a while. It may be called by any goroutine.
func (p *page) goodbye() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parted {
		return
	}
	p.parted = true
	by := time.Now().Add(writeLimit)
	if p.plays {
		p.write(signal.TypeLeave, "", nil)
	}
	_ = p.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), by)
	_ = p.conn.NetConn().SetReadDeadline(time.Now().Add(goodbyeTime))
}

func (p *page) saidGoodbye() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.parted
}

// send says something, unless goodbye was said.
func (p *page) send(t signal.Type, id string, payload any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.parted {
		p.plays = true
		p.write(t, id, payload)
	}
}

// write writes; p.mu is held. What fails is missed by the reading side.
func (p *page) write(t signal.Type, id string, payload any) {
	data, err := signal.Encode(t, id, "", payload)
	if err != nil {
		_ = p.conn.Close()
		return
	}
	_ = p.conn.SetWriteDeadline(time.Now().Add(writeLimit))
	if p.conn.WriteMessage(websocket.TextMessage, data) != nil {
		_ = p.conn.Close()
	}
}

func (p *page) extend() error {
	if p.saidGoodbye() {
		return nil
	}
	return p.conn.SetReadDeadline(time.Now().Add(silence))
}

func (p *page) receive() (signal.Envelope, error) {
	if err := p.extend(); err != nil {
		return signal.Envelope{}, err
	}
	_, data, err := p.conn.ReadMessage()
	if err != nil {
		return signal.Envelope{}, err
	}
	return signal.Decode(data, signal.MaxInternal)
}

// play starts a game, plays it for a while, and leaves. If all places are taken
// it waits.
func (p *page) play(ctx context.Context) {
	defer p.leave()
	start := signal.Start{Game: p.r.o.Game, SDP: p.r.offer, Latencies: p.latencies()}
	if p.media {
		var err error
		if p.watch, start.SDP, err = newWatcher(p.r.tally); err != nil {
			p.r.tally.refused(ctx, "media: "+cause(err))
			return
		}
	}
	p.begun = time.Now()
	p.r.tally.start()
	p.send(signal.TypeStart, "1", start)
	why := ""
	for why == "" {
		e, err := p.receive()
		if err == nil {
			err = p.hear(e, start)
		}
		if err != nil {
			why = cause(err)
		}
	}
	p.r.tally.unqueue(p, false)
	switch {
	case p.room == "":
		p.r.tally.refused(ctx, "start: "+why)
	case !p.saidGoodbye():
		p.r.tally.refused(ctx, "lost: "+why)
		p.r.fleet.vanished(p.room)
	}
}

// hear takes what the coordinator says to a page that starts or plays. The error
// is the end.
func (p *page) hear(e signal.Envelope, start signal.Start) error {
	switch e.Type {
	case signal.TypeQueued:
		q, err := signal.Read[signal.Queued](e)
		if err != nil {
			return err
		}
		p.r.tally.queued(p, q.Position)
	case signal.TypeGranted:
		g, err := signal.Read[signal.Granted](e)
		if err != nil {
			return err
		}
		p.grant()
		start.Ticket = g.Ticket
		p.send(signal.TypeStart, "2", start)
	case signal.TypeAnswer:
		a, err := signal.Read[signal.Answer](e)
		if err != nil {
			return err
		}
		return p.answered(a)
	case signal.TypeCandidate:
		if c, err := signal.Read[signal.Candidate](e); err == nil && p.watch != nil {
			p.watch.candidate(c)
		}
	case signal.TypeError:
		refusal, err := signal.Read[signal.Error](e)
		if err != nil {
			return err
		}
		return &refusal
	case signal.TypeClosed:
		return errors.New("closed by the worker")
	}
	return nil
}

// grant notes that there is a place.
func (p *page) grant() {
	waited := p.r.tally.unqueue(p, true)
	if !p.granted {
		p.granted = true
		p.r.tally.grant(time.Since(p.begun), waited)
	}
}

// answered notes that the game runs, and has it end in time.
func (p *page) answered(a signal.Answer) error {
	p.grant()
	if p.room != "" {
		p.r.tally.double()
		return nil
	}
	p.room = a.Room
	p.r.tally.answer(time.Since(p.begun), a.Room)
	hold := p.r.o.Hold/2 + rand.N(p.r.o.Hold)
	if p.watch == nil {
		p.end = time.AfterFunc(hold, p.goodbye)
		return nil
	}
	end := time.AfterFunc(hold+picturePatience, p.goodbye)
	p.end = end
	return p.watch.accept(a.SDP, func() { end.Reset(hold) })
}

// latencies are as a page would have measured them.
func (p *page) latencies() map[string]int {
	if p.r.o.Zones == 0 {
		return nil
	}
	out := make(map[string]int, p.r.o.Zones)
	for i := range p.r.o.Zones {
		out[zoneName(i)] = 5 + rand.IntN(150)
	}
	return out
}
