package deploy

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// warnings are what an API server says besides its answers.
type warnings struct {
	mu   sync.Mutex
	said []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.said, text) {
		w.said = append(w.said, text)
	}
}

// applier applies objects as kubectl apply --server-side would.
type applier struct {
	warnings
	t      *testing.T
	client dynamic.Interface
	mapper meta.RESTMapper
	dryRun []string
}

func newApplier(t *testing.T, config *rest.Config, dryRun ...string) *applier {
	t.Helper()
	a := &applier{t: t, dryRun: dryRun}
	config = rest.CopyConfig(config)
	config.WarningHandler = a
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	a.client, a.mapper = a.connect(config, client)
	return a
}

func (a *applier) connect(config *rest.Config, client *http.Client) (dynamic.Interface, meta.RESTMapper) {
	a.t.Helper()
	d, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		a.t.Fatal(err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfigAndClient(config, client)
	if err != nil {
		a.t.Fatal(err)
	}
	groups, err := restmapper.GetAPIGroupResources(kinds)
	if err != nil {
		a.t.Fatal(err)
	}
	return d, restmapper.NewDiscoveryRESTMapper(groups)
}

// apply says whether the cluster knows the object's kind.
func (a *applier) apply(u *unstructured.Unstructured) bool {
	a.t.Helper()
	kind := u.GroupVersionKind()
	mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		return false
	}
	if err != nil {
		a.t.Fatal(err)
	}
	var client dynamic.ResourceInterface = a.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		client = a.client.Resource(mapping.Resource).Namespace(u.GetNamespace())
	}
	_, err = client.Apply(a.t.Context(), u.GetName(), u, metav1.ApplyOptions{FieldManager: "cloudretro-test", Force: true, DryRun: a.dryRun})
	if err != nil {
		a.t.Errorf("%s is refused: %v", key(u), err)
	}
	return true
}

// into are the objects of an overlay for another namespace.
func into(t *testing.T, overlay, namespace string) []*unstructured.Unstructured {
	t.Helper()
	objects := kustomized(t, overlay)
	for _, u := range objects {
		if !clusterWide(u.GetKind()) {
			u.SetNamespace(namespace)
		}
		subjects, _, _ := unstructured.NestedSlice(u.Object, "subjects")
		for _, s := range subjects {
			if subject, ok := s.(map[string]any); ok {
				subject["namespace"] = namespace
			}
		}
		if len(subjects) > 0 {
			u.Object["subjects"] = subjects
		}
	}
	return objects
}

// The API server takes every overlay as it stands, and warns of nothing: pods are
// as restricted as they can be.
func TestAccepted(t *testing.T) {
	c := clustertest.Connect(t)
	for overlay := range overlays() {
		t.Run("overlay "+overlay, func(t *testing.T) {
			namespace := clustertest.Namespace(t, c)
			objects := into(t, overlay, namespace)
			labels := find(t, objects, "Namespace/cloudretro").GetLabels()
			setLabels(t, clustertest.Clientset(c).CoreV1().Namespaces(), namespace, labels)
			a := newApplier(t, c.REST, metav1.DryRunAll)
			for _, u := range objects {
				if !a.apply(u) && u.GroupVersionKind().Group != "cloudretro.dev" {
					t.Logf("this cluster does not know %s (%s), so it is not tried", key(u), u.GetAPIVersion())
				}
			}
			for _, said := range a.said {
				if overlay != "host-port" || !onlyHostPort(said) {
					t.Errorf("the API server warns: %s", said)
				}
			}
		})
	}
}

// onlyHostPort says whether a warning of pod security is of host ports alone.
func onlyHostPort(warning string) bool {
	return strings.Contains(warning, "hostPort") && !strings.Contains(warning, "), ")
}

// namespaces is what setLabels needs of the client.
type namespaces interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.Namespace, error)
	Update(ctx context.Context, n *corev1.Namespace, o metav1.UpdateOptions) (*corev1.Namespace, error)
}

func setLabels(t *testing.T, client namespaces, name string, labels map[string]string) {
	t.Helper()
	n, err := client.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range labels {
		n.Labels[k] = v
	}
	if _, err := client.Update(t.Context(), n, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Restricted is enforced, not only said: a pod that asks for more is refused.
func TestRestrictedHolds(t *testing.T) {
	c := clustertest.Connect(t)
	setLabels(t, clustertest.Clientset(c).CoreV1().Namespaces(), c.Namespace, find(t, kustomized(t, ""), "Namespace/cloudretro").GetLabels())
	pod := func(overlay, role string) *corev1.Pod {
		d := deployments(t, kustomized(t, overlay))[role]
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "try-"}, Spec: d.Spec.Template.Spec}
		p.Spec.ServiceAccountName = ""
		return p
	}
	create := func(p *corev1.Pod) error {
		_, err := clustertest.Clientset(c).CoreV1().Pods(c.Namespace).Create(t.Context(), p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	for _, role := range []string{"coordinator", "worker", "turn"} {
		if err := create(pod("", role)); err != nil {
			t.Errorf("%s: %v", role, err)
		}
	}
	if err := create(pod("host-port", "worker")); err == nil || !strings.Contains(err.Error(), "hostPort") {
		t.Errorf("a host port in a restricted namespace: %v", err)
	}
	root := pod("", "worker")
	root.Spec.Containers[0].SecurityContext.Capabilities = nil
	if err := create(root); err == nil || !strings.Contains(err.Error(), "restricted") {
		t.Errorf("a worker with capabilities: %v", err)
	}
}
