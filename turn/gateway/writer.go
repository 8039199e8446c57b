package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// draft is what the cluster should look like, and the snapshot that it is of.
type draft struct {
	out       Outcome
	of        Resources
	pods      []*corev1.Pod // of gates
	namespace string        // of the installation
	routes    schema.GroupVersionResource
}

// writer makes the cluster what the newest draft says, while this process leads.
// What a draft says of an object that has changed since is not written: the next
// draft is of the object as it is then.
type writer struct {
	api     *cluster.API
	dynamic dynamic.Interface
	log     *slog.Logger
	latest  atomic.Pointer[draft]
	taken   chan struct{} // capacity 1
	told    string        // the last failure in the log
	note    func()        // called when refused has changed
	refused atomic.Pointer[map[types.NamespacedName]string]
}

func newWriter(api *cluster.API, dynamic dynamic.Interface, log *slog.Logger, note func()) *writer {
	return &writer{api: api, dynamic: dynamic, log: log, taken: make(chan struct{}, 1), note: note}
}

// refusals are Services that the API server did not take last time, and why. It
// may be called at any time.
func (w *writer) refusals() map[types.NamespacedName]string {
	if known := w.refused.Load(); known != nil {
		return *known
	}
	return nil
}

// take replaces the draft; nil is none. It may be called at any time.
func (w *writer) take(d *draft) {
	w.latest.Store(d)
	select {
	case w.taken <- struct{}{}:
	default:
	}
}

// run writes until ctx ends. It is called by one goroutine at a time.
func (w *writer) run(ctx context.Context) error {
	for ctx.Err() == nil {
		next := calm
		if d := w.latest.Load(); d != nil {
			if err := w.write(ctx, d); err != nil && ctx.Err() == nil {
				w.tell(err)
				next = again
			} else {
				w.told = ""
			}
		}
		timer := time.NewTimer(next)
		select {
		case <-w.taken:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// tell logs a failure, once.
func (w *writer) tell(err error) {
	if text := err.Error(); text != w.told {
		w.told = text
		w.log.Warn("could not write all that Gateways need; tried again", "cause", err)
	}
}

// write makes what differs as the draft says. That something has changed or gone
// meanwhile is no error.
func (w *writer) write(ctx context.Context, d *draft) error {
	err := errors.Join(w.services(ctx, d), w.mirrors(ctx, d))
	for name, status := range d.out.Classes {
		err = errors.Join(err, writeStatus(ctx, w, classResource(), "GatewayClass", find(d.of.Classes, types.NamespacedName{Name: name}), status))
	}
	for name, finalizers := range d.out.Finalizers {
		err = errors.Join(err, w.hold(ctx, find(d.of.Classes, types.NamespacedName{Name: name}), finalizers))
	}
	for name, status := range d.out.Gateways {
		err = errors.Join(err, writeStatus(ctx, w, schema.GroupVersionResource{Group: upstream, Version: "v1", Resource: "gateways"}, "Gateway", find(d.of.Gateways, name), status))
	}
	for name, status := range d.out.Routes {
		err = errors.Join(err, writeStatus(ctx, w, d.routes, "UDPRoute", find(d.of.Routes, name), status))
	}
	own := schema.GroupVersionResource{Group: Group, Version: Version, Resource: "turnroutes"}
	for name, status := range d.out.OwnRoutes {
		err = errors.Join(err, writeStatus(ctx, w, own, "UDPRoute", find(d.of.OwnRoutes, name), status))
	}
	return err
}

// find is the object of a name, nil if there is none.
func find[T metav1.Object](list []T, name types.NamespacedName) metav1.Object {
	for _, o := range list {
		if o.GetName() == name.Name && o.GetNamespace() == name.Namespace {
			return o
		}
	}
	return nil
}

// writeStatus replaces the status of an object, unless that has changed since. The
// API server changes nothing of the metadata, but whoever applied a label or an
// annotation that is not sent along would not own it any more, and could not take
// it away.
func writeStatus[S any](ctx context.Context, w *writer, gvr schema.GroupVersionResource, kind string, of metav1.Object, status S) error {
	if of == nil || gvr.Empty() {
		return nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		return fmt.Errorf("status of %s %s/%s: %w", kind, of.GetNamespace(), of.GetName(), err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{"status": content}}
	u.SetGroupVersionKind(gvr.GroupVersion().WithKind(kind))
	u.SetNamespace(of.GetNamespace())
	u.SetName(of.GetName())
	u.SetUID(of.GetUID())
	u.SetResourceVersion(of.GetResourceVersion())
	u.SetGenerateName(of.GetGenerateName())
	u.SetLabels(of.GetLabels())
	u.SetAnnotations(of.GetAnnotations())
	u.SetFinalizers(of.GetFinalizers())
	u.SetOwnerReferences(of.GetOwnerReferences())
	_, err = w.dynamic.Resource(gvr).Namespace(of.GetNamespace()).UpdateStatus(ctx, u, metav1.UpdateOptions{})
	if err = stale(err); err != nil {
		return fmt.Errorf("status of %s %s/%s: %w", kind, of.GetNamespace(), of.GetName(), err)
	}
	return nil
}

// stale drops the errors that say that the snapshot is old.
func stale(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}
