package deploy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const chartDir = "helm/cloudretro"

// byName sorts lists of what has names, of which the order means nothing.
func byName(value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, each := range v {
			byName(each)
		}
	case []any:
		name := func(e any) string {
			m, _ := e.(map[string]any)
			s, _ := m["name"].(string)
			return s
		}
		slices.SortStableFunc(v, func(a, b any) int { return cmp.Compare(name(a), name(b)) })
		for _, each := range v {
			byName(each)
		}
	}
}

// normal are objects by their keys, as text that can be compared.
func normal(t *testing.T, objects []*unstructured.Unstructured) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, u := range objects {
		if u.GetKind() == "Namespace" {
			continue // of a chart it is made by helm install --create-namespace
		}
		if clusterWide(u.GetKind()) {
			u.SetNamespace("") // kustomize gives one to kinds that it does not know
		}
		byName(u.Object)
		data, err := json.MarshalIndent(u.Object, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := texts[key(u)]; twice {
			t.Errorf("%s is there twice", key(u))
		}
		texts[key(u)] = string(data)
	}
	return texts
}

// differences says what two texts differ in, line by line.
func differences(a, b string) string {
	left, right := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(left), len(right)) {
		if left[i] != right[i] {
			return fmt.Sprintf("line %d: kustomize has\n%s\nthe chart\n%s", i, strings.Join(left[i:min(i+6, len(left))], "\n"), strings.Join(right[i:min(i+6, len(right))], "\n"))
		}
	}
	return "one is longer"
}

// Whatever the kustomizations make, the chart makes with the values that mean it.
func TestChartEqualsKustomizations(t *testing.T) {
	for overlay, values := range overlays() {
		t.Run("overlay "+overlay, func(t *testing.T) {
			answers := render(t, request{Kustomization: folder(overlay)}, request{Chart: chartDir, Namespace: "cloudretro", Values: values})
			want, got := normal(t, parse(t, answers[0])), normal(t, parse(t, answers[1]))
			for name, text := range want {
				if other, ok := got[name]; !ok {
					t.Errorf("the chart lacks %s", name)
				} else if text != other {
					t.Errorf("%s: %s", name, differences(text, other))
				}
			}
			for name := range got {
				if _, ok := want[name]; !ok {
					t.Errorf("only the chart has %s", name)
				}
			}
			if notes := answers[1].Notes; !strings.Contains(notes, "-n cloudretro get service coordinator") || !strings.Contains(notes, "check kubernetes") {
				t.Errorf("NOTES.txt says neither where the page is nor what to do:\n%s", notes)
			}
		})
	}
}

// chart renders with values.
func chart(t *testing.T, values map[string]any) []*unstructured.Unstructured {
	t.Helper()
	return parse(t, render(t, request{Chart: chartDir, Namespace: "mine", Values: values})[0])
}

func TestChartValues(t *testing.T) {
	type values = map[string]any
	objects := chart(t, values{
		"image":            values{"repository": "registry.example.org/cloudretro", "tag": "v2", "pullPolicy": "Always"},
		"imagePullSecrets": []any{values{"name": "registry"}},
		"config":           values{"log": values{"level": "debug"}, "worker": values{"rooms": values{"max": 8}}},
		"autoscaling":      values{"enabled": false},
		"worker": values{
			"replicas":  0,
			"container": values{"resources": values{"requests": values{"cpu": "2"}}, "env": []any{values{"name": "CLOUDRETRO_WORKER_NETWORK_ZONE", "value": "eu"}}},
			"pod":       values{"nodeSelector": values{"disk": "fast"}},
		},
		"turn": values{"service": values{"metadata": values{"annotations": values{"a": "b"}}, "spec": values{"loadBalancerClass": "c"}}},
	})
	for _, u := range objects {
		if u.GetNamespace() != "mine" {
			t.Errorf("%s is in namespace %q", key(u), u.GetNamespace())
		}
		if u.GetKind() == "HorizontalPodAutoscaler" {
			t.Errorf("%s is there, though autoscaling is off", key(u))
		}
	}
	worker := as[appsv1.Deployment](t, find(t, objects, "Deployment/worker"))
	pod := worker.Spec.Template.Spec
	c := pod.Containers[0]
	if *worker.Spec.Replicas != 0 || pod.NodeSelector["disk"] != "fast" || pod.ImagePullSecrets[0].Name != "registry" || pod.ServiceAccountName != "worker" {
		t.Errorf("pod: %+v", pod)
	}
	if c.Image != "registry.example.org/cloudretro:v2" || c.ImagePullPolicy != corev1.PullAlways || c.Resources.Requests.Cpu().Value() != 2 || len(c.Env) != 2 ||
		c.Resources.Limits.Memory().IsZero() || len(c.Ports) != 3 {
		t.Errorf("container: %+v", c)
	}
	turn := as[corev1.Service](t, find(t, objects, "Service/turn"))
	if turn.Annotations["a"] != "b" || *turn.Spec.LoadBalancerClass != "c" || len(turn.Spec.Ports) != 2 {
		t.Errorf("service: %+v", turn)
	}
	text := as[corev1.ConfigMap](t, find(t, objects, "ConfigMap/cloudretro")).Data["config.yaml"]
	for _, want := range []string{"level: debug", "max: 8", "audience: cloudretro", "format: json"} {
		if !strings.Contains(text, want) {
			t.Errorf("config.yaml lacks %q:\n%s", want, text)
		}
	}
	loads(t, text, nil)
}

// A value that would be ignored is a mistake, which the schema names.
func TestChartSchema(t *testing.T) {
	type values = map[string]any
	for name, wrong := range map[string]values{
		"exposure":       {"exposure": "nodeport"},
		"storage.kind":   {"storage": values{"kind": "nfs"}},
		"unknown":        {"replicaCount": 3},
		"unknown deeper": {"worker": values{"resources": values{}}},
		"replicas":       {"worker": values{"replicas": -1}},
		"gateway":        {"gateway": values{"enabled": "yes"}},
	} {
		if a := render(t, request{Chart: chartDir, Namespace: "mine", Values: wrong})[0]; !strings.Contains(a.Error, "schema") {
			t.Errorf("%s: taken, or not refused by the schema: %q", name, a.Error)
		}
	}
}

// Parts can be combined, and the chart combines them as a kustomization of one's
// own does.
func TestCombined(t *testing.T) {
	type values = map[string]any
	mine := t.TempDir()
	root, err := filepath.Abs("kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	if root, err = filepath.Rel(mine, root); err != nil {
		t.Fatal(err)
	}
	text := "namespace: mine\nresources: [" + root + "/base]\ncomponents:\n"
	for _, part := range []string{"node-port", "gateway", "service-network", "monitoring", "storage-pvc", "storage-s3"} {
		text += "  - " + root + "/components/" + part + "\n"
	}
	if err := os.WriteFile(filepath.Join(mine, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	answers := render(t, request{Kustomization: mine}, request{Chart: chartDir, Namespace: "mine", Values: values{
		"exposure": "nodePort", "gateway": values{"enabled": true}, "serviceNetwork": values{"enabled": true},
		"monitoring": values{"enabled": true}, "storage": values{"kind": "s3"},
	}})
	want, got := normal(t, parse(t, answers[0])), normal(t, parse(t, answers[1]))
	if len(want) < 40 || len(want) != len(got) {
		t.Errorf("%d objects of kustomize, %d of the chart", len(want), len(got))
	}
	for name, text := range want {
		if text != got[name] {
			t.Errorf("%s: %s", name, differences(text, got[name]))
		}
	}
}
