package gateway_test

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/turn/gateway"
)

const udpGateway = `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS},
  spec: {gatewayClassName: $NAME, listeners: [{name: one, port: 3478, protocol: UDP}]}}`

func udpRoute(backend string) string {
	return `{apiVersion: gateway.networking.k8s.io/v1, kind: UDPRoute, metadata: {name: route, namespace: $NS},
  spec: {parentRefs: [{name: gate}], rules: [{backendRefs: [` + backend + `]}]}}`
}

// A Gateway, a route and a Service are served: to the backend and to nothing else.
func TestGatewayRelaysToItsBackend(t *testing.T) {
	w, worker := newRoutedWorld(t)
	stranger := echo(t)
	w.make("gateways", udpGateway)
	w.start("one")
	port := w.programmed(w.Namespace, "gate", "one")
	for _, condition := range []string{"Accepted", "ResolvedRefs"} {
		if got := w.listener(w.Namespace, "gate", "one", condition); got != condition {
			t.Errorf("listener: %s has the reason %q", condition, got)
		}
		w.until("the route's "+condition, func() bool { return w.route(w.Namespace, "route", condition) == condition })
	}
	s := w.open(port, installationSecret)
	if !s.reaches(worker) {
		t.Error("the backend is not reached")
	}
	for _, other := range []netip.AddrPort{
		stranger, netip.AddrPortFrom(worker.Addr(), port), netip.MustParseAddrPort("127.0.0.1:53"),
		netip.MustParseAddrPort("169.254.169.254:80"), netip.MustParseAddrPort("10.96.0.1:443"),
	} {
		if s.reaches(other) {
			t.Errorf("%s is reached", other)
		}
	}
	if _, err := w.dial(port, "another secret"); err == nil {
		t.Error("a wrong secret is taken")
	}
}

// A listener is added, changed and removed while a session on another goes on.
func TestSessionsOutliveOtherListeners(t *testing.T) {
	w, worker := newRoutedWorld(t)
	w.start("one")
	gateway := func(listeners string) {
		w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS},
  spec: {gatewayClassName: $NAME, listeners: [{name: one, port: 3478, protocol: UDP}`+listeners+`]}}`)
	}
	gateway("")
	s := w.open(w.programmed(w.Namespace, "gate", "one"), installationSecret)
	goesOn := func(after string) {
		t.Helper()
		if !s.reaches(worker) {
			t.Errorf("the session has ended after %s", after)
		}
	}
	goesOn("the start")

	gateway(", {name: two, port: 3479, protocol: UDP}")
	port := w.programmed(w.Namespace, "gate", "two")
	if !w.open(port, installationSecret).reaches(worker) {
		t.Error("the new listener does not relay")
	}
	goesOn("a listener was added")

	gateway(", {name: two, port: 3480, protocol: TCP}")
	w.until("the change of protocol", func() bool {
		s := w.service(w.Namespace, "gate")
		return len(s.Spec.Ports) == 2 && s.Spec.Ports[1].Protocol == corev1.ProtocolTCP && s.Spec.Ports[1].Port == 3480
	})
	w.seen(w.Namespace, "gate")
	changed := w.programmed(w.Namespace, "gate", "two")
	if changed == port {
		t.Errorf("a listener of another protocol is at port %d, where the old one drains", port)
	}
	if err := served(w, changed); err != nil {
		t.Errorf("the listener is Programmed and does not answer: %v", err)
	}
	goesOn("a listener was changed")

	gateway("")
	w.until("the end of the listener", func() bool { return w.port(w.Namespace, "gate", "two") == 0 })
	w.until("no answer at its port", func() bool { return served(w, changed) != nil })
	goesOn("a listener was removed")
	if !w.open(w.port(w.Namespace, "gate", "one"), installationSecret).reaches(worker) {
		t.Error("the other listener takes no new sessions")
	}
}

// A Secret that a GatewayConfig names is followed; what is open outlives it.
func TestSecretChanges(t *testing.T) {
	w, worker := newRoutedWorld(t)
	w.make("gateways", udpGateway)
	w.make("gatewayconfigs", `{apiVersion: cloudretro.dev/v1, kind: GatewayConfig, metadata: {name: config, namespace: $NS},
  spec: {serviceType: ClusterIP, authRef: {name: auth}}}`)
	w.start("one")
	w.until("the word that the Secret is missing", func() bool { return w.accepted("gate") == "InvalidParameters" })
	secret := func(value string) {
		w.make("secrets", `{apiVersion: v1, kind: Secret, metadata: {name: auth, namespace: $NS}, stringData: {type: ephemeral, secret: `+value+`}}`)
	}
	secret("first")
	port := w.programmed(w.Namespace, "gate", "one")
	s := w.open(port, "first")
	secret("second")
	if !w.open(port, "second").reaches(worker) || !s.reaches(worker) {
		t.Error("a session does not relay")
	}
	if _, err := w.dial(port, "first"); err == nil {
		t.Error("the old secret is taken")
	}
}

// A certificate is shown, and another one when its Secret changes.
func TestCertificateChanges(t *testing.T) {
	w := newWorld(t)
	w.certificate("$NS", "cert", "one.example.org")
	w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS},
  spec: {gatewayClassName: $NAME, listeners: [{name: tls, port: 5349, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: cert}]}}]}}`)
	w.start("one")
	port := w.programmed(w.Namespace, "gate", "tls")
	shows := func(host string) {
		t.Helper()
		w.until("the certificate of "+host, func() bool {
			conn, err := tls.Dial("tcp", net.JoinHostPort(reachable(t).String(), strconv.Itoa(int(port))), &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				return false
			}
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0].VerifyHostname(host) == nil
		})
	}
	shows("one.example.org")
	w.certificate("$NS", "cert", "two.example.org")
	shows("two.example.org")
	if p := w.service(w.Namespace, "gate").Spec.Ports[0]; p.AppProtocol == nil || *p.AppProtocol != "cloudretro.dev/tls" {
		t.Errorf("the Service does not say that the port speaks TLS: %+v", p)
	}
}

