package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// The schemas in deploy/kubernetes/crds, under a group of the test's own, take
// what they should and refuse what they should.
func TestSchemas(t *testing.T) {
	c := clustertest.Connect(t)
	client, err := dynamic.NewForConfigAndClient(c.REST, c.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	group := c.Namespace + ".cloudretro.dev"
	install(t, client, group)
	for name, test := range map[string]struct {
		plural, kind, spec string
		refused            bool
	}{
		"GatewayConfig of the guide":    {"gatewayconfigs", "GatewayConfig", "{realm: stunner.l7mp.io, authType: plaintext, userName: user-1, password: pass-1}", false},
		"GatewayConfig with STUNner's":  {"gatewayconfigs", "GatewayConfig", "{logLevel: 'all:DEBUG', dataplane: default, authLifetime: 5, authRef: {name: s, namespace: x}, loadBalancerServiceAnnotations: {a/b: c}}", false},
		"empty GatewayConfig":           {"gatewayconfigs", "GatewayConfig", "{}", false},
		"GatewayConfig, realm":          {"gatewayconfigs", "GatewayConfig", "{realm: 'a b'}", true},
		"GatewayConfig, authentication": {"gatewayconfigs", "GatewayConfig", "{authType: oauth}", true},
		"GatewayConfig, unknown field":  {"gatewayconfigs", "GatewayConfig", "{relm: a}", true},
		"GatewayConfig, service type":   {"gatewayconfigs", "GatewayConfig", "{serviceType: ExternalName}", true},
		"StaticService":                 {"staticservices", "StaticService", "{prefixes: [192.0.2.0/24, '2001:db8::/32'], ports: [{port: 1, endPort: 2}, {port: 3}]}", false},
		"StaticService, no prefix":      {"staticservices", "StaticService", "{prefixes: []}", true},
		"StaticService, upside down":    {"staticservices", "StaticService", "{prefixes: [a], ports: [{port: 2, endPort: 1}]}", true},
		"UDPRoute of the guide":         {"turnroutes", "UDPRoute", "{parentRefs: [{name: g}], rules: [{backendRefs: [{name: s, namespace: x}]}]}", false},
		"UDPRoute with a range":         {"turnroutes", "UDPRoute", "{parentRefs: [{name: g, sectionName: l}], rules: [{backendRefs: [{name: s, port: 1, endPort: 2, weight: 0}]}]}", false},
		"UDPRoute, upside down":         {"turnroutes", "UDPRoute", "{rules: [{backendRefs: [{name: s, port: 2, endPort: 1}]}]}", true},
		"UDPRoute, range without start": {"turnroutes", "UDPRoute", "{rules: [{backendRefs: [{name: s, endPort: 1}]}]}", true},
		"UDPRoute, no rule":             {"turnroutes", "UDPRoute", "{rules: []}", true},
		"UDPRoute, nameless backend":    {"turnroutes", "UDPRoute", "{rules: [{backendRefs: [{port: 1}]}]}", true},
	} {
		t.Run(name, func(t *testing.T) {
			u := &unstructured.Unstructured{Object: map[string]any{}}
			text := "{apiVersion: " + group + "/v1, kind: " + test.kind + ", metadata: {generateName: a-}, spec: " + test.spec + "}"
			if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
				t.Fatal(err)
			}
			resource := client.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: test.plural}).Namespace(c.Namespace)
			_, err := resource.Create(t.Context(), u, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll}})
			if refused := err != nil && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)); refused != test.refused || err != nil && !refused {
				t.Errorf("refused %v: %v", refused, err)
			}
		})
	}
}

// install makes the CRDs under another group, until the test ends.
func install(t *testing.T, client dynamic.Interface, group string) {
	t.Helper()
	files, err := filepath.Glob("../../deploy/kubernetes/crds/*s.yaml")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v: %v", files, err)
	}
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		u := &unstructured.Unstructured{Object: map[string]any{}}
		if err := yaml.UnmarshalStrict([]byte(strings.NewReplacer(".cloudretro.dev", "."+group, "group: cloudretro.dev", "group: "+group).Replace(string(text))), &u.Object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		// Short names are for people; two groups must not share them.
		unstructured.RemoveNestedField(u.Object, "spec", "names", "shortNames")
		unstructured.RemoveNestedField(u.Object, "spec", "names", "categories")
		if _, err := crds.Create(t.Context(), u, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		t.Cleanup(func() { _ = crds.Delete(context.Background(), u.GetName(), metav1.DeleteOptions{}) })
		plural, _, _ := strings.Cut(u.GetName(), ".")
		resource := client.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: plural})
		err = wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
			_, err := resource.List(ctx, metav1.ListOptions{Limit: 1})
			return err == nil, nil
		})
		if err != nil {
			t.Fatalf("%s is not served: %v", u.GetName(), err)
		}
	}
}

// What people type for a resource of the Gateway API is none of ours: of two
// groups that have a name kubectl takes the first by the alphabet.
func TestNamesAreNotThoseOfTheGatewayAPI(t *testing.T) {
	c := clustertest.Connect(t)
	client, err := dynamic.NewForConfigAndClient(c.REST, c.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	ours := c.Namespace + ".cloudretro.dev"
	install(t, client, ours)
	names := func(group string) (all []string) {
		text, err := c.API.REST().Get().AbsPath("/apis/" + group + "/v1").Do(t.Context()).Raw()
		var list metav1.APIResourceList
		if err = errors.Join(err, json.Unmarshal(text, &list)); err != nil || len(list.APIResources) == 0 {
			t.Fatalf("%s has %d resources: %v", group, len(list.APIResources), err)
		}
		for _, r := range list.APIResources {
			all = append(append(all, r.Name, r.SingularName), r.ShortNames...)
		}
		return all
	}
	theirs := names(upstream)
	for _, name := range names(ours) {
		if !strings.Contains(name, "/") && name != "" && slices.Contains(theirs, name) {
			t.Errorf("kubectl get %s: of the Gateway API, or ours?", name)
		}
	}
}
