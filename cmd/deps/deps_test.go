// Package deps holds no code: its test keeps the direction of imports and the
// shape of the tree.
package deps

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cloudretro/cloudretro"

// listed is what go list -json says about a package.
type listed struct {
	ImportPath  string
	Name        string
	Imports     []string
	TestImports []string
	Deps        []string
}

// rel is the import path below the module, "" for others.
func rel(importPath string) string {
	rest, ok := strings.CutPrefix(importPath, module+"/")
	if !ok {
		return ""
	}
	return rest
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Name,Imports,TestImports,Deps", module+"/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p listed
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			if len(packages) == 0 {
				t.Fatal("go list names no package")
			}
			return packages
		case err != nil:
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}

// isTestHelper says that a package exists for tests only (style: <pkg>test).
func isTestHelper(pkg string) bool { return strings.HasSuffix(path.Base(pkg), "test") }

// refusal says why pkg may not import dep, both below the module; "" = it may.
func refusal(pkg, dep string) string {
	roots := []string{"coordinator", "worker", "turn"}
	top, _, _ := strings.Cut(pkg, "/")
	depTop, _, _ := strings.Cut(dep, "/")
	switch {
	case top == "cmd":
		return ""
	case depTop == "cmd":
		return "nothing imports cmd"
	case dep == "config":
		return "only cmd imports config; a package takes its own small Config"
	case pkg == "config":
		return "config imports none of our packages"
	case slices.Contains(roots, dep):
		return "only cmd imports a role"
	case top == "media" && depTop != "media", top == "web" && depTop != "web":
		return top + " stands below the roles"
	case slices.Contains([]string{
		"coordinator/signal", "coordinator/certificate", "coordinator/discovery", "coordinator/uplink", "coordinator/cluster", "turn/credential",
	}, dep) && slices.Contains(roots, top):
		return "" // leaves that every role may use
	case slices.Contains(roots, top) && slices.Contains(roots, depTop) && top != depTop:
		return "the parts of one role are none of another's"
	}
	return ""
}

func TestDirectionOfImports(t *testing.T) {
	for _, p := range listPackages(t) {
		pkg := rel(p.ImportPath)
		for _, imported := range p.Deps {
			dep := rel(imported)
			if dep == "" {
				continue
			}
			if why := refusal(pkg, dep); why != "" {
				t.Errorf("%s depends on %s: %s", pkg, dep, why)
			}
			if isTestHelper(dep) && !isTestHelper(pkg) && !strings.HasPrefix(pkg, "cmd/") {
				t.Errorf("%s depends on %s: that one is for tests only", pkg, dep)
			}
		}
	}
}

func TestRefusal(t *testing.T) {
	tests := []struct {
		pkg, dep string
		allowed  bool
	}{
		{"cmd/cloudretro", "worker", true},
		{"cmd/cloudretro", "config", true},
		{"cmd/bench-latency", "cmd/e2e", true},
		{"worker", "worker/room", true},
		{"worker/room", "worker/engine", true},
		{"worker/engine", "media/h264", true},
		{"turn", "coordinator/signal", true},
		{"coordinator", "turn/credential", true},
		{"turn", "coordinator/certificate", true},
		{"worker", "coordinator/uplink", true},
		{"turn", "coordinator/discovery", true},
		{"turn", "coordinator/acme", false},
		{"worker", "coordinator/signin", false},
		{"worker", "config", false},
		{"worker", "coordinator", false},
		{"turn", "coordinator", false},
		{"worker/room", "worker", false},
		{"coordinator/signal", "coordinator", false},
		{"coordinator", "worker/room", false},
		{"media/h264", "worker/engine", false},
		{"config", "media", false},
		{"web", "coordinator/signal", false},
		{"worker", "cmd/e2e", false},
	}
	for _, tt := range tests {
		if got := refusal(tt.pkg, tt.dep) == ""; got != tt.allowed {
			t.Errorf("may %s import %s: %v, want %v", tt.pkg, tt.dep, got, tt.allowed)
		}
	}
}

func TestShapeOfTree(t *testing.T) {
	tops := []string{"cmd", "config", "coordinator", "worker", "turn", "media", "web", "deploy"}
	forbidden := []string{"util", "utils", "common", "pkg", "helper", "helpers", "base", "misc", "shared", "internal"}
	for _, p := range listPackages(t) {
		parts := strings.Split(rel(p.ImportPath), "/")
		if !slices.Contains(tops, parts[0]) {
			t.Errorf("%s: %s is none of the top folders %v", p.ImportPath, parts[0], tops)
		}
		if len(parts) > 3 {
			t.Errorf("%s: deeper than two below the top", p.ImportPath)
		}
		for _, name := range append(parts, p.Name) {
			if slices.Contains(forbidden, name) {
				t.Errorf("%s: a package called %s says nothing", p.ImportPath, name)
			}
		}
	}
}

// The core process and the codecs are reached through the engine only, so that
// no core and no codec is ever called in the worker's own process by mistake.
func TestOnlyTheEngineEmulates(t *testing.T) {
	inside := []string{"worker/libretro", "media/h264", "media/opus", "media/yuv", "media/pcm"}
	for _, p := range listPackages(t) {
		pkg := rel(p.ImportPath)
		if strings.HasPrefix(pkg, "worker/engine") || strings.HasPrefix(pkg, "worker/libretro") || strings.HasPrefix(pkg, "media") || strings.HasPrefix(pkg, "cmd/") {
			continue
		}
		for _, imported := range p.Imports {
			if dep := rel(imported); slices.Contains(inside, dep) {
				t.Errorf("%s imports %s: only worker/engine may", pkg, dep)
			}
		}
	}
}

// client-go's clientset registers every kind there is as a program starts, which
// costs each process, also those of cores, 1.2 MB of memory, and the binary 10 MB.
// coordinator/cluster has a client of the few kinds that are used.
func TestTheClientOfAllKindsIsNotLinked(t *testing.T) {
	const product = module + "/cmd/cloudretro"
	for _, p := range listPackages(t) {
		for _, dep := range p.Deps {
			if p.ImportPath == product && ofAllKinds(dep) {
				t.Errorf("cmd/cloudretro links %s, which knows every kind: see cluster.API; go list -deps ./cmd/cloudretro", dep)
			}
		}
	}
}

// ofAllKinds says whether a package of client-go brings all kinds with it.
func ofAllKinds(dep string) bool {
	return slices.ContainsFunc([]string{"kubernetes", "informers", "listers", "applyconfigurations"}, func(name string) bool {
		of := "k8s.io/client-go/" + name
		return dep == of || strings.HasPrefix(dep, of+"/")
	})
}

func TestOfAllKinds(t *testing.T) {
	for dep, want := range map[string]bool{
		"k8s.io/client-go/kubernetes":               true,
		"k8s.io/client-go/kubernetes/scheme":        true,
		"k8s.io/client-go/kubernetes/typed/apps/v1": true,
		"k8s.io/client-go/informers/core/v1":        true,
		"k8s.io/client-go/rest":                     false,
		"k8s.io/client-go/tools/cache":              false,
		"k8s.io/client-go/kubernetesque":            false,
		"k8s.io/api/core/v1":                        false,
	} {
		if got := ofAllKinds(dep); got != want {
			t.Errorf("%s: %v, want %v", dep, got, want)
		}
	}
}
