package gateway_test

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/turn/gateway"
)

// Our own routes lead to every port of a Service's pods, to some, and to prefixes;
// what a route does not name is not reached, and references may have STUNner's group.
func TestOwnRoutes(t *testing.T) {
	w := newWorld(t)
	worker, second := echo(t), echo(t)
	w.backend(w.Namespace, "workers", worker)
	w.make("gateways", udpGateway)
	w.make("staticservices", fmt.Sprintf(`{apiVersion: cloudretro.dev/v1, kind: StaticService, metadata: {name: one, namespace: $NS}, spec: {prefixes: [%s/32], ports: [{port: %d}]}}`, second.Addr(), second.Port()))
	p := w.start("one")
	port := w.programmed(w.Namespace, "gate", "one")
	for i, test := range []struct {
		backend       string
		first, second bool
	}{
		{"{name: workers}", true, true}, // both are at the address of the pod
		{fmt.Sprintf("{name: workers, port: %d}", worker.Port()), true, false},
		{fmt.Sprintf("{name: workers, port: %d, endPort: %d}", min(worker.Port(), second.Port()), max(worker.Port(), second.Port())), true, true},
		{"{group: stunner.l7mp.io, kind: StaticService, name: one}", false, true},
	} {
		before := p.applied.Load()
		w.make("turnroutes", `{apiVersion: cloudretro.dev/v1, kind: UDPRoute, metadata: {name: own, namespace: $NS}, spec: {parentRefs: [{name: gate}], rules: [{backendRefs: [`+test.backend+`]}]}}`)
		w.until("conditions", func() bool {
			r := get[gatewayv1.UDPRoute](w, "turnroutes", gateway.Group, w.Namespace, "own")
			return len(r.Status.Parents) == 1 && shown(r.Status.Parents[0].Conditions, r.Generation) == "Accepted=True Accepted, ResolvedRefs=True ResolvedRefs"
		})
		w.until("a look at it", func() bool { return p.applied.Load() > before })
		s := w.open(port, installationSecret)
		if s.reaches(worker) != test.first || s.reaches(second) != test.second {
			t.Errorf("%d: %s: reached are others than %t, %t", i, test.backend, test.first, test.second)
		}
		s.end()
	}
}

// The address of a Gateway is that of its load balancer, also when that changes.
func TestAddressOfALoadBalancer(t *testing.T) {
	w := newWorld(t)
	w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS, annotations: {cloudretro.dev/service-type: LoadBalancer}},
  spec: {gatewayClassName: $NAME, addresses: [{type: IPAddress, value: 192.0.2.10}], listeners: [{name: one, port: 3478, protocol: UDP}]}}`)
	w.start("one")
	becomes := func(reason string, addresses ...string) {
		t.Helper()
		w.until(reason, func() bool {
			g := get[gatewayv1.Gateway](w, "gateways", "", w.Namespace, "gate")
			var is []string
			for _, a := range g.Status.Addresses {
				is = append(is, string(*a.Type)+" "+a.Value)
			}
			c := meta.FindStatusCondition(g.Status.Conditions, "Programmed")
			return c != nil && c.Reason == reason && slices.Equal(is, addresses)
		})
	}
	balance := func(ingress string) {
		t.Helper()
		patch := []byte(`{"status": {"loadBalancer": {"ingress": [` + ingress + `]}}}`)
		_, err := clustertest.Clientset(w.Cluster).CoreV1().Services(w.Namespace).Patch(t.Context(), "gate-"+w.name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil {
			t.Fatal(err)
		}
	}
	becomes("AddressNotAssigned")
	if asked := w.service(w.Namespace, "gate").Spec.LoadBalancerIP; asked != "192.0.2.10" {
		t.Errorf("the load balancer is asked for %q", asked)
	}
	balance(`{"ip": "192.0.2.10"}`)
	becomes("Programmed", "IPAddress 192.0.2.10")
	balance(`{"hostname": "lb.example.org"}, {"ip": "192.0.2.10"}`)
	becomes("Programmed", "Hostname lb.example.org", "IPAddress 192.0.2.10")
	balance(`{"ip": "192.0.2.11"}`)
	becomes("AddressNotUsable", "IPAddress 192.0.2.11")
	balance(``)
	becomes("AddressNotAssigned")
}
