package gateway_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/turn"
	"github.com/cloudretro/cloudretro/turn/gateway"
)

const patient = 30 * time.Second // for what should be there in a second

// world is a namespace of a real cluster with a class of Gateways of its own.
type world struct {
	*cluster.Cluster
	t       *testing.T
	dynamic dynamic.Interface
	name    string // of the class and of its controller
	first   int    // of the ports
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clustertest.Connect(t)
	client, err := dynamic.NewForConfigAndClient(c.REST, c.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	unique := make([]byte, 6)
	_, _ = rand.Read(unique)
	w := &world{Cluster: c, t: t, dynamic: client, name: "test-" + hex.EncodeToString(unique), first: freePorts(t)}
	w.installCRDs()
	w.make("gatewayclasses", `{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: $NAME},
  spec: {controllerName: cloudretro.dev/$NAME, parametersRef: {group: cloudretro.dev, kind: GatewayConfig, namespace: $NS, name: config}}}`)
	t.Cleanup(w.deleteClass)
	w.make("gatewayconfigs", `{apiVersion: cloudretro.dev/v1, kind: GatewayConfig, metadata: {name: config, namespace: $NS}, spec: {serviceType: ClusterIP}}`)
	return w
}

// newRoutedWorld is a world in which a route leads from a Gateway "gate", as soon
// as there is one, to a worker that answers.
func newRoutedWorld(t *testing.T) (w *world, worker netip.AddrPort) {
	t.Helper()
	w, worker = newWorld(t), echo(t)
	w.backend(w.Namespace, "workers", worker)
	w.make("udproutes", udpRoute(`{name: workers, port: 8443}`))
	return w, worker
}

// freePorts is the first of some ports that are likely free.
func freePorts(t *testing.T) int {
	t.Helper()
	for {
		conn, err := net.ListenPacket("udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if port := conn.LocalAddr().(*net.UDPAddr).Port; port < 65000 {
			return port
		}
	}
}

// installCRDs makes ours, where they are not there.
func (w *world) installCRDs() {
	w.t.Helper()
	folder := filepath.Join("..", "..", "deploy", "kubernetes", "crds")
	files, err := filepath.Glob(filepath.Join(folder, "*s.yaml"))
	if err != nil || len(files) != 3 {
		w.t.Fatalf("CRDs %v: %v", files, err)
	}
	crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatal(err)
		}
		u := w.parse(string(text))
		if _, err := w.dynamic.Resource(crds).Create(w.t.Context(), u, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			w.t.Fatal(err)
		}
		w.until("CRD "+u.GetName(), func() bool {
			is, err := w.dynamic.Resource(crds).Get(w.t.Context(), u.GetName(), metav1.GetOptions{})
			conditions, _, _ := unstructured.NestedSlice(is.Object, "status", "conditions")
			return err == nil && len(conditions) > 1
		})
	}
}

// parse reads a manifest in which $NAME and $NS stand for the world's own.
func (w *world) parse(text string) *unstructured.Unstructured {
	w.t.Helper()
	u := &unstructured.Unstructured{}
	text = strings.NewReplacer("$NAME", w.name, "$NS", w.Namespace).Replace(text)
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		w.t.Fatalf("%v in %s", err, text)
	}
	return u
}

func resourceOf(resource, group string) schema.GroupVersionResource {
	if group == "" {
		group = gatewayv1.GroupName
	}
	return schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}
}

// make creates the object of a manifest, or makes it what the manifest says.
func (w *world) make(resource, text string) {
	w.t.Helper()
	u := w.parse(text)
	gvr := u.GroupVersionKind().GroupVersion().WithResource(resource)
	_, err := w.dynamic.Resource(gvr).Namespace(u.GetNamespace()).Apply(w.t.Context(), u.GetName(), u, metav1.ApplyOptions{FieldManager: "test", Force: true})
	if err != nil {
		w.t.Fatalf("%v in %s", err, text)
	}
}

func (w *world) delete(resource, namespace, name string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	err := w.dynamic.Resource(resourceOf(resource, "")).Namespace(namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Errorf("delete %s %s: %v", resource, name, err)
	}
}

// deleteClass deletes the class, whoever holds it.
func (w *world) deleteClass() {
	w.t.Helper()
	w.delete("gatewayclasses", "", w.name)
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	free := []byte(`{"metadata": {"finalizers": null}}`)
	_, err := w.dynamic.Resource(resourceOf("gatewayclasses", "")).Patch(ctx, w.name, types.MergePatchType, free, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Error(err)
	}
}

// until waits for a condition.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	over := time.After(patient)
	for !ok() {
		select {
		case <-tick.C:
		case <-over:
			w.t.Fatalf("%s did not happen within %s", what, patient)
		}
	}
}

