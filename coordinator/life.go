package coordinator

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// settleTime is how long a coordinator that has just started waits for a worker
// before pages are sent to it all the same.
const settleTime = 10 * time.Second

var (
	errStopping = errors.New("is stopping")
	errEmpty    = errors.New("no worker has joined yet and told its games")
)

// life is how a coordinator comes and goes.
type life struct {
	started time.Time
	settled atomic.Bool // it was ready once
}

func (l *life) init() { l.started = time.Now() }

// Ready says why nobody should be sent here, nil for no reason: until a worker
// has told its games, but for 10 s after New at the most, or a page would be told
// of none; and when Run has stopped to serve. In between it is nil, whatever
// workers do. It may be called at any time.
func (c *Coordinator) Ready() error {
	if err := c.stopping(); err != nil {
		return err
	}
	if !c.life.settled.Load() {
		if !c.registry.stocked() && time.Since(c.life.started) < settleTime {
			return errEmpty
		}
		c.life.settled.Store(true)
	}
	return nil
}

// stopping says that nothing new is taken any more.
func (c *Coordinator) stopping() error {
	c.gate.Lock()
	defer c.gate.Unlock()
	if c.closing {
		return errStopping
	}
	return nil
}

// stocked says whether a worker is here whose games are known.
func (r *registry) stocked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.libraries.known) > 0
}

// Alive returns when every lock that requests need was free once: a coordinator
// that does not answer soon hangs. It may be called at any time.
func (c *Coordinator) Alive() {
	for _, lock := range []sync.Locker{&c.gate, &c.registry.mu, &c.sessions.mu, &c.queue.mu} {
		lock.Lock()
		lock.Unlock() //nolint:staticcheck // that it could be had is all there is to know
	}
}

// linger returns when the coordinator was told to end and its grace is over, or
// when serving has failed. Meanwhile all goes on as before.
func (c *Coordinator) linger(told, serving context.Context) {
	select {
	case <-told.Done():
	case <-serving.Done():
		return
	}
	grace := c.now().drainGrace
	if grace <= 0 {
		return
	}
	c.log.Info("coordinator drains", "grace", grace, "pages", c.pages.open.Load())
	over := time.NewTimer(grace)
	defer over.Stop()
	select {
	case <-over.C:
	case <-serving.Done():
	}
}
