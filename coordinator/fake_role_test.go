package coordinator

import (
	"log/slog"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// loose is a socket without a connection: what is sent stays in its queue. That it
// says nothing is put up with for longer than usual, as the machine may stall.
func loose() *socket {
	s := &socket{room: 64, done: make(chan struct{}), pace: newRoles(nil).pace}
	s.pace.silent = patient
	return s
}

// sent takes the next message that was queued, which must be of the type.
func (s *socket) sent(t *testing.T, want signal.Type) signal.Envelope {
	t.Helper()
	var data []byte
	until(t, "a message "+string(want), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.queue) > 0 {
			data, s.queue = s.queue[0], s.queue[1:]
		}
		return data != nil
	})
	e, err := signal.Decode(data, signal.MaxInternal)
	if err != nil || e.Type != want {
		t.Fatalf("sent %s, %v, want %s", e.Type, err, want)
	}
	return e
}

// knows says whether a worker is connected and its games are known.
func (r *registry) knows(worker string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.workers[worker]
	return w != nil && w.library != nil
}

// silentLog is for tests that would say too much.
func silentLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// link is a worker without a connection, that is not in the registry.
func link(id string, sock *socket, change func(*signal.Register)) *workerLink {
	reg := signal.Register{ID: id, Name: id, Load: signal.Load{State: signal.StateReady, Places: 4, Free: 4}}
	if change != nil {
		change(&reg)
	}
	sock.heard.Store(time.Now().UnixNano())
	return (&Coordinator{stats: newStats()}).newWorkerLink(reg, sock)
}

// enroll puts a link without a connection into the registry, with its games.
func (r *registry) enroll(w *workerLink, list []signal.Game, rooms ...signal.Room) {
	digest := signal.LibraryDigest(list)
	r.addWorker(w, digest, rooms)
	games := map[string]signal.Game{}
	for _, g := range list {
		games[g.ID] = g
	}
	r.learnLibrary(w, digest, games)
	w.sock.mu.Lock()
	defer w.sock.mu.Unlock()
	w.sock.queue = nil // that it is accepted
}
