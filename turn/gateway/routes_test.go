package gateway_test

import (
	"crypto/tls"
	"net"
	"strconv"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// label gives a namespace a label.
func (w *world) label(namespace, key, value string) {
	w.t.Helper()
	patch := []byte(`{"metadata": {"labels": {"` + key + `": "` + value + `"}}}`)
	_, err := clustertest.Clientset(w.Cluster).CoreV1().Namespaces().Patch(w.t.Context(), namespace, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

// Conditions of routes, good and bad, as the specification words them, and how
// many routes listeners have.
func TestConditionsOfRoutes(t *testing.T) {
	w := newWorld(t)
	other := clustertest.Namespace(t, w.Cluster)
	w.label(other, "kind", "games")
	w.backend(w.Namespace, "workers")
	w.backend(other, "workers")
	w.make("referencegrants", `{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {name: grant, namespace: $NS},
  spec: {from: [{group: gateway.networking.k8s.io, kind: UDPRoute, namespace: `+other+`}], to: [{group: "", kind: Service, name: workers}]}}`)
	w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS}, spec: {gatewayClassName: $NAME, listeners: [
  {name: same, port: 1, protocol: UDP}, {name: all, port: 2, protocol: UDP, allowedRoutes: {namespaces: {from: All}}},
  {name: games, port: 3, protocol: TCP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {kind: games}}}}},
  {name: films, port: 4, protocol: UDP, allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: [{key: kind, operator: In, values: [films]}]}}}},
  {name: own, port: 5, protocol: UDP, allowedRoutes: {namespaces: {from: All}, kinds: [{group: cloudretro.dev, kind: UDPRoute}]}},
  {name: http, port: 6, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]}}`)
	const (
		accepted = "Accepted=True Accepted, "
		fine     = accepted + "ResolvedRefs=True ResolvedRefs"
		refused  = "Accepted=False NotAllowedByListeners, ResolvedRefs=True ResolvedRefs"
		nowhere  = "Accepted=False NoMatchingParent, ResolvedRefs=True ResolvedRefs"
		workers  = "{name: workers, port: 8443}"
	)
	tests := map[string]struct{ namespace, parent, backend, want string }{
		"whole":            {"$NS", "", workers, fine},
		"section":          {"$NS", ", sectionName: same", workers, fine},
		"port":             {"$NS", ", port: 1", workers, fine},
		"section-and-port": {"$NS", ", sectionName: same, port: 2", workers, nowhere},
		"no-section":       {"$NS", ", sectionName: none", workers, nowhere},
		"no-port":          {"$NS", ", port: 99", workers, nowhere},
		"same":             {other, ", sectionName: same", workers, refused},
		"all":              {other, ", sectionName: all", workers, fine},
		"selected":         {other, ", sectionName: games", workers, fine},
		"not-selected":     {other, ", sectionName: films", workers, refused},
		"kind-not-allowed": {"$NS", ", sectionName: own", workers, refused},
		"http":             {"$NS", ", sectionName: http", workers, refused},
		"no-service":       {"$NS", "", "{name: none, port: 1}", accepted + "ResolvedRefs=False BackendNotFound"},
		"no-port-of-it":    {"$NS", "", "{name: workers, port: 1}", accepted + "ResolvedRefs=False BackendNotFound"},
		"kind":             {"$NS", "", "{group: apps, kind: Deployment, name: workers, port: 1}", accepted + "ResolvedRefs=False InvalidKind"},
		"without-a-grant":  {"$NS", "", "{name: workers, namespace: " + other + ", port: 8443}", accepted + "ResolvedRefs=False RefNotPermitted"},
		"with-a-grant":     {other, ", sectionName: all", "{name: workers, namespace: $NS, port: 8443}", fine},
		"granted-by-name":  {other, ", sectionName: all", "{name: none, namespace: $NS, port: 8443}", accepted + "ResolvedRefs=False RefNotPermitted"},
	}
	for name, test := range tests {
		w.make("udproutes", `{apiVersion: gateway.networking.k8s.io/v1, kind: UDPRoute, metadata: {name: `+name+`, namespace: `+test.namespace+`},
  spec: {parentRefs: [{name: gate, namespace: $NS`+test.parent+`}], rules: [{backendRefs: [`+test.backend+`]}]}}`)
	}
	w.start("one")
	become := func(name, namespace, want string) {
		t.Helper()
		if namespace == "$NS" {
			namespace = w.Namespace
		}
		is := ""
		defer func() {
			if is != want {
				t.Logf("%s is %s", name, is)
			}
		}()
		w.until("conditions of "+name, func() bool {
			route := get[gatewayv1.UDPRoute](w, "udproutes", "", namespace, name)
			is = "nothing"
			if p := route.Status.Parents; len(p) == 1 && string(p[0].ControllerName) == "cloudretro.dev/"+w.name {
				is = shown(p[0].Conditions, route.Generation)
			}
			return is == want
		})
	}
	for name, test := range tests {
		become(name, test.namespace, test.want)
	}
	counts := func(want map[string]int32) {
		t.Helper()
		w.until("attached routes", func() bool {
			right := 0
			for _, l := range get[gatewayv1.Gateway](w, "gateways", "", w.Namespace, "gate").Status.Listeners {
				if l.AttachedRoutes == want[string(l.Name)] {
					right++
				}
			}
			return right == len(want)
		})
	}
	// Five of its namespace refer to the whole Gateway.
	counts(map[string]int32{"same": 5 + 2, "all": 5 + 3, "games": 1, "films": 0, "own": 0, "http": 0})
	w.label(other, "kind", "films")
	become("selected", other, refused)
	become("not-selected", other, fine)
	counts(map[string]int32{"same": 5 + 2, "all": 5 + 3, "games": 0, "films": 1, "own": 0, "http": 0})
	w.delete("referencegrants", w.Namespace, "grant")
	become("with-a-grant", other, accepted+"ResolvedRefs=False RefNotPermitted")
}

// A certificate of another namespace is shown only as long as a grant permits it;
// plain listeners do not care.
func TestGrantOfACertificateIsTakenAway(t *testing.T) {
	w := newWorld(t)
	other := clustertest.Namespace(t, w.Cluster)
	w.certificate(other, "cert", "one.example.org")
	w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS}, spec: {gatewayClassName: $NAME, listeners: [
  {name: tls, port: 5349, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: cert, namespace: `+other+`}]}}, {name: udp, port: 3478, protocol: UDP}]}}`)
	w.start("one")
	s := w.open(w.programmed(w.Namespace, "gate", "udp"), installationSecret)
	grant := func() {
		w.make("referencegrants", `{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {name: grant, namespace: `+other+`},
  spec: {from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: $NS}], to: [{group: "", kind: Secret}]}}`)
	}
	becomes := func(want string) uint16 {
		t.Helper()
		w.until(want, func() bool {
			g := get[gatewayv1.Gateway](w, "gateways", "", w.Namespace, "gate")
			for _, l := range g.Status.Listeners {
				if c := meta.FindStatusCondition(l.Conditions, "ResolvedRefs"); l.Name == "tls" && c != nil && c.Reason == want {
					return true
				}
			}
			return false
		})
		return w.port(w.Namespace, "gate", "tls")
	}
	shakes := func(port uint16) bool {
		conn, err := tls.Dial("tcp", net.JoinHostPort(reachable(t).String(), strconv.Itoa(int(port))), &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	becomes("RefNotPermitted")
	grant()
	port := becomes("ResolvedRefs")
	w.until("a handshake", func() bool { return shakes(port) })
	w.delete("referencegrants", other, "grant")
	becomes("RefNotPermitted")
	w.until("no handshake", func() bool { return !shakes(port) })
	grant()
	port = becomes("ResolvedRefs")
	w.until("a handshake", func() bool { return shakes(port) })
	s.end()
}
