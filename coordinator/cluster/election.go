package cluster

import (
	"context"
	"log/slog"
	"math"
	"reflect"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// longestLease is for how long another one may have it without a word, whatever it
// has written: nobody else could ever lead.
const longestLease = 4 * leaseDuration

// election is a Lease as one who stands for election sees it
// (https://kubernetes.io/docs/concepts/architecture/leases/#leader-election). The
// clocks of hosts differ: what counts is how long a Lease has been as it is by our
// own one, not what is written in it. It belongs to one goroutine at a time.
type election struct {
	leases   *Listed[*coordinationv1.Lease, *coordinationv1.LeaseList]
	name     string
	identity string
	log      *slog.Logger
	trouble  Trouble

	seen  *coordinationv1.Lease // as it was last read or written, nil = there is none
	since time.Time             // it has been so; if it is ours, when it was last renewed
}

// ours says whether it was ours when it was last seen.
func (e *election) ours() bool {
	return e.seen != nil && ptr.Deref(e.seen.Spec.HolderIdentity, "") == e.identity
}

// taken says whether another one has it and may lead. Whatever the Lease says, that
// is no shorter than our own kind counts on, and no longer than may be waited for.
func (e *election) taken() bool {
	if e.seen == nil || e.ours() || ptr.Deref(e.seen.Spec.HolderIdentity, "") == "" {
		return false
	}
	said := time.Duration(ptr.Deref(e.seen.Spec.LeaseDurationSeconds, 0)) * time.Second
	return time.Since(e.since) <= min(max(said, leaseDuration), longestLease)
}

// patience is for how much longer we may lead if it cannot be renewed.
func (e *election) patience() time.Duration {
	return time.Until(e.since.Add(retryPeriod + renewDeadline))
}

// try takes the Lease, or renews it, if that may be, and says whether it did.
func (e *election) try(ctx context.Context) bool {
	if e.ours() {
		err := e.write(ctx) // usually nobody else has written it
		if err == nil || !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return err == nil
		}
	}
	return e.read(ctx) == nil && !e.taken() && e.write(ctx) == nil
}

// read looks at the Lease.
func (e *election) read(ctx context.Context) error {
	return e.ask(ctx, func(ctx context.Context) error {
		found, err := e.leases.Get(ctx, e.name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			e.seen = nil
			return nil
		case err != nil:
			return err
		case e.seen == nil || !reflect.DeepEqual(e.seen.Spec, found.Spec):
			e.since = time.Now()
		}
		e.seen = found
		return nil
	})
}

// write makes the Lease ours, as from when the request began: it may take its
// time. If anybody has written it since it was seen, the API server refuses. A
// request is not cut off: nobody would know whether it did anything.
func (e *election) write(ctx context.Context) error {
	began, put := time.Now(), e.leases.Update
	next := &coordinationv1.Lease{}
	if e.seen != nil {
		next = e.seen.DeepCopy()
	}
	next.Name = e.name
	now, transitions := metav1.NewMicroTime(began), ptr.Deref(next.Spec.LeaseTransitions, 0)
	switch {
	case e.seen == nil:
		put = func(ctx context.Context, made *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
			return e.leases.Create(ctx, made, metav1.CreateOptions{})
		}
		transitions, next.Spec.AcquireTime = 0, &now
	case !e.ours():
		transitions, next.Spec.AcquireTime = min(max(transitions, 0), math.MaxInt32-1)+1, &now
	}
	next.Spec.LeaseTransitions, next.Spec.RenewTime = &transitions, &now
	next.Spec.HolderIdentity, next.Spec.LeaseDurationSeconds = &e.identity, ptr.To(int32(leaseDuration/time.Second))
	return e.ask(context.WithoutCancel(ctx), func(ctx context.Context) error {
		written, err := put(ctx, next, metav1.UpdateOptions{})
		if err == nil {
			e.seen, e.since = written, began
		}
		return err
	})
}

// release lets another one lead at once, if the API server can be told so; else it
// may when the Lease is old enough.
func (e *election) release() {
	ctx := context.Background()
	if e.trouble.There() || e.read(ctx) != nil || !e.ours() {
		return
	}
	next, now := e.seen.DeepCopy(), metav1.NewMicroTime(time.Now())
	next.Name = e.name
	next.Spec.HolderIdentity, next.Spec.LeaseDurationSeconds, next.Spec.RenewTime = ptr.To(""), ptr.To(int32(1)), &now
	_ = e.ask(ctx, func(ctx context.Context) error { // has said what failed
		written, err := e.leases.Update(ctx, next, metav1.UpdateOptions{})
		if err == nil {
			e.seen = written
		}
		return err
	})
}

// ask sends a request, for which the API server has a bounded time, and says once
// that it does not do what it is asked for. That another process was quicker is no
// such trouble.
func (e *election) ask(ctx context.Context, request func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, leaseRequest)
	defer cancel()
	err := request(limited)
	switch {
	case ctx.Err() != nil: // the answer was not waited for
	case err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
		if e.trouble.Over() {
			e.log.Info("the API server answers again")
		}
	case !e.trouble.New(ctx, err):
	case apierrors.IsForbidden(err):
		e.log.Warn("may not take part in the election; give the service account get, create and update on leases", "cause", err)
	default:
		e.log.Warn("the API server does not answer; tried again until it does", "cause", err)
	}
	return err
}
