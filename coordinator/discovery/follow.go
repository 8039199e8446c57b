package discovery

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// gather is the time for which changes are taken together: a controller that
// moves endpoints from slice to slice writes several objects for one change.
const gather = 20 * time.Millisecond

// follow runs informers until ctx ends. look is called when the first of them
// knows all that there is, and whenever any has heard of a change, one call at a
// time. While the API server is away the informers keep what they know and try
// again, so that nothing changes meanwhile. It returns after the last goroutine
// ended.
func follow(ctx context.Context, log *slog.Logger, look func(), informers ...cache.SharedIndexInformer) {
	changed := make(chan struct{}, 1)
	var group sync.WaitGroup
	defer group.Wait()
	for _, informer := range informers {
		t := trouble{log: log}
		note := func() {
			t.over()
			select {
			case changed <- struct{}{}:
			default: // it will be looked at
			}
		}
		// Both fail only for an informer that runs already, or ran.
		_ = informer.SetWatchErrorHandlerWithContext(t.note)
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
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
// at each attempt, until it hears of something again.
type trouble struct {
	log  *slog.Logger
	said atomic.Pointer[metav1.StatusReason]
}

// note is a cache.WatchErrorHandlerWithContext.
func (t *trouble) note(ctx context.Context, _ *cache.Reflector, err error) {
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
