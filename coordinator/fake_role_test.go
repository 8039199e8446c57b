package coordinator

import (
	"log/slog"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

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
}
