package gateway_test

import (
	"net/netip"
	"testing"
)

const udpGateway = `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: NS},
  spec: {gatewayClassName: NAME, listeners: [{name: one, port: 3478, protocol: UDP}]}}`

func udpRoute(backend string) string {
	return `{apiVersion: gateway.networking.k8s.io/v1, kind: UDPRoute, metadata: {name: route, namespace: NS},
  spec: {parentRefs: [{name: gate}], rules: [{backendRefs: [` + backend + `]}]}}`
}

// A Gateway, a route and a Service are served: to the backend and to nothing else.
func TestGatewayRelaysToItsBackend(t *testing.T) {
	w := newWorld(t)
	worker, stranger := echo(t), echo(t)
	w.backend(w.Namespace, "workers", worker)
	w.make("gateways", udpGateway)
	w.make("udproutes", udpRoute(`{name: workers, port: 8443}`))
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
