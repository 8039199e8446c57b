package gateway

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// guide is of the shape of STUNner's guide to CloudRetro (examples/cloudretro
// there), with versions, class and controller updated. The groups in references
// and the annotations are as they stand there.
const guide = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: cloudretro, generation: 1}
spec:
  controllerName: cloudretro.dev/turn
  parametersRef: {group: stunner.l7mp.io, kind: GatewayConfig, name: stunner-gatewayconfig, namespace: stunner}
  description: "STUNner is a WebRTC ingress gateway for Kubernetes"
---
apiVersion: cloudretro.dev/v1
kind: GatewayConfig
metadata: {name: stunner-gatewayconfig, namespace: stunner}
spec: {realm: stunner.l7mp.io, authType: plaintext, userName: "user-1", password: "pass-1"}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: udp-gateway
  namespace: stunner
  uid: 7d3c
  generation: 3
  annotations:
    stunner.l7mp.io/enable-mixed-protocol-lb: "true"
    stunner.l7mp.io/external-traffic-policy: local
    stunner.l7mp.io/targetport: '{"udp-listener":3478}'
    service.beta.kubernetes.io/do-loadbalancer-healthcheck-port: "8086"
spec:
  gatewayClassName: cloudretro
  listeners:
    - {name: udp-listener, port: 3478, protocol: TURN-UDP}
---
apiVersion: cloudretro.dev/v1
kind: UDPRoute
metadata: {name: worker-udp-route, namespace: stunner, generation: 2}
spec:
  parentRefs: [{name: udp-gateway}]
  rules:
    - backendRefs: [{name: worker-ci-udp-svc, namespace: cloudretro}]