// A route leads into another namespace only as long as a grant permits it.
func TestGrantIsTakenAway(t *testing.T) {
	w := newWorld(t)
	other := clustertest.Namespace(t, w.Cluster)
	worker := echo(t)
	w.backend(other, "workers", worker)
	w.make("gateways", udpGateway)
	w.make("udproutes", udpRoute(`{name: workers, namespace: `+other+`, port: 8443}`))
	w.start("one")
	refs := func(reason string) {
		t.Helper()
		w.until("the reason "+reason, func() bool { return w.route(w.Namespace, "route", "ResolvedRefs") == reason })
	}
	refs("RefNotPermitted")
	port := w.programmed(w.Namespace, "gate", "one")
	if w.open(port, installationSecret).reaches(worker) {
		t.Error("reached without a grant")
	}
	w.make("referencegrants", `{apiVersion: gateway.networking.k8s.io/v1, kind: ReferenceGrant, metadata: {name: grant, namespace: `+other+`},
  spec: {from: [{group: gateway.networking.k8s.io, kind: UDPRoute, namespace: $NS}], to: [{group: "", kind: Service}]}}`)
	refs("ResolvedRefs")
	s := w.open(port, installationSecret)
	if !s.reaches(worker) {
		t.Error("not reached with a grant")
	}
	w.delete("referencegrants", other, "grant")
	refs("RefNotPermitted")
	if w.open(port, installationSecret).reaches(worker) {
		t.Error("reached after the grant was taken away")
	}
	if !s.reaches(worker) {
		t.Error("what was bound under the grant is cut")
	}
}

