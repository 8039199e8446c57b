package discovery

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// gather is the time for which changes are taken together: a controller that
// moves endpoints from slice to slice writes several objects for one change.
const gather = 20 * time.Millisecond

// Pauses between attempts to reach an API server, before jitter.
const (
	firstAttempt = 500 * time.Millisecond
	nextAttempts = 4 * time.Second
)

// follow runs informers until ctx ends. look is called when the first of them
// knows all that there is, and whenever any has heard of a change, one call at a
// time. While the API server is away the informers keep what they know and try
// again, so that nothing changes meanwhile. It returns after the last goroutine
// ended.
func follow(ctx context.Context, look func(), informers ...cache.SharedIndexInformer) {
	changed := make(chan struct{}, 1)
	note := func() {
		select {
		case changed <- struct{}{}:
		default: // it will be looked at
		}
	}
	var group sync.WaitGroup
	defer group.Wait()
	for _, informer := range informers {
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // fails only for one that has run
			AddFunc:    func(any) { note() },
			UpdateFunc: func(any, any) { note() },
			DeleteFunc: func(any) { note() },
		})
		group.Go(func() { informer.RunWithContext(ctx) })
	}
	select {
	case <-informers[0].HasSyncedChecker().Done():
	case <-ctx.Done():
		return
	}
	for {
		look()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		if wait(ctx, gather); ctx.Err() != nil {
			return
		}
	}
}

// resource is a kind of object in a namespace, as the typed clients have it.
type resource[List runtime.Object] interface {
	List(ctx context.Context, o metav1.ListOptions) (List, error)
	Watch(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error)
}

// informerOf is an informer of the objects that narrow asks for. Those of
// client-go's factories wait for up to a minute before they look for a server
// that has been away, and do not end meanwhile (Reflector.watchList); so its
// requests last until there is an answer.
func informerOf[List runtime.Object](client any, of resource[List], example runtime.Object, log *slog.Logger, narrow func(*metav1.ListOptions)) cache.SharedIndexInformer {
	t := &trouble{log: log}
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
	informer := cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(requests, client), example, 0, cache.Indexers{})
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
		if wait(ctx, pause-pause/4+rand.N(pause/2)); ctx.Err() != nil { // +- 25 %
			return answer, ctx.Err()
		}
	}
}

// passing says whether an error is no answer to a request but that there is none
// just now.
func passing(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	return apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err)
}

// known are the objects in an informer's cache; nobody may write to them.
func known[T any](informer cache.SharedIndexInformer) []T {
	list := informer.GetStore().List()
	objects := make([]T, 0, len(list))
	for _, o := range list {
		if object, ok := o.(T); ok {
			objects = append(objects, object)
		}
	}
	return objects
}

// trouble logs why an informer hears nothing: once for each kind of reason, not
// at each attempt, until it is over.
type trouble struct {
	log  *slog.Logger
	said atomic.Pointer[metav1.StatusReason]
}

func (t *trouble) note(ctx context.Context, err error) {
	if ctx.Err() != nil || errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return // a watch that ended in form, or is too old: it is made again at once
	}
	reason := apierrors.ReasonForError(err)
	if before := t.said.Swap(&reason); before != nil && *before == reason {
		return
	}
	t.log.Warn("cluster cannot be followed; what was known stays", "cause", err)
}

func (t *trouble) over() { t.said.Store(nil) }
