package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// certified is a Secret with a certificate and its key.
func certified(t *testing.T, namespace, name string) *corev1.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := &corev1.Secret{Type: corev1.SecretTypeTLS, Data: map[string][]byte{
		corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}),
	}}
	s.Namespace, s.Name = namespace, name
	return s
}

// gatewayOf is a Gateway in the namespace infra.
func gatewayOf(metadata, spec, listeners string) string {
	return `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g, namespace: infra, generation: 7` + metadata + `}
spec:
  gatewayClassName: cloudretro
` + spec + `
  listeners:
` + listeners
}

const grantOfCertificates = `
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: g, namespace: certs}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra}]
  to: [{group: "", kind: Secret, name: tls}]
`

func TestListeners(t *testing.T) {
	const (
		accepted = "Accepted=True Accepted"
		resolved = "ResolvedRefs=True ResolvedRefs"
		calm     = "Conflicted=False NoConflicts"
		runs     = "Programmed=True Programmed"
		invalid  = "Programmed=False Invalid"
	)
	fine := []string{accepted, resolved, calm, runs}
	tls := func(refs string) string {
		return "- {name: l, port: 5349, protocol: TLS, tls: {mode: Terminate, certificateRefs: [" + refs + "]}}"
	}
	for name, test := range map[string]struct {
		listeners string
		want      []string
		protocol  string // "" = not served
		kinds     int
		gateway   string
		grant     bool
	}{
		"UDP":          {"- {name: l, port: 3478, protocol: UDP}", fine, UDP, 2, "True Accepted", false},
		"TCP":          {"- {name: l, port: 3478, protocol: TCP}", fine, TCP, 2, "True Accepted", false},
		"TURN-UDP":     {"- {name: l, port: 3478, protocol: TURN-UDP}", fine, UDP, 2, "True Accepted", false},
		"TURN-TCP":     {"- {name: l, port: 3478, protocol: TURN-TCP}", fine, TCP, 2, "True Accepted", false},
		"TURN-TLS":     {"- {name: l, port: 3478, protocol: TURN-TLS, tls: {certificateRefs: [{name: tls}]}}", fine, TLS, 2, "True Accepted", false},
		"TURN-DTLS":    {"- {name: l, port: 3478, protocol: TURN-DTLS, tls: {certificateRefs: [{name: tls}]}}", fine, DTLS, 2, "True Accepted", false},
		"our DTLS":     {"- {name: l, port: 3478, protocol: cloudretro.dev/DTLS, tls: {certificateRefs: [{name: tls}]}}", fine, DTLS, 2, "True Accepted", false},
		"TLS":          {tls("{name: tls}"), fine, TLS, 2, "True Accepted", false},
		"HTTP":         {"- {name: l, port: 80, protocol: HTTP}", []string{"Accepted=False UnsupportedProtocol", calm, invalid}, "", 0, "False ListenersNotValid", false},
		"others' DTLS": {"- {name: l, port: 80, protocol: example.com/DTLS}", []string{"Accepted=False UnsupportedProtocol", invalid}, "", 0, "False ListenersNotValid", false},
		"passthrough": {
			"- {name: l, port: 80, protocol: TLS, tls: {mode: Passthrough, certificateRefs: [{name: tls}]}}",
			[]string{"Accepted=False UnsupportedValue", invalid},
			"", 2, "False ListenersNotValid", false,
		},
		"bad selector": {
			"- {name: l, port: 80, protocol: UDP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {'a b': c}}}}}",
			[]string{"Accepted=False UnsupportedValue", invalid},
			"", 2, "False ListenersNotValid", false,
		},
		"port":                  {"- {name: l, port: 70000, protocol: UDP}", []string{"Accepted=False PortUnavailable", invalid}, "", 2, "False ListenersNotValid", false},
		"no such Secret":        {tls("{name: none}"), []string{accepted, "ResolvedRefs=False InvalidCertificateRef", invalid}, "", 2, "True Accepted", false},
		"no reference":          {"- {name: l, port: 80, protocol: TURN-TLS}", []string{accepted, "ResolvedRefs=False InvalidCertificateRef", invalid}, "", 2, "True Accepted", false},
		"Secret with nonsense":  {tls("{name: nonsense}"), []string{accepted, "ResolvedRefs=False InvalidCertificateRef", invalid}, "", 2, "True Accepted", false},
		"another kind":          {tls("{name: tls, kind: ConfigMap}"), []string{accepted, "ResolvedRefs=False InvalidCertificateRef", invalid}, "", 2, "True Accepted", false},
		"another group":         {tls("{name: tls, group: example.com}"), []string{accepted, "ResolvedRefs=False InvalidCertificateRef", invalid}, "", 2, "True Accepted", false},
		"Secret without grant":  {tls("{name: tls, namespace: certs}"), []string{accepted, "ResolvedRefs=False RefNotPermitted", invalid}, "", 2, "True Accepted", false},
		"Secret with grant":     {tls("{name: tls, namespace: certs}"), fine, TLS, 2, "True Accepted", true},
		"grant of another name": {tls("{name: more, namespace: certs}"), []string{accepted, "ResolvedRefs=False RefNotPermitted", invalid}, "", 2, "True Accepted", true},
		"one of two Secrets":    {tls("{name: none}, {name: tls}"), []string{accepted, "ResolvedRefs=False InvalidCertificateRef", runs}, TLS, 2, "True Accepted", false},
		"kinds": {
			"- {name: l, port: 80, protocol: UDP, allowedRoutes: {kinds: [{kind: UDPRoute}]}}", fine, UDP, 1, "True Accepted", false,
		},
		"unknown kinds": {
			"- {name: l, port: 80, protocol: UDP, allowedRoutes: {kinds: [{kind: HTTPRoute}]}}",
			[]string{accepted, "ResolvedRefs=False InvalidRouteKinds", runs},
			UDP, 0, "True Accepted", false,
		},
		"a known and an unknown kind": {
			"- {name: l, port: 80, protocol: UDP, allowedRoutes: {kinds: [{kind: HTTPRoute}, {group: cloudretro.dev, kind: UDPRoute}]}}",
			[]string{accepted, "ResolvedRefs=False InvalidRouteKinds", runs},
			UDP, 1, "True Accepted", false,
		},
		"UDP and TCP": {"- {name: l, port: 3478, protocol: UDP}\n    - {name: m, port: 3478, protocol: TCP}", fine, UDP, 2, "True Accepted", false},
		"UDP and DTLS": {
			"- {name: l, port: 80, protocol: UDP}\n    - {name: m, port: 80, protocol: TURN-DTLS}",
			[]string{"Accepted=False ProtocolConflict", "Conflicted=True ProtocolConflict", "Programmed=False ProtocolConflict"},
			"", 2, "False ListenersNotValid", false,
		},
		"TCP and TLS": {
			"- {name: l, port: 80, protocol: TCP}\n    - {name: m, port: 80, protocol: TLS}",
			[]string{"Accepted=False ProtocolConflict", "Conflicted=True ProtocolConflict"},
			"", 2, "False ListenersNotValid", false,
		},
		"UDP twice": {
			"- {name: l, port: 80, protocol: UDP}\n    - {name: m, port: 80, protocol: TURN-UDP}",
			[]string{"Accepted=False ProtocolConflict", "Conflicted=True ProtocolConflict"},
			"", 2, "False ListenersNotValid", false,
		},
		"TLS twice": {
			"- {name: l, hostname: a.example.com, port: 80, protocol: TLS}\n    - {name: m, port: 80, protocol: TLS}",
			[]string{"Accepted=False HostnameConflict", "Conflicted=True HostnameConflict"},
			"", 2, "False ListenersNotValid", false,
		},
		"a conflict besides": {
			"- {name: l, port: 80, protocol: UDP}\n    - {name: m, port: 81, protocol: TCP}\n    - {name: n2, port: 81, protocol: TURN-TCP}", fine, UDP, 2, "True ListenersNotValid", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := snapshot(t, classOf(""), gatewayOf("", "", "    "+test.listeners))
			nonsense := &corev1.Secret{Data: map[string][]byte{"tls.crt": []byte("no"), "tls.key": []byte("no")}}
			nonsense.Namespace, nonsense.Name = "infra", "nonsense"
			r.Secrets = []*corev1.Secret{nonsense, certified(t, "infra", "tls"), certified(t, "certs", "tls"), certified(t, "certs", "more")}
			if test.grant {
				if err := r.add(grantOfCertificates); err != nil {
					t.Fatal(err)
				}
			}
			out := settle(t, &r)
			g := gatewayNamed(t, r, "g")
			status := listenerNamed(t, g, "l")
			expect(t, "listener", status.Conditions, test.want...)
			expect(t, "gateway", g.Status.Conditions, "Accepted="+test.gateway)
			if test.protocol == "" {
				expect(t, "gateway", g.Status.Conditions, "Programmed=False Invalid")
			}
			if len(status.SupportedKinds) != test.kinds {
				t.Errorf("kinds %+v, want %d", status.SupportedKinds, test.kinds)
			}
			if test.protocol == "" {
				for _, l := range out.Listeners {
					if l.ID == "infra/g/l" {
						t.Errorf("served: %+v", l)
					}
				}
				return
			}
			l := served(t, out, "infra/g/l")
			if l.Protocol != test.protocol || (l.Protocol == TLS || l.Protocol == DTLS) != (len(l.Certificates) == 1) {
				t.Errorf("%+v", l)
			}
		})
	}
}