// Of two pods one writes; both serve the same ports, after a restart too. A
// Gateway that is deleted leaves nothing behind.
func TestRestartAndLeader(t *testing.T) {
	w := newWorld(t)
	w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS},
  spec: {gatewayClassName: $NAME, listeners: [{name: one, port: 3478, protocol: UDP}, {name: two, port: 3479, protocol: TCP}]}}`)
	first := w.start("one")
	ports := [2]uint16{w.programmed(w.Namespace, "gate", "one"), w.programmed(w.Namespace, "gate", "two")}
	made := w.service(w.Namespace, "gate")
	first.end()
	second := w.start("two")
	w.until("service by another pod", func() bool { return len(second.Stats().Listeners) == 2 })
	s := w.open(ports[0], installationSecret)
	if err := served(w, ports[1]); err != nil {
		t.Error(err)
	}
	if now := [2]uint16{w.programmed(w.Namespace, "gate", "one"), w.programmed(w.Namespace, "gate", "two")}; now != ports {
		t.Errorf("ports %v have become %v", ports, now)
	}
	if is := w.service(w.Namespace, "gate"); is.UID != made.UID {
		t.Error("the Service was made again")
	}
	leads := func() string {
		lease, err := clustertest.Clientset(w.Cluster).CoordinationV1().Leases(w.Namespace).Get(t.Context(), gateway.Lease, metav1.GetOptions{})
		if err != nil || lease.Spec.HolderIdentity == nil {
			return ""
		}
		who, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
		return who
	}
	w.until("the second pod's lead", func() bool { return leads() == "two" })
	third := w.start("three") // which cannot have the same ports on this machine, and does not lead
	w.until("the third's attempt to serve", func() bool { return third.applied.Load() >= 2 })
	if who := leads(); who != "two" {
		t.Errorf("%s leads", who)
	}
	settled := get[gatewayv1.Gateway](w, "gateways", "", w.Namespace, "gate").ResourceVersion
	w.make("udproutes", udpRoute(`{name: nobody, port: 1}`))
	w.until("the route's condition", func() bool { return w.route(w.Namespace, "route", "ResolvedRefs") == "BackendNotFound" })
	w.delete("udproutes", w.Namespace, "route")
	w.until("the route's end", func() bool {
		g := get[gatewayv1.Gateway](w, "gateways", "", w.Namespace, "gate")
		return g.Status.Listeners[0].AttachedRoutes == 0
	})
	w.until("calm", func() bool {
		now := get[gatewayv1.Gateway](w, "gateways", "", w.Namespace, "gate").ResourceVersion
		calm := now == settled
		settled = now
		return calm
	})
	s.end()
	second.end() // the third leads now, and has the ports
	w.until("service by the third pod", func() bool { return len(third.Stats().Listeners) == 2 && served(w, ports[1]) == nil })
	w.make("udproutes", udpRoute(`{name: nobody, port: 1}`))
	w.until("the route's condition by another leader", func() bool { return w.route(w.Namespace, "route", "ResolvedRefs") == "BackendNotFound" })
	w.delete("gateways", w.Namespace, "gate")
	w.until("the end of the listeners", func() bool { return len(third.Stats().Listeners) == 0 })
	w.until("the end of the Service", func() bool { return w.service(w.Namespace, "gate") == nil })
}

// The Service of a Gateway in another namespace has endpoint slices, which follow
// the pods of the gates.
func TestMirroredSlices(t *testing.T) {
	w := newWorld(t)
	other := clustertest.Namespace(t, w.Cluster)
	pod, err := clustertest.Clientset(w.Cluster).CoreV1().Pods(w.Namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "turn-0", Labels: map[string]string{"test": "turn"}},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"test": "no-such-node"}, // nobody runs it: its status is ours to write
			Containers:   []corev1.Container{{Name: "turn", Image: "cloudretro"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ready := func(status corev1.ConditionStatus) {
		t.Helper()
		w.until("the pod's status", func() bool {
			pod, err = clustertest.Clientset(w.Cluster).CoreV1().Pods(w.Namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs = corev1.PodRunning, "10.244.99.7", []corev1.PodIP{{IP: "10.244.99.7"}}
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
			_, err := clustertest.Clientset(w.Cluster).CoreV1().Pods(w.Namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
			return err == nil
		})
	}
	ready(corev1.ConditionTrue)
	w.make("gateways", strings.ReplaceAll(udpGateway, "$NS", other))
	w.start("one")
	port := int32(w.programmed(other, "gate", "one"))
	var slice discoveryv1.EndpointSlice
	slices := func() bool {
		list, err := clustertest.Clientset(w.Cluster).DiscoveryV1().EndpointSlices(other).List(t.Context(), metav1.ListOptions{
			LabelSelector: discoveryv1.LabelManagedBy + "=turn.cloudretro.dev," + discoveryv1.LabelServiceName + "=" + w.service(other, "gate").Name,
		})
		if err != nil || len(list.Items) != 1 {
			return false
		}
		slice = list.Items[0]
		return len(slice.Endpoints) == 1
	}
	w.until("the slice", slices)
	e := slice.Endpoints[0]
	if e.Addresses[0] != "10.244.99.7" || !*e.Conditions.Ready || !*e.Conditions.Serving || *e.Conditions.Terminating || *slice.Ports[0].Port != port {
		t.Errorf("%+v, ports %+v", e, slice.Ports)
	}
	ready(corev1.ConditionFalse)
	w.until("the end of its readiness", func() bool {
		return slices() && !*slice.Endpoints[0].Conditions.Ready && !*slice.Endpoints[0].Conditions.Serving
	})
	if len(w.service(other, "gate").Spec.Selector) > 0 {
		t.Error("the Service selects pods of its own namespace")
	}
}

// A port that is taken is told in the listener's condition, and taken once it is
// free; other listeners do not care.
func TestPortInUse(t *testing.T) {
	w := newWorld(t)
	taken, err := net.Listen("tcp", ":"+strconv.Itoa(w.first))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS,
  annotations: {cloudretro.dev/targetport: '{"two":`+strconv.Itoa(w.first)+`}'}},
  spec: {gatewayClassName: $NAME, listeners: [{name: one, port: 3478, protocol: UDP}, {name: two, port: 3479, protocol: TCP}]}}`)
	w.start("one")
	w.programmed(w.Namespace, "gate", "one")
	w.until("the word that the port is taken", func() bool {
		c := w.condition(w.Namespace, "gate", "two", "Programmed")
		return c.Reason == "Pending" && strings.Contains(c.Message, "cannot serve")
	})
	taken.Close()
	w.programmed(w.Namespace, "gate", "two")
}

