package coordinator

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Bounds of what an admin asks of the workers.
const (
	managePatience = 2 * time.Second
	manageParallel = 64 // workers that are asked at once
)

// sessionView is a browser at a worker as an admin sees it.
type sessionView struct {
	Worker string // id
	signal.SessionInfo
}

// drain has a worker take no new games, or take them again (off). It says in its
// Load that it does.
func (r *registry) drain(worker string, off bool) error {
	w := r.worker(worker)
	if w == nil || !w.post(signal.TypeDrain, "", signal.Drain{Off: off}) {
		return errNoSuchWorker()
	}
	return nil
}

func errNoSuchWorker() *signal.Error {
	return signal.Errorf(signal.CodeNotFound, "this worker is not connected")
}

// allWorkers are all workers in no order.
func (r *registry) allWorkers() []*workerLink {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*workerLink, 0, len(r.workers))
	for _, w := range r.workers {
		all = append(all, w)
	}
	return all
}

// list is all sessions of all workers, of whichever coordinator, the oldest
// first. missing are the workers that did not answer in time.
func (r *registry) list(ctx context.Context) (sessions []sessionView, missing []string) {
	sessions, missing = []sessionView{}, []string{}
	var mu sync.Mutex
	r.askAll(ctx, signal.TypeList, nil, func(w *workerLink, e signal.Envelope, err error) {
		var said signal.Sessions
		if err == nil {
			said, err = signal.Read[signal.Sessions](e)
		}
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			missing = append(missing, w.id)
			return
		}
		for _, info := range said.Sessions {
			sessions = append(sessions, sessionView{w.id, info})
		}
	})
	slices.Sort(missing)
	slices.SortFunc(sessions, func(a, b sessionView) int { return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.ID, b.ID)) })
	return sessions, missing
}

// askAll asks all workers the same at once, and waits for all answers, for
// managePatience in all.
func (r *registry) askAll(ctx context.Context, t signal.Type, payload any, answer func(*workerLink, signal.Envelope, error)) {
	workers := r.allWorkers()
	if len(workers) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, workers[0].sock.pace.manage) // that of all
	defer cancel()
	var group errgroup.Group
	group.SetLimit(manageParallel)
	for _, w := range workers {
		group.Go(func() error {
			e, err := w.ask(ctx, t, "", payload, w.sock.pace.manage)
			answer(w, e, err)
			return nil
		})
	}
	_ = group.Wait() // each error has been handed on
}

// end ends a session or a room, wherever it is. Its error is an *signal.Error,
// with CodeNotFound if no worker knows it.
func (r *registry) end(ctx context.Context, what signal.End) error {
	if err := what.Validate(); err != nil {
		return signal.Errorf(signal.CodeBadRequest, "%v", err)
	}
	if what.Room != "" {
		w, err := r.forRoom(what.Room)
		if err != nil {
			return err
		}
		e, err := w.ask(ctx, signal.TypeEnd, "", what, w.sock.pace.manage)
		return done(e, err)
	}
	var mu sync.Mutex
	ended, failed := false, error(nil)
	r.askAll(ctx, signal.TypeEnd, what, func(_ *workerLink, e signal.Envelope, err error) {
		mu.Lock()
		defer mu.Unlock()
		switch err := done(e, err); {
		case err == nil:
			ended = true
		case signal.AsError(err).Code != signal.CodeNotFound:
			failed = errors.Join(failed, err)
		}
	})
	switch {
	case ended:
		return nil
	case failed != nil:
		return signal.Errorf(signal.CodeFailed, "no worker that answered knows the session: %v", failed)
	}
	return signal.Errorf(signal.CodeNotFound, "no worker knows this session")
}

// endAt is end for a session or room that is at the worker.
func (r *registry) endAt(ctx context.Context, worker string, what signal.End) error {
	w := r.worker(worker)
	if w == nil {
		return errNoSuchWorker()
	}
	if err := what.Validate(); err != nil {
		return signal.Errorf(signal.CodeBadRequest, "%v", err)
	}
	e, err := w.ask(ctx, signal.TypeEnd, "", what, w.sock.pace.manage)
	return done(e, err)
}

// done reads the answer to something that is done or not.
func done(e signal.Envelope, err error) error {
	if err == nil && e.Type != signal.TypeDone {
		return signal.Errorf(signal.CodeFailed, "the worker answered with %q", e.Type)
	}
	return err
}
