package worker

import (
	"log/slog"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/uplink"
	"github.com/cloudretro/cloudretro/worker/library"
)

// FuzzHandle: whatever a coordinator says, the worker lives, its places are right
// and what it asks for is refused with an error that can be sent.
func FuzzHandle(f *testing.F) {
	seed := func(t signal.Type, session string, payload any) {
		data, err := signal.Encode(t, "1", session, payload)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	seed(signal.TypeReserve, "", signal.Reserve{Ticket: "t1", Game: library.TestCardID, Since: 1, Wait: true})
	seed(signal.TypeReserve, "", signal.Reserve{Ticket: "t2", Game: "unknown"})
	seed(signal.TypeCancel, "", signal.Cancel{Ticket: "t1"})
	seed(signal.TypeStart, "s1", signal.Start{Game: library.TestCardID, Ticket: "t1", SDP: "v=0"})
	seed(signal.TypeJoin, "s2", signal.Join{Room: "aaaaaaaaaaaaaaaaaaaaaaaaaa", SDP: "v=0"})
	seed(signal.TypeQueue, "", signal.Queue{Coordinator: "c", Since: []int64{1, 2}})
	seed(signal.TypeEnd, "", signal.End{Session: "s1"})
	seed(signal.TypeInvite, "", signal.Invite{Room: "aaaaaaaaaaaaaaaaaaaaaaaaaa"})
	seed(signal.TypeRevoke, "", signal.Revoke{Room: "aaaaaaaaaaaaaaaaaaaaaaaaaa", ID: "i"})
	for _, t := range []signal.Type{
		signal.TypeDrain, signal.TypeList, signal.TypeWant, signal.TypeError, signal.TypeResume, signal.TypeLeave,
		signal.TypeOffer, signal.TypeCandidate, signal.TypeHello,
	} {
		seed(t, "s1", nil)
	}
	l, c := newLink(f)
	go func() { // ends with the link
		for range c.incoming {
		}
	}()
	f.Fuzz(func(t *testing.T, data []byte) {
		w := fuzzed(l)
		e, err := signal.Decode(data, signal.MaxInternal)
		if err != nil {
			return
		}
		if err := w.handle(l, e); err != nil {
			if refusal := signal.AsError(err); refusal.Validate() != nil {
				t.Errorf("refused with %v", refusal)
			}
		}
		if c := w.rooms.counts(); c.Taken+c.Held > c.Places || c.State == signal.StateReady && c.Free() > 0 && c.Standing > 0 {
			t.Errorf("counts %+v", c)
		}
		w.sessions.close()
		w.sessions.wait()
		w.rooms.drain(true)
		if c := w.rooms.counts(); c.Standing != 0 || w.load().Validate() != nil {
			t.Errorf("counts %+v, load %+v", c, w.load())
		}
	})
}

// fuzzed is a worker whose one place is held for a ticket.
func fuzzed(l *uplink.Link) *Worker {
	log := slog.New(slog.DiscardHandler)
	w := &Worker{cfg: Config{MaxRooms: 1}, log: log, self: self{id: "w"}}
	w.sessions.byID = map[string]*session{}
	w.library = library.New(library.Config{Logger: log})
	w.catalogue.Store(newCatalogue(w.library.Games()))
	w.rooms.init(1, w.plays, func() {}, func() {})
	w.keeper = uplink.New(uplink.Role{})
	w.rooms.decide(func(d *desk, now time.Time) {
		d.Reserve(now, l, "0", signal.Reserve{Ticket: "held", Game: library.TestCardID})
	})
	return w
}