// Objects that no schema stops do no harm to those beside them.
func TestHostileObjects(t *testing.T) {
	w, worker := newRoutedWorld(t)
	w.make("gateways", udpGateway)
	for i, spec := range []string{
		`parentRefs: [{name: gate}], rules: [{backendRefs: [{group: cloudretro.dev, kind: StaticService, name: all}]}]`,
		`parentRefs: [{name: gate, sectionName: none}, {name: gate, sectionName: one, port: 1}], rules: [{backendRefs: [{name: workers, port: 65535}]}]`,
		`parentRefs: [{name: nobody}], rules: [{backendRefs: [{group: apps, kind: Deployment, name: x, port: 1}]}]`,
	} {
		w.make("udproutes", `{apiVersion: gateway.networking.k8s.io/v1, kind: UDPRoute, metadata: {name: hostile-`+strconv.Itoa(i)+`, namespace: $NS}, spec: {`+spec+`}}`)
	}
	w.make("staticservices", `{apiVersion: cloudretro.dev/v1, kind: StaticService, metadata: {name: all, namespace: $NS},
  spec: {prefixes: [0.0.0.0/0, "::/0", 10.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, "64:ff9b::/96"]}}`)
	w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: hostile, namespace: $NS,
  annotations: {cloudretro.dev/targetport: "[[[", cloudretro.dev/service-type: ExternalName}},
  spec: {gatewayClassName: $NAME, listeners: [{name: one, port: 3478, protocol: UDP}, {name: http, port: 80, protocol: HTTP}]}}`)
	stolen, err := clustertest.Clientset(w.Cluster).CoreV1().Services(w.Namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "stolen-" + w.name}, // the name that the Gateway's would have
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.make("gateways", strings.Replace(udpGateway, "name: gate", "name: stolen", 1))
	w.start("one")
	s := w.open(w.programmed(w.Namespace, "gate", "one"), installationSecret)
	if !s.reaches(worker) {
		t.Error("the good route does not relay")
	}
	for _, closed := range []string{"127.0.0.1:53", "169.254.169.254:80", "10.96.0.1:443", "224.0.0.1:1", "255.255.255.255:1"} {
		if s.reaches(netip.MustParseAddrPort(closed)) {
			t.Errorf("%s is reached", closed)
		}
	}
	if of := stolen.Spec.ClusterIP; !s.permits("10.254.254.254") || s.permits(of) {
		t.Errorf("the prefix is not open, or opens %s of a Service", of)
	}
	w.until("the word on a Service of somebody else", func() bool {
		g := get[gatewayv1.Gateway](w, "gateways", "", w.Namespace, "stolen")
		c := meta.FindStatusCondition(g.Status.Conditions, "Programmed")
		return c != nil && c.Status == metav1.ConditionFalse
	})
	service, err := clustertest.Clientset(w.Cluster).CoreV1().Services(w.Namespace).Get(t.Context(), "stolen-"+w.name, metav1.GetOptions{})
	if err != nil || service.Spec.Ports[0].Port != 80 || len(service.OwnerReferences) > 0 {
		t.Errorf("somebody else's Service has become %+v, %v", service, err)
	}
}
