package discovery

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
)

// gather is the time for which changes are taken together: a controller that
// moves endpoints from slice to slice writes several objects for one change.
const gather = 20 * time.Millisecond

// follow runs informers until ctx ends. look is called when the first of them
// knows all that there is, or when refused is closed, which may be nil; and then
// whenever any has heard of a change, one call at a time. While the API server is
// away the informers keep what they know and try again, so that nothing changes
// meanwhile. It returns after the last goroutine ended.
func follow(ctx context.Context, refused <-chan struct{}, look func(), informers ...cache.SharedIndexInformer) {
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
	case <-refused:
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
