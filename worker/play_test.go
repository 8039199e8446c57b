package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
	"github.com/cloudretro/cloudretro/worker/room"
	"github.com/cloudretro/cloudretro/worker/room/roomtest"
)

// play is a running worker, its fake engines and one fake coordinator.
type play struct {
	*Worker
	t       *testing.T
	door    *door
	link    *call
	engines chan *roomtest.Engine
	specs   chan engine.Spec
	stop    func() // ends the worker and waits

	tickets     int
	ticks, late atomic.Uint64                 // what engines say of their frames: 60 more at each look
	lateTick    atomic.Bool                   // all of them late
	hold        atomic.Pointer[chan struct{}] // engines end when it closes, nil = at once
}

func newPlay(t *testing.T, edit func(*Config)) *play {
	t.Helper()
	p := &play{t: t, door: newDoor(t), engines: make(chan *roomtest.Engine, 16), specs: make(chan engine.Spec, 16)}
	cfg := Config{
		Coordinators: []string{p.door.address()}, Secret: secret, Name: "test", Zone: "here",
		MediaAddress: "127.0.0.1", ProbeAddress: "127.0.0.1:0", MaxRooms: 2, RoomGrace: time.Minute,
		Logger: slog.New(slog.DiscardHandler), Rescan: time.Hour,
	}
	if edit != nil {
		edit(&cfg)
	}
	w, err := newWorker(cfg, p.openEngine)
	if err != nil {
		t.Fatal(err)
	}
	p.Worker = w
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stopped := false
	p.stop = func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run = %v", err)
			}
		case <-time.After(peertest.Patience):
			t.Error("Run does not end")
		}
	}
	t.Cleanup(p.stop)
	p.link = p.door.accept()
	return p
}

func (p *play) openEngine(_ engine.Config, spec engine.Spec, sink engine.Sink) (machine, error) {
	if spec.Options["fail"] != "" {
		return machine{}, errors.New("no such core")
	}
	e := roomtest.New(sink, 10*time.Millisecond)
	p.engines <- e
	p.specs <- spec
	return machine{
		run: func(ctx context.Context, r *room.Room) error {
			err := r.Run(ctx, e)
			if hold := p.hold.Load(); hold != nil {
				<-*hold
			}
			return err
		},
		pace: func() pace {
			if p.lateTick.Load() {
				p.late.Add(60)
			}
			return pace{p.ticks.Add(60), p.late.Load()}
		},
	}, nil
}

// start plays the test card with a new browser.
func (p *play) start(session string) (*peertest.Browser, signal.Answer) {
	p.t.Helper()
	b := peertest.New(p.t, peertest.Options{})
	ticket := p.ticket(library.TestCardID)
	p.link.send(signal.TypeStart, "1", session, signal.Start{
		Game: library.TestCardID, SDP: b.Offer(), Ticket: ticket, Host: "127.0.0.1",
	})
	a := answer(p.t, p.link.want(signal.TypeAnswer, session))
	b.Accept(a.SDP)
	return b, a
}

// ticket is one for which a place is held; it waits for that.
func (p *play) ticket(game string) string {
	p.t.Helper()
	p.tickets++
	ticket := fmt.Sprintf("ticket-%d", p.tickets)
	p.link.ask(ticket, game, int64(p.tickets), true)
	e := p.link.answerTo(ticket)
	r, err := signal.Read[signal.Reserved](e)
	if e.Type != signal.TypeReserved || err != nil || r.Ticket != ticket || r.Seconds != 15 {
		p.t.Fatalf("no place: %s %s, %v", e.Type, e.Data, err)
	}
	return ticket
}

func (p *play) join(session, room string, player int) (*peertest.Browser, signal.Answer) {
	p.t.Helper()
	b := peertest.New(p.t, peertest.Options{})
	p.link.send(signal.TypeJoin, "2", session, signal.Join{Room: room, Player: player, SDP: b.Offer()})
	a := answer(p.t, p.link.want(signal.TypeAnswer, session))
	b.Accept(a.SDP)
	return b, a
}

func answer(t *testing.T, e signal.Envelope) signal.Answer {
	t.Helper()
	a, err := signal.Read[signal.Answer](e)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func refusal(t *testing.T, e signal.Envelope) *signal.Error {
	t.Helper()
	r, err := signal.Read[signal.Error](e)
	if err != nil {
		t.Fatal(err)
	}
	return &r
}
