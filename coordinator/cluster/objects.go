package cluster

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// object is one of a kind.
type object interface {
	runtime.Object
	metav1.Object
}

// Objects is a kind of object as an API server has it: of one namespace, of all,
// or of none. Its methods are those of client-go's clientset, and errors are
// those of apierrors.
type Objects[T object] struct {
	rest        rest.Interface
	resource    string
	subresource string // "" = the object itself
	namespace   string // "" = all or none
}

// Listed are Objects that can be listed and watched as well.
type Listed[T object, L runtime.Object] struct{ *Objects[T] }

func objects[T object](client rest.Interface, resource, namespace string) *Objects[T] {
	return &Objects[T]{rest: client, resource: resource, namespace: namespace}
}

func listed[T object, L runtime.Object](client rest.Interface, resource, namespace string) *Listed[T, L] {
	return &Listed[T, L]{objects[T](client, resource, namespace)}
}

// all is a request for the objects of a kind. Options are sent as those of v1,
// whatever the group of the objects is.
func (o *Objects[T]) all(r *rest.Request, options runtime.Object) *rest.Request {
	return r.NamespaceIfScoped(o.namespace, o.namespace != "").Resource(o.resource).
		SpecificallyVersionedParams(options, metav1.ParameterCodec, schema.GroupVersion{Version: "v1"})
}

// one is a request for one of them.
func (o *Objects[T]) one(r *rest.Request, options runtime.Object, name string) *rest.Request {
	r = o.all(r, options).Name(name)
	if o.subresource != "" {
		r = r.SubResource(o.subresource)
	}
	return r
}

// answer sends a request. The clientset takes an answer of another kind than was
// asked for, such as what a proxy makes up, for an object without any content; here
// it is an error.
func answer[T runtime.Object](ctx context.Context, r *rest.Request) (T, error) {
	got, err := r.Do(ctx).Get()
	is, ok := got.(T)
	if err == nil && !ok {
		err = fmt.Errorf("the answer is a %T, not a %T; is that the API server, or a proxy before it?", got, is)
	}
	return is, err
}

// Get reads the object of a name.
func (o *Objects[T]) Get(ctx context.Context, name string, options metav1.GetOptions) (T, error) {
	return answer[T](ctx, o.one(o.rest.Get(), &options, name))
}

// Create makes an object, and answers it as the server has it.
func (o *Objects[T]) Create(ctx context.Context, made T, options metav1.CreateOptions) (T, error) {
	return answer[T](ctx, o.all(o.rest.Post(), &options).Body(made))
}

// Update replaces an object, and answers it as the server has it.
func (o *Objects[T]) Update(ctx context.Context, changed T, options metav1.UpdateOptions) (T, error) {
	return answer[T](ctx, o.one(o.rest.Put(), &options, changed.GetName()).Body(changed))
}

// Patch changes the object of a name.
func (o *Objects[T]) Patch(ctx context.Context, name string, form types.PatchType, data []byte, options metav1.PatchOptions) (T, error) {
	return answer[T](ctx, o.one(o.rest.Patch(form), &options, name).Body(data))
}

// Delete deletes the object of a name.
func (o *Objects[T]) Delete(ctx context.Context, name string, options metav1.DeleteOptions) error {
	return o.one(o.rest.Delete(), &metav1.GetOptions{}, name).Body(&options).Do(ctx).Error()
}

// List lists the objects that options select.
func (l *Listed[T, L]) List(ctx context.Context, options metav1.ListOptions) (L, error) {
	return answer[L](ctx, l.all(l.rest.Get(), &options).Timeout(seconds(options)))
}

// Watch tells of changes of the objects that options select.
func (l *Listed[T, L]) Watch(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error) {
	options.Watch = true
	return l.all(l.rest.Get(), &options).Timeout(seconds(options)).Watch(ctx)
}

// seconds is how long the server is to work on a request, 0 = as it likes.
func seconds(o metav1.ListOptions) time.Duration {
	if o.TimeoutSeconds == nil {
		return 0
	}
	return time.Duration(*o.TimeoutSeconds) * time.Second
}
