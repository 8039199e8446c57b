package gateway

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

func manifestOf(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

// What is not installed is told of once, followed when it comes, in the version
// that it has then, and forgotten when it goes.
func TestCustomResourcesComeAndGo(t *testing.T) {
	c := clustertest.Connect(t)
	client, err := dynamic.NewForConfigAndClient(c.REST, c.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	group := c.Namespace + ".cloudretro.dev"
	name := "gatewayconfigs." + group
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	definition := func(old, current string) *unstructured.Unstructured {
		return manifestOf(t, `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: `+name+`}, spec: {
  group: `+group+`, scope: Namespaced, names: {plural: gatewayconfigs, kind: GatewayConfig},
  versions: [{name: v1alpha2, served: `+old+`, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}},
    {name: v1, served: `+current+`, storage: false, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}`)
	}
	apply := func(d *unstructured.Unstructured) {
		t.Helper()
		if _, err := crds.Apply(t.Context(), name, d, metav1.ApplyOptions{FieldManager: "test", Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	remove := func() { _ = crds.Delete(context.Background(), name, metav1.DeleteOptions{}) }
	t.Cleanup(remove)

	var log clustertest.Log
	ctx, cancel := context.WithCancel(t.Context())
	f := &feeds{api: c.API, log: log.Logger(), changed: make(chan struct{}, 1)}
	defer f.work.Wait()
	defer cancel()
	all := newCustom(f, client)
	all.kinds = map[string]kind{name: {[]string{"v1", "v1alpha2"}, func(u *unstructured.Unstructured) any { return ReadGatewayConfig(u) }}}
	if err := all.start(ctx); err != nil {
		t.Fatal(err)
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		over := time.After(30 * time.Second)
		for {
			known, err := all.arrange(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if known && ok() {
				return
			}
			select {
			case <-f.changed:
			case <-over:
				t.Fatalf("%s did not happen", what)
			}
		}
	}
	until("the look at the cluster", func() bool { return all.objects[name] == nil })
	until("the same", func() bool { return true })
	if n := log.Count("not installed"); n != 1 || log.Count("kubectl apply") != 1 {
		t.Errorf("told %d times", n)
	}
	apply(definition("true", "false"))
	until("the old version", func() bool { return all.resources[name].Version == "v1alpha2" })
	_, err = client.Resource(all.resources[name]).Namespace(c.Namespace).Create(t.Context(), manifestOf(t, `{apiVersion: `+group+`/v1alpha2,
  kind: GatewayConfig, metadata: {name: one}, spec: {realm: arcade}}`), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	realm := func() string {
		for _, config := range objects[*GatewayConfig](all.objects[name]) {
			return config.Spec.Realm
		}
		return ""
	}
	until("the object", func() bool { return realm() == "arcade" })
	apply(definition("true", "true"))
	until("the new version", func() bool { return all.resources[name].Version == "v1" && realm() == "arcade" })
	remove()
	until("the end", func() bool { return all.objects[name] == nil })
	if n := log.Count("not installed"); n != 2 {
		t.Errorf("told %d times", n)
	}
}

func TestReadDefinition(t *testing.T) {
	for text, want := range map[string]int{
		`{metadata: {name: a}}`: 0,
		`{metadata: {name: a}, spec: {versions: [{name: v1, served: true}]}}`:                                                                      0,
		`{metadata: {name: a}, spec: {versions: [{name: v1, served: true}]}, status: {conditions: [{type: Established, status: "True"}]}}`:         1,
		`{metadata: {name: a}, spec: {versions: [7, {name: 7, served: x}, null]}, status: {conditions: [3, {type: Established, status: "True"}]}}`: 0,
	} {
		got, err := readDefinition(manifestOf(t, text))
		if d := got.(*definition); err != nil || len(d.served) != want || d.Name != "a" {
			t.Errorf("%s: %+v, %v", text, d, err)
		}
	}
	d, _ := readDefinition(manifestOf(t, `{metadata: {name: a, annotations: {`+bundleAnnotation+`: v1.6.3}}}`))
	if again, err := readDefinition(d); err != nil || again != d || d.(*definition).bundle != "v1.6.3" {
		t.Errorf("%+v, %v", again, err)
	}
}
