package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// settings are those of the tests.
func settings() Settings {
	return Settings{
		ControllerName: "cloudretro.dev/turn", Namespace: "cloudretro",
		PodSelector: map[string]string{"app.kubernetes.io/component": "turn"},
		FirstPort:   20000, Ports: 100, Realm: "cloudretro", Secrets: []string{"of the installation"},
		Now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	}
}

// load reads manifests, as a snapshot of the cluster would have them.
func load(manifests ...string) (Resources, error) {
	r := Resources{Bundles: map[string]string{"gateways.gateway.networking.k8s.io": "v1.6.3"}, NodeAddresses: []string{"198.51.100.1", "198.51.100.2"}}
	for _, all := range manifests {
		for doc := range strings.SplitSeq(all, "\n---\n") {
			if err := r.add(doc); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// add reads one manifest.
func (r *Resources) add(doc string) error {
	object := map[string]any{}
	if err := yaml.Unmarshal([]byte(doc), &object); err != nil {
		return err
	}
	return r.put(&unstructured.Unstructured{Object: object})
}

// put converts an object as it comes from the API server.
func (r *Resources) put(u *unstructured.Unstructured) error {
	var err error
	switch u.GetAPIVersion() + " " + u.GetKind() {
	case "gateway.networking.k8s.io/v1 GatewayClass":
		r.Classes, err = appended(r.Classes, u)
	case "gateway.networking.k8s.io/v1 Gateway":
		r.Gateways, err = appended(r.Gateways, u)
	case "gateway.networking.k8s.io/v1 ReferenceGrant", "gateway.networking.k8s.io/v1beta1 ReferenceGrant":
		r.Grants, err = appended[gatewayv1.ReferenceGrant](r.Grants, u)
	case "gateway.networking.k8s.io/v1 UDPRoute", "gateway.networking.k8s.io/v1alpha2 UDPRoute":
		r.Routes = append(r.Routes, ReadUDPRoute(u))
	case "cloudretro.dev/v1 UDPRoute":
		r.OwnRoutes = append(r.OwnRoutes, ReadUDPRoute(u))
	case "cloudretro.dev/v1 GatewayConfig":
		r.Configs = append(r.Configs, ReadGatewayConfig(u))
	case "cloudretro.dev/v1 StaticService":
		r.StaticServices = append(r.StaticServices, ReadStaticService(u))
	case "v1 Namespace":
		r.Namespaces, err = appended[corev1.Namespace](r.Namespaces, u)
	case "v1 Service":
		r.Services, err = appended[corev1.Service](r.Services, u)
	case "v1 Secret":
		r.Secrets, err = appended[corev1.Secret](r.Secrets, u)
	case "discovery.k8s.io/v1 EndpointSlice":
		r.Slices, err = appended[discoveryv1.EndpointSlice](r.Slices, u)
	default:
		err = fmt.Errorf("%s %s is not known", u.GetAPIVersion(), u.GetKind())
	}
	return err
}

func appended[T any](all []*T, u *unstructured.Unstructured) ([]*T, error) {
	object, err := read[T](u)
	if err != nil {
		return all, err
	}
	if secret, ok := any(object).(*corev1.Secret); ok { // as the API server does
		for key, value := range secret.StringData {
			if secret.Data == nil {
				secret.Data = map[string][]byte{}
			}
			secret.Data[key] = []byte(value)
		}
	}
	return append(all, object), nil
}

// snapshot is load for tests.
func snapshot(t *testing.T, manifests ...string) Resources {
	t.Helper()
	r, err := load(manifests...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// settle translates until nothing is to be written any more, and writes in
// between as the one who leads, the API server and a load balancer at
// 203.0.113.7 do.
func settle(t *testing.T, r *Resources) Outcome {
	t.Helper()
	for range 5 {
		out := Translate(*r, settings())
		if changed := play(r, out, "203.0.113.7"); !changed {
			return out
		}
	}
	t.Fatal("statuses are written again and again")
	return Outcome{}
}

// play writes what an outcome says into the snapshot. It says whether that was
// anything.
func play(r *Resources, out Outcome, address string) (changed bool) {
	for _, c := range r.Classes {
		changed = put(&c.Status, out.Classes, c.Name) || changed
	}
	for _, g := range r.Gateways {
		changed = put(&g.Status, out.Gateways, nameOf(g)) || changed
	}
	for _, route := range r.Routes {
		changed = put(&route.Status, out.Routes, nameOf(route)) || changed
	}
	for _, route := range r.OwnRoutes {
		changed = put(&route.Status, out.OwnRoutes, nameOf(route)) || changed
	}
	for _, want := range out.Services {
		want = want.DeepCopy()
		i := slices.IndexFunc(r.Services, func(s *corev1.Service) bool { return nameOf(s) == nameOf(want) })
		if i < 0 {
			changed = true
			r.Services = append(r.Services, want)
			i = len(r.Services) - 1
		}
		is := r.Services[i]
		want.Status = is.Status
		if want.Spec.Type == corev1.ServiceTypeLoadBalancer && len(want.Status.LoadBalancer.Ingress) == 0 && address != "" {
			changed = true
			want.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
		}
		changed = changed || !equality.Semantic.DeepEqual(is, want)
		r.Services[i] = want
	}
	for _, name := range out.Obsolete {
		changed = true
		r.Services = slices.DeleteFunc(r.Services, func(s *corev1.Service) bool { return nameOf(s) == name })
	}
	return changed
}

func put[K comparable, S any](status *S, written map[K]S, name K) bool {
	s, ok := written[name]
	if ok {
		*status = s
	}
	return ok
}

// brief is a condition as tests write it, like "Accepted=True Accepted".
func brief(conditions []metav1.Condition) map[string]string {
	all := map[string]string{}
	for _, c := range conditions {
		all[c.Type] = string(c.Status) + " " + c.Reason
	}
	return all
}

// expect compares conditions with those that a test names.
func expect(t *testing.T, what string, conditions []metav1.Condition, want ...string) {
	t.Helper()
	is := brief(conditions)
	for _, w := range want {
		kind, rest, _ := strings.Cut(w, "=")
		if is[kind] != rest {
			t.Errorf("%s: %s is %q, want %q; all: %+v", what, kind, is[kind], rest, conditions)
		}
	}
}

// gatewayNamed, listenerNamed, routeNamed and ownRouteNamed find what tests ask for.
func gatewayNamed(t *testing.T, r Resources, name string) *gatewayv1.Gateway {
	t.Helper()
	for _, g := range r.Gateways {
		if g.Name == name {
			return g
		}
	}
	t.Fatalf("no Gateway %s", name)
	return nil
}

func listenerNamed(t *testing.T, g *gatewayv1.Gateway, name string) gatewayv1.ListenerStatus {
	t.Helper()
	for _, l := range g.Status.Listeners {
		if string(l.Name) == name {
			return l
		}
	}
	t.Fatalf("no status of listener %s", name)
	return gatewayv1.ListenerStatus{}
}

func serviceNamed(t *testing.T, r Resources, name types.NamespacedName) *corev1.Service {
	t.Helper()
	for _, s := range r.Services {
		if nameOf(s) == name {
			return s
		}
	}
	t.Fatalf("no Service %s", name)
	return nil
}

func served(t *testing.T, out Outcome, id string) Listener {
	t.Helper()
	for _, l := range out.Listeners {
		if l.ID == id {
			return l
		}
	}
	t.Fatalf("listener %s is not served, but %d others are", id, len(out.Listeners))
	return Listener{}
}

func jsonNumber(port uint16) string { return fmt.Sprint(port) }