`

// workers are what the guide's route leads to, and the permission for it.
const workers = `
apiVersion: v1
kind: Service
metadata: {name: worker-ci-udp-svc, namespace: cloudretro}
spec: {clusterIP: None, ports: [{name: media, port: 8443, protocol: UDP, targetPort: 8443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: worker-1, namespace: cloudretro, labels: {kubernetes.io/service-name: worker-ci-udp-svc}}
addressType: IPv4
ports: [{name: media, port: 8443, protocol: UDP}]
endpoints:
  - {addresses: [10.244.0.5], conditions: {ready: true, serving: true}}
  - {addresses: [10.244.0.6], conditions: {ready: false, serving: true, terminating: true}}
  - {addresses: [10.244.0.7], conditions: {ready: false, serving: false}}
  - {addresses: [127.0.0.1]}
  - {addresses: [169.254.169.254]}
  - {addresses: [nonsense]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: stunner, namespace: cloudretro}
spec:
  from: [{group: cloudretro.dev, kind: UDPRoute, namespace: stunner}]
  to: [{group: "", kind: Service}]
`

func TestTheGuideOfStunnerWorks(t *testing.T) {
	r := snapshot(t, guide, workers)
	out := settle(t, &r)
	l := served(t, out, "stunner/udp-gateway/udp-listener")
	if l.Protocol != UDP || l.Realm != "stunner.l7mp.io" || l.PublicAddress != "203.0.113.7" || len(l.Secrets) != 0 ||
		!reflect.DeepEqual(l.Users, []User{{"user-1", "pass-1"}}) {
		t.Errorf("%+v", l)
	}
	every := []Peer{{Prefix: netip.MustParsePrefix("10.244.0.5/32")}, {Prefix: netip.MustParsePrefix("10.244.0.6/32")}}
	if !reflect.DeepEqual(l.Peers, every) || len(l.Endpoints) != 0 {
		t.Errorf("peers %v, endpoints %v, want every port of the two that serve", l.Peers, l.Endpoints)
	}
	s := serviceNamed(t, r, types.NamespacedName{Namespace: "stunner", Name: "udp-gateway-cloudretro"})
	if p := s.Spec.Ports; len(p) != 1 || p[0].Port != 3478 || p[0].Protocol != corev1.ProtocolUDP || p[0].TargetPort.IntVal != int32(l.Port) || p[0].Name != "udp-listener" {
		t.Errorf("ports %+v", p)
	}
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer || s.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal || s.Spec.Selector != nil ||
		s.Annotations["service.beta.kubernetes.io/do-loadbalancer-healthcheck-port"] != "8086" || s.Annotations["stunner.l7mp.io/targetport"] != "" {
		t.Errorf("%+v", s)
	}
	g := gatewayNamed(t, r, "udp-gateway")
	expect(t, "class", r.Classes[0].Status.Conditions, "Accepted=True Accepted", "SupportedVersion=True SupportedVersion")
	expect(t, "gateway", g.Status.Conditions, "Accepted=True Accepted", "Programmed=True Programmed")
	status := listenerNamed(t, g, "udp-listener")
	expect(t, "listener", status.Conditions, "Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs", "Conflicted=False NoConflicts", "Programmed=True Programmed")
	if status.AttachedRoutes != 1 || len(status.SupportedKinds) != 2 || len(g.Status.Addresses) != 1 || g.Status.Addresses[0].Value != "203.0.113.7" {
		t.Errorf("%+v", g.Status)
	}
	parents := r.OwnRoutes[0].Status.Parents
	if len(parents) != 1 || parents[0].ControllerName != "cloudretro.dev/turn" {
		t.Fatalf("%+v", parents)
	}
	expect(t, "route", parents[0].Conditions, "Accepted=True Accepted", "ResolvedRefs=True ResolvedRefs")
	for _, c := range slices.Concat(g.Status.Conditions, status.Conditions) {
		if c.ObservedGeneration != 3 || c.Message == "" || c.LastTransitionTime.IsZero() {
			t.Errorf("%+v", c)
		}
	}
}

func TestWithoutAGrantTheRouteLeadsNowhere(t *testing.T) {
	r := snapshot(t, guide, workers)
	r.Grants = nil
	out := settle(t, &r)
	if l := served(t, out, "stunner/udp-gateway/udp-listener"); len(l.Peers)+len(l.Endpoints) > 0 {
		t.Errorf("%+v", l)
	}
	expect(t, "route", r.OwnRoutes[0].Status.Parents[0].Conditions, "Accepted=True Accepted", "ResolvedRefs=False RefNotPermitted")
}

func TestTheOrderOfObjectsDoesNotMatter(t *testing.T) {
	r := snapshot(t, guide, workers, manyListeners)
	want := settle(t, &r)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		random.Shuffle(len(r.Gateways), func(i, j int) { r.Gateways[i], r.Gateways[j] = r.Gateways[j], r.Gateways[i] })
		random.Shuffle(len(r.Slices), func(i, j int) { r.Slices[i], r.Slices[j] = r.Slices[j], r.Slices[i] })
		random.Shuffle(len(r.Services), func(i, j int) { r.Services[i], r.Services[j] = r.Services[j], r.Services[i] })
		if is := Translate(r, settings()); !reflect.DeepEqual(is, want) {
			t.Fatalf("%+v\nis not\n%+v", is, want)
		}
	}
}

func TestPortsStay(t *testing.T) {
	r := snapshot(t, guide, workers)
	first := served(t, settle(t, &r), "stunner/udp-gateway/udp-listener")
	more := snapshot(t, manyListeners)
	r.Gateways = append(more.Gateways, r.Gateways...)
	for _, g := range more.Gateways { // older than the one that has the port
		g.CreationTimestamp.Time = settings().Now.AddDate(-1, 0, 0)
		g.Annotations = map[string]string{"cloudretro.dev/targetport": `{"a":` + jsonNumber(first.Port) + `}`}
	}
	out := settle(t, &r)
	if l := served(t, out, first.ID); l.Port != first.Port {
		t.Errorf("the port changed from %d to %d", first.Port, l.Port)
	}
	expect(t, "listener that wants the port", listenerNamed(t, gatewayNamed(t, r, "many"), "a").Conditions, "Accepted=False PortUnavailable", "Programmed=False Invalid")
	used := map[uint16]bool{}
	for _, l := range out.Listeners {
		if used[l.Port] || l.Port < 20000 || l.Port >= 20100 {
			t.Errorf("port %d of %s", l.Port, l.ID)
		}
		used[l.Port] = true
	}
	// A listener that goes gives its port back, and the others keep theirs.
	before := served(t, out, "cloudretro/many/c")
	g := gatewayNamed(t, r, "many")
	g.Spec.Listeners = slices.Delete(slices.Clone(g.Spec.Listeners), 1, 2)
	out = settle(t, &r)
	if after := served(t, out, "cloudretro/many/c"); !reflect.DeepEqual(after, before) {
		t.Errorf("%+v is not %+v", after, before)
	}
	if len(g.Status.Listeners) != len(g.Spec.Listeners) {
		t.Errorf("the status has %d listeners, want %d", len(g.Status.Listeners), len(g.Spec.Listeners))
	}
}

// manyListeners is a Gateway in the namespace of the installation.
const manyListeners = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: many, namespace: cloudretro}
spec:
  gatewayClassName: cloudretro
  listeners:
    - {name: a, port: 3478, protocol: UDP}
    - {name: b, port: 3478, protocol: TCP}
    - {name: c, port: 3479, protocol: UDP}
`

func TestAListenerIsServedOnceItsServiceSaysSo(t *testing.T) {
	r := snapshot(t, guide, workers)
	out := Translate(r, settings())
	if len(out.Listeners) != 0 || len(out.Services) != 1 {
		t.Fatalf("%+v", out)
	}
	play(&r, out, "")
	g := gatewayNamed(t, r, "udp-gateway")
	expect(t, "gateway", g.Status.Conditions, "Accepted=True Accepted", "Programmed=False Pending")
	expect(t, "listener", listenerNamed(t, g, "udp-listener").Conditions, "Programmed=False Pending")
	out = Translate(r, settings())
	play(&r, out, "")
	if len(out.Listeners) != 1 {
		t.Fatalf("%+v", out)
	}
	expect(t, "gateway", g.Status.Conditions, "Programmed=False AddressNotAssigned")
	expect(t, "listener", listenerNamed(t, g, "udp-listener").Conditions, "Programmed=True Programmed")
	r.Unserved = map[string]string{"stunner/udp-gateway/udp-listener": "address in use"}
	play(&r, Translate(r, settings()), "203.0.113.7")
	play(&r, Translate(r, settings()), "203.0.113.7")
	expect(t, "gateway", g.Status.Conditions, "Programmed=False Pending")
	expect(t, "listener", listenerNamed(t, g, "udp-listener").Conditions, "Programmed=False Pending")
}

// Ports that listeners have just left are taken last.
func TestPortsThatWereLeft(t *testing.T) {
	const count = 32
	var listeners []string
	for i := range count {
		listeners = append(listeners, fmt.Sprintf("    - {name: l%d, port: %d, protocol: UDP}", i, 1000+i))
	}
	r := snapshot(t, classOf(""), gatewayOf("", "", strings.Join(listeners, "\n")))
	before := map[uint16]bool{}
	for _, l := range settle(t, &r).Listeners {
		before[l.Port] = true
	}
	for i := range r.Gateways[0].Spec.Listeners {
		r.Gateways[0].Spec.Listeners[i].Protocol = "TCP"
	}
	s := settings()
	for _, s.Ports = range []int{s.Ports, count} { // the second time there are no others
		ports := Translate(r, s).Services[0].Spec.Ports
		if len(before) != count || len(ports) != count {
			t.Fatalf("%d ports, then %d", len(before), len(ports))
		}
		for _, p := range ports {
			if s.Ports > count && before[uint16(p.TargetPort.IntVal)] {
				t.Errorf("port %d was left just now", p.TargetPort.IntVal)
			}
		}
	}
}

// A listener of another protocol gets another port, for at the old one sessions may
// still drain; until its Service says so it is not Programmed.
func TestAnotherProtocolTakesAnotherPort(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", "    - {name: l, port: 443, protocol: TCP}"))
	r.Secrets = []*corev1.Secret{certified(t, "infra", "tls")}
	before := served(t, settle(t, &r), "infra/g/l")
	l := &r.Gateways[0].Spec.Listeners[0]
	l.Protocol, l.TLS = "TLS", &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{{Name: "tls"}}}
	out := Translate(r, settings())
	if len(out.Listeners) > 0 {
		t.Errorf("served before the Service says so: %+v", out.Listeners)
	}
	play(&r, out, "")
	expect(t, "listener", listenerNamed(t, gatewayNamed(t, r, "g"), "l").Conditions, "Programmed=False Pending")
	if after := served(t, settle(t, &r), "infra/g/l"); after.Port == before.Port || after.Protocol != TLS {
		t.Errorf("%+v after port %d", after, before.Port)
	}
}
