package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"
)

// Times of a Lease, those that Kubernetes' own components use. A leader that
// cannot renew stops 12 s after it last did, 3 s before another one may begin.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
	leaseRequest  = 5 * time.Second // how long the API server may take to answer
)

// Lead calls run whenever this process, of all that call Lead with the same name
// of a Lease in the namespace, is the leading one. The context of run ends when it
// leads no more, because ctx ended or the Lease could not be renewed in time; run
// must then return within 3 s, for another process may lead from then on. After a
// lost Lease it stands for election again.
//
// Lead returns when ctx has ended and run has returned; the Lease is given up only
// then. An API server that does not answer may delay that by 5 s. If run returns
// before its context has ended, Lead gives the Lease up and returns what run did.
// That the API server is away is logged once, not returned.
// Needs the rights get, create and update on leases of coordination.k8s.io.
func (c *Cluster) Lead(ctx context.Context, lease string, run func(context.Context) error) error {
	unique := make([]byte, 4)
	_, _ = rand.Read(unique) // never fails
	e := &election{
		leases: c.API.Leases(c.Namespace), name: lease,
		identity: c.Identity + "_" + hex.EncodeToString(unique), log: c.Logger.With("lease", lease),
	}
	for e.win(ctx) {
		if over, err := e.term(ctx, run); over {
			return err
		}
	}
	return nil
}

// win waits until the Lease is ours, false if ctx ended before.
func (e *election) win(ctx context.Context) bool {
	for ctx.Err() == nil {
		if e.try(ctx) {
			return true
		}
		sleep(ctx, retryPeriod)
	}
	return false
}

// term runs until the Lease that was won is lost, which is no reason to give up:
// over is false then.
func (e *election) term(ctx context.Context, run func(context.Context) error) (over bool, err error) {
	if ctx.Err() != nil { // just now
		e.release()
		return true, nil
	}
	led, end := context.WithCancel(ctx)
	defer end()
	ended, stop := context.WithCancel(context.WithoutCancel(ctx)) // it is held while run ends
	var renewals sync.WaitGroup
	renewals.Go(func() { e.hold(ended, end) })
	e.log.Info("this process leads")
	err = run(led)
	over = led.Err() == nil || ctx.Err() != nil
	e.log.Info("this process leads no more")
	stop()
	renewals.Wait()
	e.release()
	if !over && err != nil {
		e.log.Warn("ended badly when the lease was lost", "cause", err)
	}
	return over, err
}

// hold renews the Lease until ctx ends or another process has it, and calls lost
// when it is not ours any more, or may soon be another's. It goes on then: as long
// as run has not returned nobody else should lead, if that can be helped.
func (e *election) hold(ctx context.Context, lost func()) {
	last := time.AfterFunc(e.patience(), lost)
	defer last.Stop()
	for {
		if sleep(ctx, retryPeriod); ctx.Err() != nil {
			return
		}
		if e.try(ctx) {
			last.Reset(e.patience())
		} else if !e.ours() {
			lost()
			return
		}
	}
}