const oneUDP = "    - {name: l, port: 3478, protocol: UDP}"

func TestGateway(t *testing.T) {
	for name, test := range map[string]struct{ metadata, spec, accepted, programmed string }{
		"plain":                        {"", "", "True Accepted", "True Programmed"},
		"hostname asked for":           {"", "  addresses: [{type: Hostname, value: a.example.com}]", "False UnsupportedAddress", "False Invalid"},
		"some address asked for":       {"", "  addresses: [{type: IPAddress}]", "True Accepted", "True Programmed"},
		"address asked for and given":  {"", "  addresses: [{value: 203.0.113.7}]", "True Accepted", "True Programmed"},
		"address asked for, not given": {"", "  addresses: [{value: 203.0.113.8}]", "True Accepted", "False AddressNotUsable"},
		"nonsense asked for":           {"", "  addresses: [{value: nonsense}]", "True Accepted", "False AddressNotUsable"},
		"unknown type of Service":      {", annotations: {cloudretro.dev/service-type: None}", "", "False Invalid", "False Invalid"},
		"unknown policy":               {", annotations: {cloudretro.dev/external-traffic-policy: None}", "", "False Invalid", "False Invalid"},
		"node ports no JSON":           {", annotations: {cloudretro.dev/nodeport: 'l: 5'}", "", "False Invalid", "False Invalid"},
		"node ports out of range":      {", annotations: {cloudretro.dev/nodeport: '{\"l\": 70000}'}", "", "False Invalid", "False Invalid"},
		"target ports no JSON":         {", annotations: {cloudretro.dev/targetport: '5'}", "", "False Invalid", "False Invalid"},
		"target port out of range":     {", annotations: {cloudretro.dev/targetport: '{\"l\": 44321}'}", "", "False ListenersNotValid", "False Invalid"},
		"target port of STUNner's":     {", annotations: {stunner.l7mp.io/targetport: '{\"l\": 44321}'}", "", "True Accepted", "True Programmed"},
		"node port":                    {", annotations: {stunner.l7mp.io/service-type: NodePort}", "", "True Accepted", "True Programmed"},
		"cluster IP":                   {", annotations: {cloudretro.dev/service-type: ClusterIP}", "", "True Accepted", "False AddressNotAssigned"},
	} {
		t.Run(name, func(t *testing.T) {
			r := snapshot(t, classOf(""), gatewayOf(test.metadata, test.spec, oneUDP))
			settle(t, &r)
			g := gatewayNamed(t, r, "g")
			expect(t, "gateway", g.Status.Conditions, "Accepted="+test.accepted, "Programmed="+test.programmed)
			for _, c := range g.Status.Conditions {
				if c.ObservedGeneration != 7 {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

func TestServiceOfAGateway(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf(`, uid: u, annotations: {
  cloudretro.dev/nodeport: '{"l": 30478}', stunner.l7mp.io/nodeport: '{"l": 30479}', cloudretro.dev/targetport: '{"l": 20007}',
  cloudretro.dev/load-balancer-class: example.com/fast, cloudretro.dev/external-traffic-policy: Local,
  kubectl.kubernetes.io/last-applied-configuration: '{}', argocd.argoproj.io/tracking-id: a, 'not a key/x': a, example.com/mine: a}`,
		"  addresses: [{value: 203.0.113.7}]\n  infrastructure: {labels: {team: games, 'no label': a}, annotations: {example.com/mine: b}}", oneUDP))
	r.Gateways[0].Namespace = "cloudretro"
	out := settle(t, &r)
	s := r.Services[0]
	if s.Name != "g-cloudretro" || s.Namespace != "cloudretro" || s.Spec.Selector["app.kubernetes.io/component"] != "turn" ||
		*s.Spec.LoadBalancerClass != "example.com/fast" || s.Spec.LoadBalancerIP != "203.0.113.7" || s.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		t.Errorf("%+v", s)
	}
	if p := s.Spec.Ports[0]; p.NodePort != 30478 || p.TargetPort.IntVal != 20007 || served(t, out, "cloudretro/g/l").Port != 20007 {
		t.Errorf("%+v", p)
	}
	for key, want := range map[string]string{"team": "games", "gateway.networking.k8s.io/gateway-name": "g", "gateway.networking.k8s.io/gateway-class-name": "cloudretro", ManagedByLabel: ManagedBy} {
		if s.Labels[key] != want {
			t.Errorf("label %s is %q, want %q", key, s.Labels[key], want)
		}
	}
	if len(s.Labels) != 4 || len(s.Annotations) != 5 || s.Annotations["example.com/mine"] != "b" || s.Annotations[ControllerAnnotation] != "cloudretro.dev/turn" {
		t.Errorf("%v, %v", s.Labels, s.Annotations)
	}
	if o := s.OwnerReferences; len(o) != 1 || o[0].Kind != "Gateway" || o[0].Name != "g" || o[0].UID != "u" || !*o[0].Controller {
		t.Errorf("%+v", o)
	}
	// Node ports: reached at nodes, and kept.
	r.Gateways[0].Annotations = map[string]string{"cloudretro.dev/service-type": "NodePort"}
	r.Gateways[0].Spec.Addresses = nil
	settle(t, &r)
	s = r.Services[0]
	if s.Spec.Type != corev1.ServiceTypeNodePort || s.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyCluster || s.Spec.Ports[0].NodePort != 30478 || s.Spec.LoadBalancerClass != nil || s.Spec.LoadBalancerIP != "" {
		t.Errorf("%+v", s.Spec)
	}
	if a := r.Gateways[0].Status.Addresses; len(a) != 2 || a[0].Value != "198.51.100.1" || *a[0].Type != gatewayv1.IPAddressType {
		t.Errorf("%+v", a)
	}
	// Cluster IP: no node port.
	r.Gateways[0].Annotations = map[string]string{"cloudretro.dev/service-type": "ClusterIP"}
	settle(t, &r)
	r.Services[0].Spec.ClusterIPs = []string{"10.96.0.9"}
	play(&r, Translate(r, settings()), "")
	if p := r.Services[0].Spec.Ports[0]; p.NodePort != 0 {
		t.Errorf("%+v", p)
	}
}

func TestAddressesFollowTheService(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", oneUDP))
	settle(t, &r)
	r.Services[0].Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "lb.example.com"}, {IP: "203.0.113.9"}, {IP: "203.0.113.9"}, {Hostname: "not a name"}}
	out := settle(t, &r)
	a := r.Gateways[0].Status.Addresses
	if len(a) != 2 || *a[0].Type != gatewayv1.HostnameAddressType || a[0].Value != "lb.example.com" || a[1].Value != "203.0.113.9" {
		t.Errorf("%+v", a)
	}
	if l := served(t, out, "infra/g/l"); l.PublicAddress != "lb.example.com" {
		t.Errorf("%+v", l)
	}
}

func TestAServiceOfOthersIsNotTouched(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", oneUDP), "apiVersion: v1\nkind: Service\nmetadata: {name: g-cloudretro, namespace: infra}\nspec: {type: LoadBalancer, ports: [{name: l, port: 1, targetPort: 20005}]}")
	out := settle(t, &r)
	if len(out.Services)+len(out.Obsolete)+len(out.Listeners) > 0 {
		t.Errorf("%+v", out)
	}
	g := gatewayNamed(t, r, "g")
	expect(t, "gateway", g.Status.Conditions, "Accepted=True Accepted", "Programmed=False NoResources")
	expect(t, "listener", listenerNamed(t, g, "l").Conditions, "Programmed=False Pending")
}

func TestTwoGatewaysMayHaveTheSamePort(t *testing.T) {
	other := strings.ReplaceAll(gatewayOf("", "", oneUDP), "name: g,", "name: h,")
	r := snapshot(t, classOf(""), gatewayOf("", "", oneUDP), other)
	out := settle(t, &r)
	if served(t, out, "infra/g/l").Port == served(t, out, "infra/h/l").Port || len(r.Services) != 2 {
		t.Errorf("%+v", out.Listeners)
	}
	for _, g := range r.Gateways {
		expect(t, g.Name, g.Status.Conditions, "Accepted=True Accepted", "Programmed=True Programmed")
	}
}

func TestPodsHaveSoManyPortsOnly(t *testing.T) {
	other := strings.ReplaceAll(gatewayOf("", "", oneUDP), "name: g,", "name: h,")
	r := snapshot(t, classOf(""), gatewayOf("", "", oneUDP), other)
	s := settings()
	for _, s.Ports = range []int{1, 0, -5} {
		out := Translate(r, s)
		if len(out.Services) != max(0, s.Ports) {
			t.Errorf("%d Services with %d ports", len(out.Services), s.Ports)
		}
		expect(t, "gateway", out.Gateways[types.NamespacedName{Namespace: "infra", Name: "h"}].Conditions, "Accepted=False ListenersNotValid", "Programmed=False NoResources")
	}
	s.FirstPort, s.Ports = 65535, 100
	if out := Translate(r, s); len(out.Services) != 1 || out.Services[0].Spec.Ports[0].TargetPort.IntVal != 65535 {
		t.Errorf("%+v", out.Services)
	}
}

func TestObsoleteServices(t *testing.T) {
	name := types.NamespacedName{Namespace: "infra", Name: "g-cloudretro"}
	for test, change := range map[string]struct {
		do   func(*Resources)
		gone bool
	}{
		"nothing":              {func(*Resources) {}, false},
		"Gateway gone":         {func(r *Resources) { r.Gateways = nil }, true},
		"class of another":     {func(r *Resources) { r.Classes[0].Spec.ControllerName = "example.com/turn" }, true},
		"class missing":        {func(r *Resources) { r.Classes = nil }, false},
		"parameters missing":   {func(r *Resources) { r.Classes[0].Spec.ParametersRef = &gatewayv1.ParametersReference{} }, false},
		"listener unsupported": {func(r *Resources) { r.Gateways[0].Spec.Listeners[0].Protocol = "HTTP" }, false},
		"class changed":        {func(r *Resources) { r.Classes[0].Name, r.Gateways[0].Spec.GatewayClassName = "other", "other" }, true},
	} {
		t.Run(test, func(t *testing.T) {
			r := snapshot(t, classOf(""), gatewayOf("", "", oneUDP))
			settle(t, &r)
			serviceNamed(t, r, name)
			change.do(&r)
			out := Translate(r, settings())
			if gone := len(out.Obsolete) == 1 && out.Obsolete[0] == name; gone != change.gone {
				t.Errorf("obsolete %v, want %v", out.Obsolete, change.gone)
			}
		})
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 60)
	for _, test := range []struct{ gateway, class, want string }{
		{"g", "c", "g-c"},
		{"g.x", "c", "gw-g-x-c-"},
		{"1g", "c", "gw-1g-c-"},
		{long, "class", "gw-" + long[:50] + "-"},
		{strings.Repeat("-", 300), "", "gw--"},
	} {
		name := serviceName(test.gateway, test.class)
		if !strings.HasPrefix(name, test.want) || len(name) > 63 {
			t.Errorf("%q of %q and %q", name, test.gateway, test.class)
		}
	}
	if p := portName("a.b"); p == "a.b" || len(p) > 63 || p == portName("a.c") {
		t.Error(p)
	}
	if l := labelValue(strings.Repeat("a", 64)); len(l) > 63 {
		t.Error(l)
	}
}

// Gateway a of class b-c and Gateway a-b of class c want the same name.
func TestTheOlderGatewayKeepsAName(t *testing.T) {
	second := strings.NewReplacer("name: g,", "name: a-b,", "gatewayClassName: cloudretro", "gatewayClassName: c")
	first := strings.NewReplacer("name: g,", "name: a,", "gatewayClassName: cloudretro", "gatewayClassName: b-c")
	r := snapshot(t, strings.ReplaceAll(classOf(""), "name: cloudretro", "name: c"), strings.ReplaceAll(classOf(""), "name: cloudretro", "name: b-c"),
		first.Replace(gatewayOf("", "", oneUDP)), second.Replace(gatewayOf("", "", oneUDP)))
	settle(t, &r)
	expect(t, "first", gatewayNamed(t, r, "a").Status.Conditions, "Programmed=True Programmed")
	expect(t, "second", gatewayNamed(t, r, "a-b").Status.Conditions, "Programmed=False NoResources")
}

// What the API server says of a Service is told where its owner looks.
func TestARefusedServiceIsTold(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", oneUDP))
	r.Refused = map[types.NamespacedName]string{{Namespace: "infra", Name: "g-cloudretro"}: "provided port is already allocated"}
	settle(t, &r)
	for _, c := range gatewayNamed(t, r, "g").Status.Conditions {
		if c.Type == "Programmed" && (c.Reason != "Pending" || !strings.Contains(c.Message, "already allocated")) {
			t.Errorf("%+v", c)
		}
	}
}