// get reads an object.
func get[T any](w *world, resource, group, namespace, name string) *T {
	w.t.Helper()
	u, err := w.dynamic.Resource(resourceOf(resource, group)).Namespace(namespace).Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	object := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, object); err != nil {
		w.t.Fatal(err)
	}
	return object
}

// condition is one of a Gateway's listener, an empty one if it is not known.
func (w *world) condition(namespace, name, listener, condition string) metav1.Condition {
	w.t.Helper()
	g := get[gatewayv1.Gateway](w, "gateways", "", namespace, name)
	for _, l := range g.Status.Listeners {
		if c := meta.FindStatusCondition(l.Conditions, condition); c != nil && string(l.Name) == listener {
			return *c
		}
	}
	return metav1.Condition{}
}

// listener says the reason of a condition of a Gateway's listener.
func (w *world) listener(namespace, name, listener, condition string) string {
	w.t.Helper()
	return w.condition(namespace, name, listener, condition).Reason
}

// seen waits until the conditions are of a Gateway as it is now.
func (w *world) seen(namespace, name string) {
	w.t.Helper()
	w.until("conditions of the Gateway's generation", func() bool {
		g := get[gatewayv1.Gateway](w, "gateways", "", namespace, name)
		c := meta.FindStatusCondition(g.Status.Conditions, "Accepted")
		return c != nil && c.ObservedGeneration == g.Generation
	})
}

// route is listener for the only parent of a UDPRoute.
func (w *world) route(namespace, name, condition string) string {
	w.t.Helper()
	r := get[gatewayv1.UDPRoute](w, "udproutes", "", namespace, name)
	for _, p := range r.Status.Parents {
		if c := meta.FindStatusCondition(p.Conditions, condition); c != nil && string(p.ControllerName) == "cloudretro.dev/"+w.name {
			return c.Reason
		}
	}
	return ""
}

// programmed waits for a listener, and says at which port of pods it is.
func (w *world) programmed(namespace, gatewayName, listener string) uint16 {
	w.t.Helper()
	w.until("listener "+listener, func() bool { return w.listener(namespace, gatewayName, listener, "Programmed") == "Programmed" })
	return w.port(namespace, gatewayName, listener)
}

// port is the one of pods that the Service of a Gateway has for a listener, 0 if
// it has none.
func (w *world) port(namespace, gatewayName, listener string) uint16 {
	w.t.Helper()
	service := w.service(namespace, gatewayName)
	if service == nil {
		return 0
	}
	for _, p := range service.Spec.Ports {
		if p.Name == listener {
			return uint16(p.TargetPort.IntVal)
		}
	}
	return 0
}

// service is that of a Gateway, nil if there is none.
func (w *world) service(namespace, gatewayName string) *corev1.Service {
	w.t.Helper()
	list, err := clustertest.Clientset(w.Cluster).CoreV1().Services(namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: gatewayv1.GatewayNameLabelKey + "=" + gatewayName})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(list.Items) != 1 {
		return nil
	}
	return &list.Items[0]
}

// pod is a turn pod: a fleet and its controller.
type pod struct {
	*turn.Fleet
	end     func()        // of both
	applied *atomic.Int32 // how often the controller had listeners for the fleet
}

// counted counts what a fleet is told to serve.
type counted struct {
	*turn.Fleet
	applied *atomic.Int32
}

func (c counted) Apply(ctx context.Context, listeners []gateway.Listener) map[string]error {
	failed := c.Fleet.Apply(ctx, listeners)
	if len(listeners) > 0 {
		c.applied.Add(1)
	}
	return failed
}

const installationSecret = "of the installation"

// start runs a pod until end is called or the test is over.
func (w *world) start(identity string) pod {
	w.t.Helper()
	return w.startAt(identity, *w.Cluster, w.t.Output())
}

// startAt is start for one that sees the cluster in a way of its own, and logs to
// out.
func (w *world) startAt(identity string, own cluster.Cluster, out io.Writer) pod {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(out, nil)).With("pod", identity)
	own.Identity, own.Logger = identity, log
	f := turn.NewFleet(turn.Config{Logger: log, DrainGrace: time.Minute})
	applied := new(atomic.Int32)
	c, err := gateway.New(gateway.Config{
		Cluster: &own, Fleet: counted{f, applied}, Lead: own.Lead, Logger: log,
		Settings: gateway.Settings{
			ControllerName: "cloudretro.dev/" + w.name, Namespace: w.Namespace, PodSelector: map[string]string{"test": "turn"},
			FirstPort: w.first, Ports: 100, Realm: "cloudretro", Secrets: []string{installationSecret},
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	ended := false
	end := func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := errors.Join(<-done, f.Close()); err != nil {
			w.t.Errorf("the pod ended with %v", err)
		}
	}
	w.t.Cleanup(end)
	return pod{f, end, applied}
}
