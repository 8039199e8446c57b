package gateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"
)

// feed is an informer that runs until it is stopped, and what is told of it.
type feed struct {
	what     string // that it follows, with the version
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
	refused  atomic.Bool // the API server does not let us read it
}

// feeds starts and stops informers. Its methods belong to one goroutine, but for
// note, and each feed's handlers to those of its informer.
type feeds struct {
	log     *slog.Logger
	changed chan struct{} // capacity 1
	work    sync.WaitGroup
}

// note says that something has changed.
func (f *feeds) note() {
	select {
	case f.changed <- struct{}{}:
	default: // it is known
	}
}

// start runs an informer that was not started yet. What it holds is what convert
// makes of each object.
func (f *feeds) start(ctx context.Context, what string, informer cache.SharedIndexInformer, convert cache.TransformFunc) (*feed, error) {
	fd := &feed{what: what, informer: informer}
	handle := func(any) { f.note() }
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: handle, UpdateFunc: func(any, any) { f.note() }, DeleteFunc: handle,
	})
	err = errors.Join(err, informer.SetTransform(convert), informer.SetWatchErrorHandlerWithContext(f.failed(fd)))
	if err != nil {
		return nil, err
	}
	ctx, fd.stop = context.WithCancel(ctx)
	f.work.Go(func() { informer.RunWithContext(ctx) })
	f.work.Go(func() {
		select {
		case <-informer.HasSyncedChecker().Done():
			fd.refused.Store(false)
			f.note()
		case <-ctx.Done():
		}
	})
	return fd, nil
}

// failed logs why something cannot be read: once, and again if the reason is of
// another kind. The informer tries again by itself.
func (f *feeds) failed(fd *feed) cache.WatchErrorHandlerWithContext {
	var told string // of the informer's goroutine
	return func(ctx context.Context, _ *cache.Reflector, err error) {
		kind := cmp.Or(string(apierrors.ReasonForError(err)), "away")
		refused := apierrors.IsForbidden(err)
		if refused && !fd.refused.Swap(true) {
			f.note()
		}
		if ctx.Err() != nil || kind == told || apierrors.IsResourceExpired(err) {
			return
		}
		told = kind
		if refused {
			f.log.Warn("not allowed to read; give the service account the rights of deploy/kubernetes/overlays/gateway", "what", fd.what, "cause", err)
			return
		}
		f.log.Warn("cannot be read for now; what is known stays in force", "what", fd.what, "cause", err)
	}
}

// known says whether there is an answer: all objects there are, or that they may
// not be read.
func (fd *feed) known() bool { return fd.informer.HasSynced() || fd.refused.Load() }

// objects are what a feed holds, none if there is no feed. They are read-only.
func objects[T any](fd *feed) []T {
	if fd == nil {
		return nil
	}
	all := fd.informer.GetStore().List()
	list := make([]T, 0, len(all))
	for _, o := range all {
		if t, ok := o.(T); ok {
			list = append(list, t)
		}
	}
	return list
}

// trim drops what nobody reads of an object and is most of many.
func trim(object any) (any, error) {
	if m, err := apimeta.Accessor(object); err == nil {
		m.SetManagedFields(nil)
	}
	return object, nil
}
