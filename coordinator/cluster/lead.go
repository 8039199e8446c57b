package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
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
// then. If run returns before its context has ended, Lead gives the Lease up and
// returns what run did. That the API server is away is logged once, not returned.
// Needs the rights get, create and update on leases of coordination.k8s.io.
func (c *Cluster) Lead(ctx context.Context, lease string, run func(context.Context) error) error {
	unique := make([]byte, 4)
	_, _ = rand.Read(unique) // never fails
	l := &lock{
		Interface: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: c.Namespace, Name: lease},
			Client:     c.Client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: c.Identity + "_" + hex.EncodeToString(unique)},
		},
		log: c.Logger.With("lease", lease),
	}
	for ctx.Err() == nil {
		if over, err := l.term(ctx, run); over {
			return err
		}
	}
	return nil
}

// lock is a Lease whose requests take a bounded time and which knows whether the
// API server answers. It belongs to the goroutine of Lead.
type lock struct {
	resourcelock.Interface
	log  *slog.Logger
	held bool // written with our name since the term began
	away bool // the last request failed
}

// term stands for election once and, if it wins, runs until the Lease is lost,
// which is no reason to give up: over is false then.
func (l *lock) term(ctx context.Context, run func(context.Context) error) (over bool, err error) {
	// What the elector has to say is said by us, and once. It goes on renewing
	// while run ends: it has a context of its own.
	elect, stop := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), klog.Logger{}))
	defer stop()
	beforehand := context.AfterFunc(ctx, stop) // as long as it does not lead
	done := make(chan struct{})
	started := func(led context.Context) {
		defer close(done)
		defer stop()
		if !beforehand() {
			over = true // ctx ended just now
			return
		}
		led, end := context.WithCancel(led)
		defer end()
		defer context.AfterFunc(ctx, end)()
		l.log.Info("this process leads")
		err = run(led)
		over = led.Err() == nil || ctx.Err() != nil
		l.log.Info("this process leads no more")
	}
	elector, cause := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: l, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: started, OnStoppedLeading: func() {}},
	})
	if cause != nil {
		return true, fmt.Errorf("lead: %w", cause)
	}
	l.held = false
	elector.Run(elect)
	if !l.held {
		return ctx.Err() != nil, nil
	}
	<-done
	l.release()
	if !over && err != nil {
		l.log.Warn("ended badly when the lease was lost", "cause", err)
	}
	return over, err
}

// release lets another one lead at once. The elector's own way (ReleaseOnCancel)
// does so before run has returned.
func (l *lock) release() {
	if l.away {
		return // it ends by itself soon
	}
	ctx := context.Background()
	record, _, err := l.Get(ctx)
	if err != nil || record.HolderIdentity != l.Identity() {
		return
	}
	record.HolderIdentity, record.LeaseDurationSeconds = "", 1
	_ = l.Update(ctx, *record) // has said what failed
}

// Get implements resourcelock.Interface.
func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	limited, cancel := context.WithTimeout(ctx, leaseRequest)
	defer cancel()
	record, raw, err := l.Interface.Get(limited)
	l.answered(ctx, err)
	return record, raw, err
}

// Create implements resourcelock.Interface.
func (l *lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	limited, cancel := context.WithTimeout(ctx, leaseRequest)
	defer cancel()
	err := l.Interface.Create(limited, record)
	l.held = l.held || err == nil
	l.answered(ctx, err)
	return err
}

// Update implements resourcelock.Interface.
func (l *lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	limited, cancel := context.WithTimeout(ctx, leaseRequest)
	defer cancel()
	err := l.Interface.Update(limited, record)
	l.held = l.held || err == nil
	l.answered(ctx, err)
	return err
}

// answered notes whether the API server did what it was asked for while ctx went
// on. That another process was quicker is no failure.
func (l *lock) answered(ctx context.Context, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return // the answer was not waited for
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		err = nil
	}
	switch away := err != nil; {
	case away == l.away:
		return
	case away && apierrors.IsForbidden(err):
		l.log.Warn("may not take part in the election; give the service account get, create and update on leases", "cause", err)
	case away:
		l.log.Warn("the API server does not answer; tried again until it does", "cause", err)
	default:
		l.log.Info("the API server answers again")
	}
	l.away = err != nil
}
