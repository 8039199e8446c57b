package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// shown are conditions as tests write them, like "Accepted=True Accepted"; those
// that are not of the generation say so.
func shown(conditions []metav1.Condition, generation int64) string {
	var all []string
	for _, kind := range []string{"Accepted", "Conflicted", "ResolvedRefs", "Programmed"} {
		c := meta.FindStatusCondition(conditions, kind)
		if c == nil {
			continue
		}
		text := fmt.Sprintf("%s=%s %s", kind, c.Status, c.Reason)
		if c.ObservedGeneration != generation || c.Message == "" || c.LastTransitionTime.IsZero() {
			text += fmt.Sprintf(" of generation %d (%d), %q", c.ObservedGeneration, generation, c.Message)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// Conditions of Gateways and listeners, good and bad, as the specification words
// them. Every Gateway has the listener "l".
func TestConditionsOfGateways(t *testing.T) {
	w := newWorld(t)
	w.make("gatewayclasses", `{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: $NAME}, spec: {controllerName: cloudretro.dev/$NAME}}`)
	other := clustertest.Namespace(t, w.Cluster)
	w.certificate("$NS", "good", "one.example.org")
	w.certificate(other, "good", "one.example.org")
	w.certificate(other, "granted", "one.example.org")
	w.make("secrets", `{apiVersion: v1, kind: Secret, metadata: {name: opaque, namespace: $NS}, stringData: {password: x}}`)
	w.make("secrets", `{apiVersion: v1, kind: Secret, metadata: {name: malformed, namespace: $NS}, type: kubernetes.io/tls, stringData: {tls.crt: "-", tls.key: "-"}}`)
	w.make("gatewayconfigs", `{apiVersion: cloudretro.dev/v1, kind: GatewayConfig, metadata: {name: no-secret, namespace: $NS}, spec: {authRef: {name: none}}}`)
	w.make("referencegrants", `{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: grant, namespace: `+other+`},
  spec: {from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: $NS}], to: [{group: "", kind: Secret, name: granted}]}}`)
	const (
		accepted, invalid = "Accepted=True Accepted, ", "Accepted=False ListenersNotValid, Programmed=False Invalid"
		calm, resolved    = "Conflicted=False NoConflicts, ", "ResolvedRefs=True ResolvedRefs, "
		runs, stopped     = "Programmed=True Programmed", "Programmed=False Invalid"
		fine              = accepted + calm + resolved + runs
		unresolved        = accepted + stopped
		parameters        = "Accepted=False InvalidParameters, " + stopped
		collision         = "Accepted=False ProtocolConflict, Conflicted=True ProtocolConflict, " + resolved + "Programmed=False ProtocolConflict"
		udp               = "{name: l, port: 3478, protocol: UDP}"
	)
	secure := func(refs string) string {
		return "{name: l, port: 5349, protocol: TLS, tls: {mode: Terminate, certificateRefs: [" + refs + "]}}"
	}
	tests := map[string]struct{ listeners, spec, gateway, listener string }{
		"udp":           {udp, "", accepted + runs, fine},
		"udp-and-tcp":   {udp + ", {name: m, port: 3478, protocol: TCP}", "", accepted + runs, fine},
		"udp-and-dtls":  {udp + ", {name: m, port: 3478, protocol: TURN-DTLS, tls: {certificateRefs: [{name: good}]}}", "", invalid, collision},
		"tcp-and-tls":   {"{name: l, port: 443, protocol: TCP}, {name: m, port: 443, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: good}]}}", "", invalid, collision},
		"udp-twice":     {udp + ", {name: m, port: 3478, protocol: TURN-UDP}", "", invalid, collision},
		"one-conflicts": {udp + ", {name: m, port: 1, protocol: UDP}, {name: k, port: 1, protocol: TURN-UDP}", "", "Accepted=True ListenersNotValid, " + runs, fine},
		"http":          {"{name: l, port: 80, protocol: HTTP}", "", invalid, "Accepted=False UnsupportedProtocol, " + calm + resolved + stopped},
		"http-and-udp":  {"{name: l, port: 80, protocol: HTTP}, {name: m, port: 3478, protocol: UDP}", "", "Accepted=True ListenersNotValid, " + runs, "Accepted=False UnsupportedProtocol, " + calm + resolved + stopped},
		"passthrough":   {"{name: l, port: 443, protocol: TLS, tls: {mode: Passthrough}}", "", invalid, "Accepted=False UnsupportedValue, " + calm + resolved + stopped},

		"tls":             {secure("{name: good}"), "", accepted + runs, fine},
		"tls-hostname":    {strings.Replace(secure("{name: good}"), "port:", "hostname: one.example.org, port:", 1), "", accepted + runs, fine},
		"missing":         {secure("{name: missing}"), "", unresolved, accepted + calm + "ResolvedRefs=False InvalidCertificateRef, " + stopped},
		"opaque":          {secure("{name: opaque}"), "", unresolved, accepted + calm + "ResolvedRefs=False InvalidCertificateRef, " + stopped},
		"malformed":       {secure("{name: malformed}"), "", unresolved, accepted + calm + "ResolvedRefs=False InvalidCertificateRef, " + stopped},
		"kind":            {secure("{name: good, kind: ConfigMap}"), "", unresolved, accepted + calm + "ResolvedRefs=False InvalidCertificateRef, " + stopped},
		"without-a-grant": {secure("{name: good, namespace: " + other + "}"), "", unresolved, accepted + calm + "ResolvedRefs=False RefNotPermitted, " + stopped},
		"with-a-grant":    {secure("{name: granted, namespace: " + other + "}"), "", accepted + runs, fine},

		"route-kinds":      {"{name: l, port: 3478, protocol: UDP, allowedRoutes: {kinds: [{kind: HTTPRoute}]}}", "", accepted + runs, accepted + calm + "ResolvedRefs=False InvalidRouteKinds, " + runs},
		"some-route-kinds": {"{name: l, port: 3478, protocol: UDP, allowedRoutes: {kinds: [{kind: UDPRoute}, {kind: TCPRoute}]}}", "", accepted + runs, accepted + calm + "ResolvedRefs=False InvalidRouteKinds, " + runs},

		"config-missing":   {udp, "infrastructure: {parametersRef: {group: cloudretro.dev, kind: GatewayConfig, name: none}}", parameters, accepted + calm + resolved + stopped},
		"config-kind":      {udp, "infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: config}}", parameters, accepted + calm + resolved + stopped},
		"config-no-secret": {udp, "infrastructure: {parametersRef: {group: cloudretro.dev, kind: GatewayConfig, name: no-secret}}", parameters, accepted + calm + resolved + stopped},

		"hostname":    {udp, "addresses: [{type: Hostname, value: one.example.org}]", "Accepted=False UnsupportedAddress, " + stopped, accepted + calm + resolved + stopped},
		"own-address": {udp, "addresses: [{type: example.com/pool, value: a}]", "Accepted=False UnsupportedAddress, " + stopped, accepted + calm + resolved + stopped},
		"not-ours":    {udp, "addresses: [{type: IPAddress, value: 192.0.2.77}]", accepted + "Programmed=False AddressNotUsable", fine},
	}
	for name, test := range tests {
		if test.spec != "" {
			test.spec += ", "
		}
		w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: `+name+`, namespace: $NS, annotations: {cloudretro.dev/service-type: ClusterIP}},
  spec: {gatewayClassName: $NAME, `+test.spec+`listeners: [`+test.listeners+`]}}`)
	}
	w.start("one")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var is string
			defer func() {
				if t.Failed() {
					t.Log(is)
				}
			}()
			here := *w
			here.t = t
			here.until("conditions", func() bool {
				g := get[gatewayv1.Gateway](&here, "gateways", "", w.Namespace, name)
				is = "no listener"
				for _, l := range g.Status.Listeners {
					if l.Name == "l" {
						is = shown(g.Status.Conditions, g.Generation) + "\n" + shown(l.Conditions, g.Generation)
					}
				}
				return is == test.gateway+"\n"+test.listener
			})
		})
	}
}

// Classes of nobody and of others, their Gateways and routes to those are left as
// they are.
func TestGatewaysOfOthers(t *testing.T) {
	w := newWorld(t)
	w.make("gatewayclasses", `{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: others-$NAME}, spec: {controllerName: example.com/others}}`)
	t.Cleanup(func() { w.delete("gatewayclasses", "", "others-"+w.name) })
	for _, name := range []string{"none", "others"} {
		w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: `+name+`, namespace: $NS},
  spec: {gatewayClassName: `+name+`-$NAME, listeners: [{name: one, port: 3478, protocol: UDP}]}}`)
		w.make("udproutes", `{apiVersion: gateway.networking.k8s.io/v1, kind: UDPRoute, metadata: {name: `+name+`, namespace: $NS},
  spec: {parentRefs: [{name: `+name+`}], rules: [{backendRefs: [{name: nobody, port: 1}]}]}}`)
	}
	versions := func() map[string]string {
		found := map[string]string{"class": get[gatewayv1.GatewayClass](w, "gatewayclasses", "", "", "others-"+w.name).ResourceVersion}
		for _, name := range []string{"none", "others"} {
			found["gateway "+name] = get[gatewayv1.Gateway](w, "gateways", "", w.Namespace, name).ResourceVersion
			found["route "+name] = get[gatewayv1.UDPRoute](w, "udproutes", "", w.Namespace, name).ResourceVersion
		}
		return found
	}
	before := versions()
	w.start("one")
	w.make("gateways", udpGateway)
	w.open(w.programmed(w.Namespace, "gate", "one"), installationSecret)
	for what, version := range versions() {
		if version != before[what] {
			t.Errorf("%s was written to", what)
		}
	}
	if w.service(w.Namespace, "none") != nil || w.service(w.Namespace, "others") != nil {
		t.Error("a Gateway of somebody else has a Service")
	}
}

