package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/cloudretro/cloudretro/config"
)

// loads reads a config.yaml as the binary does, with variables NAME=VALUE.
func loads(t *testing.T, text string, environ []string) config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{Files: []string{file}, Environ: environ})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return cfg
}

// clusterWide are kinds that belong to no namespace.
func clusterWide(kind string) bool {
	return slices.Contains([]string{"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "GatewayClass", "PersistentVolume", "StorageClass"}, kind)
}

// Any number of installations live in one cluster: but for the Gateway API, whose
// classes are of the cluster, and for the networks of Services, which are, too,
// nothing reaches out of the namespace.
func TestInstallationsAreOfTheirNamespace(t *testing.T) {
	dir := filepath.Join("kubernetes", "overlays", "node-port")
	mine := t.TempDir()
	absolute, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	link, err := filepath.Rel(mine, absolute)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mine, "kustomization.yaml"), []byte("namespace: mine\nresources: ["+link+"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, u := range parse(t, render(t, request{Kustomization: mine})[0]) {
		if key(u) != "Namespace/mine" && u.GetNamespace() != "mine" {
			t.Errorf("%s is in namespace %q", key(u), u.GetNamespace())
		}
		if u.GetKind() == "RoleBinding" {
			for _, s := range as[rbacv1.RoleBinding](t, u).Subjects {
				if s.Namespace != "mine" {
					t.Errorf("%s gives rights to %s of %q", key(u), s.Name, s.Namespace)
				}
			}
		}
	}
	for overlay := range overlays() {
		for _, u := range kustomized(t, overlay) {
			if clusterWide(u.GetKind()) && key(u) != "Namespace/cloudretro" && overlay != "gateway" && overlay != "service-network" {
				t.Errorf("overlay %q has %s, which is of the whole cluster", overlay, key(u))
			}
		}
	}
}

func TestLabels(t *testing.T) {
	for overlay := range overlays() {
		for _, u := range kustomized(t, overlay) {
			if u.GetKind() == "CustomResourceDefinition" {
				continue
			}
			if u.GetLabels()["app.kubernetes.io/name"] != "cloudretro" {
				t.Errorf("overlay %q: %s lacks the label app.kubernetes.io/name", overlay, key(u))
			}
			if role := u.GetName(); slices.Contains([]string{"coordinator", "worker", "turn"}, role) && u.GetLabels()["app.kubernetes.io/component"] != role {
				t.Errorf("overlay %q: %s lacks the label app.kubernetes.io/component", overlay, key(u))
			}
		}
	}
}

// deployments of an overlay, by their names.
func deployments(t *testing.T, objects []*unstructured.Unstructured) map[string]*appsv1.Deployment {
	t.Helper()
	all := map[string]*appsv1.Deployment{}
	for _, u := range objects {
		if u.GetKind() == "Deployment" {
			all[u.GetName()] = as[appsv1.Deployment](t, u)
		}
	}
	return all
}

// What the configuration says and what the pods are made for fits together.
func TestConfiguration(t *testing.T) {
	for overlay := range overlays() {
		objects := kustomized(t, overlay)
		text := as[corev1.ConfigMap](t, find(t, objects, "ConfigMap/cloudretro")).Data["config.yaml"]
		for name, d := range deployments(t, objects) {
			pod := d.Spec.Template.Spec
			var environ []string
			for _, e := range pod.Containers[0].Env {
				value := e.Value
				if e.ValueFrom != nil {
					value = map[string]string{"metadata.name": "worker-1", "status.hostIP": "192.0.2.1"}[e.ValueFrom.FieldRef.FieldPath]
				}
				environ = append(environ, e.Name+"="+value)
			}
			cfg := loads(t, text, environ)
			drain := map[string]time.Duration{"coordinator": cfg.Coordinator.Server.DrainGrace, "worker": cfg.Worker.Rooms.DrainGrace, "turn": cfg.Turn.DrainGrace}[name]
			if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; drain == 0 || grace < drain+20*time.Second {
				t.Errorf("overlay %q: %s is killed after %s, but drains for %s", overlay, name, grace, drain)
			}
			if !cfg.Kubernetes.Enabled {
				t.Errorf("overlay %q: %s does not know that it is in Kubernetes", overlay, name)
			}
			switch name {
			case "coordinator":
				service := cfg.Kubernetes.TurnService
				if has := slices.ContainsFunc(objects, func(u *unstructured.Unstructured) bool { return key(u) == "Service/"+service }); service != "" && service != "turn-cloudretro" && !has {
					t.Errorf("overlay %q: no Service is called %q, which coordinators look for", overlay, service)
				}
			case "worker":
				token(t, cfg.Kubernetes.Token, pod)
			}
		}
	}
}

// token checks that workers have the token that coordinators take.
func token(t *testing.T, want config.Token, pod corev1.PodSpec) {
	t.Helper()
	if pod.ServiceAccountName != want.ServiceAccount {
		t.Errorf("workers are %q, coordinators take tokens of %q", pod.ServiceAccountName, want.ServiceAccount)
	}
	for _, v := range pod.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, m := range pod.Containers[0].VolumeMounts {
			source := v.Projected.Sources[0].ServiceAccountToken
			if m.Name == v.Name && filepath.Join(m.MountPath, source.Path) == want.File && source.Audience == want.Audience {
				return
			}
		}
	}
	t.Errorf("workers lack the token %s for %q", want.File, want.Audience)
}

// Nobody is without what a stranger's cluster asks for.
func TestPods(t *testing.T) {
	for overlay := range overlays() {
		for name, d := range deployments(t, kustomized(t, overlay)) {
			c, pod := d.Spec.Template.Spec.Containers[0], d.Spec.Template.Spec
			if c.StartupProbe == nil || c.ReadinessProbe == nil || c.LivenessProbe == nil {
				t.Errorf("overlay %q: %s lacks a probe", overlay, name)
			}
			if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() || !c.Resources.Limits.Cpu().IsZero() {
				t.Errorf("overlay %q: %s asks for %v", overlay, name, c.Resources)
			}
			if *pod.EnableServiceLinks || pod.HostNetwork || len(pod.TopologySpreadConstraints) != 1 {
				t.Errorf("overlay %q: %s: service links, host network, or no spread", overlay, name)
			}
			if !*c.SecurityContext.ReadOnlyRootFilesystem || *pod.SecurityContext.RunAsUser != 10001 {
				t.Errorf("overlay %q: %s: %+v", overlay, name, c.SecurityContext)
			}
			if replicas := *d.Spec.Replicas; replicas != 2 {
				t.Errorf("overlay %q: %d of %s", overlay, replicas, name)
			}
		}
	}
}

// A budget, a policy or a Service whose selector fits nothing would be silent.
func TestSelectors(t *testing.T) {
	for overlay := range overlays() {
		objects := kustomized(t, overlay)
		all := deployments(t, objects)
		for _, u := range objects {
			var selector map[string]string
			switch u.GetKind() {
			case "Service":
				selector = as[corev1.Service](t, u).Spec.Selector
			case "PodDisruptionBudget":
				selector = as[policyv1.PodDisruptionBudget](t, u).Spec.Selector.MatchLabels
			case "NetworkPolicy":
				selector = as[networkingv1.NetworkPolicy](t, u).Spec.PodSelector.MatchLabels
			default:
				continue
			}
			fits := 0
			for _, d := range all {
				if matches(selector, d.Spec.Template.Labels) {
					fits++
				}
			}
			if fits == 0 {
				t.Errorf("overlay %q: %s selects no pod", overlay, key(u))
			}
		}
	}
}

func matches(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}
