package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// feed is an informer that runs until it is stopped, and what is told of it.
type feed struct {
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
	refused  atomic.Bool // the API server does not let us read it
}

// feeds starts and stops informers. Its methods belong to one goroutine, but for
// note, and each feed's handlers to those of its informer.
type feeds struct {
	api     *cluster.API
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

// asked is a resource of which it is noted whether it may be read.
type asked[List runtime.Object] struct {
	cluster.Resource[List]

	note func(error)
}

func (a asked[List]) List(ctx context.Context, o metav1.ListOptions) (List, error) {
	list, err := a.Resource.List(ctx, o)
	a.note(err)
	return list, err
}

// view is what is followed of a resource.
type view struct {
	what    string // for the log
	example runtime.Object
	narrow  func(*metav1.ListOptions) // nil = all
	convert cache.TransformFunc       // what is held of each object
}

// follow runs an informer until the feed is stopped or ctx ends.
func follow[List runtime.Object](ctx context.Context, f *feeds, of cluster.Resource[List], v view) (*feed, error) {
	fd := &feed{}
	if v.narrow == nil {
		v.narrow = func(*metav1.ListOptions) {}
	}
	fd.informer = cluster.Informer(f.api, asked[List]{of, func(err error) {
		if apierrors.IsForbidden(err) && !fd.refused.Swap(true) {
			f.note()
		}
	}}, v.example, f.log.With("what", v.what), v.narrow)
	handle := func(any) { f.note() }
	_, err := fd.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: handle, UpdateFunc: func(any, any) { f.note() }, DeleteFunc: handle,
	})
	if err = errors.Join(err, fd.informer.SetTransform(v.convert)); err != nil {
		return nil, err
	}
	ctx, fd.stop = context.WithCancel(ctx)
	f.work.Go(func() { fd.informer.RunWithContext(ctx) })
	f.work.Go(func() {
		select {
		case <-fd.informer.HasSyncedChecker().Done():
			fd.refused.Store(false)
			f.note()
		case <-ctx.Done():
		}
	})
	return fd, nil
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
