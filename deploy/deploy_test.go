// Package deploy holds no code: its tests keep what is deployed in order.
package deploy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// overlays are all of them by the values of the chart that mean the same; ""
// is deploy/kubernetes itself.
func overlays() map[string]map[string]any {
	type values = map[string]any
	return map[string]values{
		"":                {},
		"node-port":       {"exposure": "nodePort"},
		"host-port":       {"exposure": "hostPort"},
		"gateway":         {"gateway": values{"enabled": true}},
		"service-network": {"serviceNetwork": values{"enabled": true}},
		"monitoring":      {"monitoring": values{"enabled": true}},
		"storage-pvc":     {"storage": values{"kind": "pvc"}},
		"storage-s3":      {"storage": values{"kind": "s3"}},
	}
}

// request is what testdata/render is asked for, answer what it says.
type request struct {
	Kustomization, Chart, Namespace string
	Values                          map[string]any
}

type answer struct{ YAML, Notes, Error string }

// renderer builds testdata/render once.
var renderer = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "cloudretro-render-")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "render"), ".")
	build.Dir, build.Stderr = filepath.Join("helm", "testdata", "render"), os.Stderr
	return filepath.Join(dir, "render"), build.Run()
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := renderer(); err == nil {
		_ = os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(code)
}

// render makes YAML of each request, as kubectl and helm would.
func render(t *testing.T, requests ...request) []answer {
	t.Helper()
	bin, err := renderer()
	if err != nil {
		t.Fatalf("build testdata/render: %v", err)
	}
	in, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &said
	out, err := cmd.Output()
	var answers []answer
	if err == nil {
		err = json.Unmarshal(out, &answers)
	}
	if err != nil || len(answers) != len(requests) {
		t.Fatalf("render: %v\n%s", err, &said)
	}
	return answers
}

// folder of an overlay's kustomization.
func folder(overlay string) string {
	if overlay == "" {
		return "kubernetes"
	}
	return filepath.Join("kubernetes", "overlays", overlay)
}

// kustomized are the objects of an overlay.
func kustomized(t *testing.T, overlay string) []*unstructured.Unstructured {
	t.Helper()
	return parse(t, render(t, request{Kustomization: folder(overlay)})[0])
}

// parse reads what was rendered.
func parse(t *testing.T, a answer) []*unstructured.Unstructured {
	t.Helper()
	if a.Error != "" {
		t.Fatal(a.Error)
	}
	return documents(t, strings.NewReader(a.YAML))
}

// documents are the objects of YAML.
func documents(t *testing.T, r io.Reader) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(r, 4096); ; {
		u := &unstructured.Unstructured{}
		switch err := decoder.Decode(&u.Object); {
		case errors.Is(err, io.EOF):
			return objects
		case err != nil:
			t.Fatal(err)
		case len(u.Object) > 0:
			objects = append(objects, u)
		}
	}
}

// key names an object among those of an installation.
func key(u *unstructured.Unstructured) string { return u.GetKind() + "/" + u.GetName() }

// find is the object of that key.
func find(t *testing.T, objects []*unstructured.Unstructured, name string) *unstructured.Unstructured {
	t.Helper()
	i := slices.IndexFunc(objects, func(u *unstructured.Unstructured) bool { return key(u) == name })
	if i < 0 {
		t.Fatalf("no %s", name)
	}
	return objects[i]
}

// as converts an object into its type.
func as[T any](t *testing.T, u *unstructured.Unstructured) *T {
	t.Helper()
	data, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	object := new(T)
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(object); err != nil {
		t.Fatalf("%s: %v", key(u), err)
	}
	return object
}