// A Service that somebody deletes is made again, and what is open goes on.
func TestServiceComesBack(t *testing.T) {
	w, worker := newRoutedWorld(t)
	w.make("gateways", udpGateway)
	w.start("one")
	s := w.open(w.programmed(w.Namespace, "gate", "one"), installationSecret)
	was := w.service(w.Namespace, "gate")
	if err := clustertest.Clientset(w.Cluster).CoreV1().Services(w.Namespace).Delete(t.Context(), was.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.until("another Service", func() bool { is := w.service(w.Namespace, "gate"); return is != nil && is.UID != was.UID })
	port := w.programmed(w.Namespace, "gate", "one")
	if !w.open(port, installationSecret).reaches(worker) || !s.reaches(worker) {
		t.Error("a session does not relay")
	}
}

// A Gateway that is deleted takes its own sessions' port, and no others'.
func TestGatewayIsDeleted(t *testing.T) {
	w, worker := newRoutedWorld(t)
	w.make("gateways", udpGateway)
	w.make("gateways", strings.Replace(udpGateway, "name: gate", "name: second", 1)) // at the same port of another Service
	w.start("one")
	s := w.open(w.programmed(w.Namespace, "gate", "one"), installationSecret)
	gone := w.open(w.programmed(w.Namespace, "second", "one"), installationSecret)
	w.delete("gateways", w.Namespace, "second")
	w.until("the end of the Service", func() bool { return w.service(w.Namespace, "second") == nil })
	gone.end()
	if !s.reaches(worker) || w.service(w.Namespace, "gate") == nil {
		t.Error("the other Gateway does not go on")
	}
}

// Another realm and other users are taken while a session goes on.
func TestCredentialsChange(t *testing.T) {
	w, worker := newRoutedWorld(t)
	w.make("gateways", udpGateway)
	config := func(spec string) {
		w.make("gatewayconfigs", `{apiVersion: cloudretro.dev/v1, kind: GatewayConfig, metadata: {name: config, namespace: $NS}, spec: {serviceType: ClusterIP, `+spec+`}}`)
	}
	config("sharedSecret: first, realm: one.example.org")
	w.start("one")
	port := w.programmed(w.Namespace, "gate", "one")
	s := w.open(port, "first")
	for _, spec := range []string{"sharedSecret: second, realm: two.example.org", "authType: static, userName: u, password: p", "sharedSecret: third"} {
		config(spec)
		if !s.reaches(worker) {
			t.Errorf("the session has ended with %s", spec)
		}
	}
	if !w.open(port, "third").reaches(worker) || !s.reaches(worker) {
		t.Error("a session does not relay")
	}
	config("authType: static, userName: u") // which is wrong
	w.until("the word on it", func() bool { return w.accepted("gate") == "InvalidParameters" })
	config("sharedSecret: third")
	w.programmed(w.Namespace, "gate", "one")
	if !w.open(port, "third").reaches(worker) || !s.reaches(worker) {
		t.Error("a session does not relay after the fault")
	}
}

// Conditions that others write on a route's parent, and times of transition, stay.
func TestConditionsOfOthersStay(t *testing.T) {
	w := newWorld(t)
	w.make("gateways", udpGateway)
	w.make("udproutes", udpRoute(`{name: nobody, port: 1}`))
	w.start("one")
	w.until("the route's condition", func() bool { return w.route(w.Namespace, "route", "ResolvedRefs") == "BackendNotFound" })
	before := get[gatewayv1.UDPRoute](w, "udproutes", "", w.Namespace, "route").Status.Parents[0]
	add := []byte(`[{"op": "add", "path": "/status/parents/0/conditions/0", "value": {"type": "example.com/Seen", "status": "True", "reason": "Seen", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}},
  {"op": "add", "path": "/status/parents/0", "value": {"parentRef": {"name": "gate"}, "controllerName": "example.com/others", "conditions": [
    {"type": "Accepted", "status": "False", "reason": "No", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}]`)
	_, err := w.dynamic.Resource(resourceOf("udproutes", "")).Namespace(w.Namespace).Patch(t.Context(), "route", types.JSONPatchType, add, metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
	w.backend(w.Namespace, "nobody")
	w.make("udproutes", udpRoute(`{name: nobody, port: 8443}`))
	w.until("the route's condition", func() bool { return w.route(w.Namespace, "route", "ResolvedRefs") == "ResolvedRefs" })
	route := get[gatewayv1.UDPRoute](w, "udproutes", "", w.Namespace, "route")
	parents := route.Status.Parents
	if len(parents) != 2 || parents[0].ControllerName != "example.com/others" || len(parents[1].Conditions) != 3 || parents[1].Conditions[0].Type != "example.com/Seen" {
		t.Fatalf("%+v", parents)
	}
	if got := shown(parents[1].Conditions, route.Generation); got != "Accepted=True Accepted, ResolvedRefs=True ResolvedRefs" {
		t.Error(got)
	}
	was, is := meta.FindStatusCondition(before.Conditions, "Accepted"), meta.FindStatusCondition(parents[1].Conditions, "Accepted")
	if !was.LastTransitionTime.Equal(&is.LastTransitionTime) {
		t.Errorf("Accepted since %s, not %s", is.LastTransitionTime, was.LastTransitionTime)
	}
}
