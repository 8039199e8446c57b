package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Pauses between attempts to reach an API server, before jitter.
const (
	firstAttempt = 500 * time.Millisecond
	nextAttempts = 4 * time.Second
)

// Resource is a kind of object at an API server: Listed, and the resources of
// client-go's dynamic client, are.
type Resource[List runtime.Object] interface {
	List(ctx context.Context, o metav1.ListOptions) (List, error)
	Watch(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error)
}

// Informer is an informer of the objects that narrow asks for, of a client of the
// same API server as api. log is told why nothing is heard, once for each reason,
// and that the server does not answer only by the first one of all that have api;
// nil is for what others tell of, too, or can be done without.
// Informers of client-go's factories wait for up to a minute before they look for
// a server that has been away, and do not end meanwhile (Reflector.watchList); so
// the requests of this one last until there is an answer. It starts nothing.
func Informer[List runtime.Object](api *API, of Resource[List], example runtime.Object, log *slog.Logger, narrow func(*metav1.ListOptions)) cache.SharedIndexInformer {
	t := &trouble{log: log, away: &api.away}
	requests := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			narrow(&o)
			return insist(ctx, t, func() (runtime.Object, error) { return of.List(ctx, o) })
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			narrow(&o)
			return insist(ctx, t, func() (apiwatch.Interface, error) { return of.Watch(ctx, o) })
		},
	}
	informer := cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(requests, api), example, 0, cache.Indexers{})
	_ = informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) { t.note(ctx, err) }) // as above
	return informer
}

// insist repeats a request for as long as nobody answers it, or with trouble of
// the server's own, until ctx ends.
func insist[T any](ctx context.Context, t *trouble, request func() (T, error)) (T, error) {
	for pause := firstAttempt; ; pause = min(2*pause, nextAttempts) {
		answer, err := request()
		switch {
		case err == nil:
			t.over()
			return answer, nil
		case ctx.Err() != nil || !passing(err):
			return answer, err // as it is: client-go looks at it
		}
		t.note(ctx, err)
		if sleep(ctx, pause); ctx.Err() != nil {
			return answer, ctx.Err()
		}
	}
}

// passing says whether an error is no answer to a request but that there is none
// just now.
func passing(err error) bool {
	return unanswered(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) ||
		apierrors.IsTimeout(err) || apierrors.IsInternalError(err)
}

// unanswered says whether an error is not about the request: the API server is away
// or just starting.
func unanswered(err error) bool {
	var status apierrors.APIStatus
	return !errors.As(err, &status) || apierrors.IsServiceUnavailable(err)
}

// trouble logs why an informer hears nothing.
type trouble struct {
	Trouble

	log  *slog.Logger
	away *atomic.Bool // some informer has said that the server does not answer
}

func (t *trouble) note(ctx context.Context, err error) {
	if t.log == nil || errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return // a watch that ended in form, or is too old: it is made again at once
	}
	if ctx.Err() != nil || unanswered(err) && t.away.Swap(true) || !t.New(ctx, err) {
		return
	}
	if apierrors.IsForbidden(err) {
		err = fmt.Errorf("the right to list and watch is missing: give it to the pod's service account as the Role of its name in deploy/kubernetes does: %w", err)
	}
	t.log.Warn("cluster cannot be followed; what was known stays", "cause", err)
}

// over notes that the server answered.
func (t *trouble) over() {
	t.Over()
	t.away.Store(false)
}

// sleep waits for d, 25 % more or less, so that processes which began together do
// not go on together; at most until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d - d/4 + rand.N(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
