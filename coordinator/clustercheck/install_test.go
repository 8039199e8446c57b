package clustercheck_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// object is one of the base of deploy/kubernetes.
type object = *unstructured.Unstructured

// is says which one.
func is(o object, kind, name string) bool { return o.GetKind() == kind && o.GetName() == name }

// baseObjects are those of deploy/kubernetes/base but for the namespace, each
// with the namespace of c.
func baseObjects(t *testing.T, c *cluster.Cluster) []object {
	t.Helper()
	files, err := filepath.Glob("../../deploy/kubernetes/base/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no base: %v", err)
	}
	var all []object
	for _, file := range files {
		all = append(all, objectsOf(t, file, c.Namespace)...)
	}
	return all
}

// objectsOf are those of a file of manifests.
func objectsOf(t *testing.T, file, namespace string) (all []object) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096); ; {
		o := &unstructured.Unstructured{}
		if err := dec.Decode(&o.Object); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		switch o.GetKind() {
		case "", "Namespace", "Kustomization":
			continue
		case "RoleBinding", "ClusterRoleBinding":
			for _, s := range o.Object["subjects"].([]any) {
				s.(map[string]any)["namespace"] = namespace
			}
		}
		all = append(all, o)
	}
}

// resource is where an object is written.
func resource(o object) schema.GroupVersionResource {
	gvk := o.GroupVersionKind()
	plural := strings.ToLower(gvk.Kind) + "s"
	if strings.HasSuffix(plural, "ys") {
		plural = strings.TrimSuffix(plural, "ys") + "ies"
	}
	return gvk.GroupVersion().WithResource(plural)
}

// install makes what keep wants of the base, as keep has changed it, with pods
// that do nothing. Those of Deployments that no case is about have no pods.
func install(t *testing.T, c *cluster.Cluster, running []string, keep func(object) bool) {
	t.Helper()
	client, err := dynamic.NewForConfigAndClient(c.REST, c.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range baseObjects(t, c) {
		if o.GetKind() == "Deployment" {
			pause(t, o, slices.Contains(running, o.GetName()))
		}
		if target, _, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "name"); slices.Contains(running, target) {
			continue // it would bring more replicas
		}
		if keep != nil && !keep(o) {
			continue
		}
		if _, err := client.Resource(resource(o)).Namespace(c.Namespace).Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
			t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

// pause has the pods of a Deployment do nothing, at once.
func pause(t *testing.T, o object, running bool) {
	t.Helper()
	replicas := int64(0)
	if running {
		replicas = 1
	}
	put(t, o, replicas, "spec", "replicas")
	put(t, o, int64(0), "spec", "template", "spec", "terminationGracePeriodSeconds")
	container(t, o, func(c map[string]any) {
		for _, key := range []string{"startupProbe", "readinessProbe", "livenessProbe", "args", "resources"} {
			delete(c, key)
		}
		c["image"], c["imagePullPolicy"] = "docker.io/local/pause:1", "Never"
	})
}

func put(t *testing.T, o object, value any, fields ...string) {
	t.Helper()
	if err := unstructured.SetNestedField(o.Object, value, fields...); err != nil {
		t.Fatal(err)
	}
}

// container changes the one of a Deployment.
func container(t *testing.T, o object, change func(map[string]any)) {
	t.Helper()
	list, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	if err != nil || len(list) != 1 {
		t.Fatalf("containers of %s: %v, %v", o.GetName(), list, err)
	}
	change(list[0].(map[string]any))
	if err := unstructured.SetNestedSlice(o.Object, list, "spec", "template", "spec", "containers"); err != nil {
		t.Fatal(err)
	}
}
