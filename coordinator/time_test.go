package coordinator

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// bare is a coordinator without a listener.
func bare() *Coordinator {
	c := &Coordinator{
		cfg: Config{Secret: secret, SessionSecret: secret}, id: signal.NewID(), log: slog.New(slog.DiscardHandler),
		registry: newRegistry(), stats: newStats(), budgets: newBudgets(always(30)),
		pages: newClass(always(9), always(9), 1, 1, nil), roles: newRoles(always(9)),
	}
	c.current.Store(&settings{turnSecrets: []string{secret}, credentialTTL: defaultCredentialTTL})
	c.board, c.queue = newBoard(c.id, c.cfg.SessionSecret), newQueue(c)
	c.sessions = newSessions(secret, c.registry, c.queue)
	return c
}

// A worker that does not answer costs a start no more than reservePatience, and
// what it may give later is given back.
func TestSilentWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bare()
		for _, id := range []string{"a", "b"} {
			c.registry.enroll(link(id, loose(), nil), games("pong"))
		}
		page := loose()
		s := c.sessions.open(page, "", nil)
		if err := c.sessions.begin(s, true); err != nil {
			t.Fatal(err)
		}
		workers, err := c.registry.candidates("pong", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		start := signal.Start{Game: "pong", SDP: "v=0"}
		k := c.queue.ticket(s, s.id, start, begin.UnixMilli(), address{})
		c.start(t.Context(), s, k, request{id: "p", kind: signal.TypeStart, payload: start}, workers)
		if d := time.Since(begin); d != 2*reservePatience {
			t.Errorf("the page waited %s", d)
		}
		if e := page.sent(t, signal.TypeQueued); e.ID != "p" || read[signal.Queued](t, e).Position != 1 {
			t.Errorf("the page is told %s for %q", e.Data, e.ID)
		}
		synctest.Wait()
		for _, w := range workers {
			first := read[signal.Reserve](t, w.sock.sent(t, signal.TypeReserve))
			if r := read[signal.Cancel](t, w.sock.sent(t, signal.TypeCancel)); r.Ticket != first.Ticket {
				t.Errorf("%s was cancelled", r.Ticket)
			}
			_ = c.queue.reserved(w, signal.Reserved{Ticket: first.Ticket, Seconds: 9}) // late
			again := read[signal.Reserve](t, w.sock.sent(t, signal.TypeReserve))
			if !again.Wait || again.Ticket == first.Ticket || again.Since != first.Since {
				t.Errorf("after %+v it is asked %+v", first, again)
			}
			w.sock.sent(t, signal.TypeCancel)
			if w.asking != 0 || len(w.pending) != 0 {
				t.Errorf("%s: %d starts and %d requests are left", w.id, w.asking, len(w.pending))
			}
		}
		c.sessions.lose(s, page, time.Now())
		c.requests.Wait() // nobody waits any more
		for _, w := range workers {
			w.sock.sent(t, signal.TypeCancel)
		}
	})
}
