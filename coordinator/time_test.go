package coordinator

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// A worker that does not answer costs a start no more than requestTimeout.
func TestSilentWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry()
		c := &Coordinator{log: slog.New(slog.DiscardHandler), registry: r, sessions: newSessions(secret, r)}
		var links []*workerLink
		for _, id := range []string{"a", "b", "c"} {
			w := link(id, loose(), nil)
			r.enroll(w, games("pong"))
			links = append(links, w)
		}
		page := loose()
		s := c.sessions.open(page, "")
		if err := c.sessions.begin(s, true); err != nil {
			t.Fatal(err)
		}
		workers, err := r.candidates("pong", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		c.play(t.Context(), s, request{id: "p", kind: signal.TypeStart, payload: signal.Start{Game: "pong", SDP: "v=0"}, workers: workers})
		if d := time.Since(begin); d != maxPlacing {
			t.Errorf("the page waited %s", d)
		}
		for _, w := range links[:2] {
			w.sock.sent(t, signal.TypeStart)
			w.sock.sent(t, signal.TypeLeave)
			if w.asking != 0 || len(w.pending) != 0 {
				t.Errorf("%s: %d starts and %d requests are left", w.id, w.asking, len(w.pending))
			}
		}
		if len(links[2].sock.queue) != 0 {
			t.Error("the third was asked after the time was up")
		}
		e := page.sent(t, signal.TypeError)
		if refusal := read[signal.Error](t, e); refusal.Code != signal.CodeFailed || e.ID != "p" {
			t.Errorf("the page is told %+v for %q", refusal, e.ID)
		}
		if c.sessions.begin(s, true) != nil {
			t.Error("the page may not try again")
		}
	})
}
