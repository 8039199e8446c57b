package gateway

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func TestListenersAreBounded(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", oneUDP))
	g := r.Gateways[0]
	for i := range 200 {
		l := g.Spec.Listeners[0]
		l.Name, l.Port = gatewayv1.SectionName(fmt.Sprintf("l%d", i%150)), int32(4000+i)
		g.Spec.Listeners = append(g.Spec.Listeners, l)
	}
	out := settle(t, &r)
	if len(g.Status.Listeners) != maxListeners || len(out.Listeners) != maxListeners {
		t.Errorf("%d statuses, %d listeners", len(g.Status.Listeners), len(out.Listeners))
	}
	names := map[gatewayv1.SectionName]bool{}
	for _, l := range g.Status.Listeners {
		if names[l.Name] {
			t.Errorf("%s twice", l.Name)
		}
		names[l.Name] = true
	}
}

func TestAnnotationsAreBounded(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", oneUDP))
	g := r.Gateways[0]
	g.Annotations = map[string]string{}
	for i := range 100 {
		g.Annotations[fmt.Sprintf("example.com/%03d", i)] = "a"
	}
	settle(t, &r)
	if n := len(r.Services[0].Annotations); n != maxAnnotations+2 { // those of others, whose they are and what is ours
		t.Errorf("%d annotations", n)
	}
	g.Annotations = map[string]string{"example.com/a": strings.Repeat("a", 200<<10), "example.com/b": "b"}
	settle(t, &r)
	if a := r.Services[0].Annotations; len(a["example.com/a"]) > 128<<10 {
		t.Errorf("%d bytes", len(a["example.com/a"]))
	}
}

func TestAGatewayThatEndsHasNothing(t *testing.T) {
	r := snapshot(t, classOf(""), gatewayOf("", "", fromAll), team, routeOf(ofUpstream, toGateway, toService))
	settle(t, &r)
	now := metav1.NewTime(settings().Now)
	r.Gateways[0].DeletionTimestamp = &now
	out := Translate(r, settings())
	if len(out.Listeners)+len(out.Services)+len(out.Gateways) > 0 || len(out.Obsolete) != 1 || len(out.Routes) != 1 {
		t.Errorf("%+v", out)
	}
	for _, status := range out.Routes {
		if len(status.Parents) != 0 {
			t.Errorf("%+v", status)
		}
	}
}

func TestAGrantThatEndsPermitsNothing(t *testing.T) {
	r := snapshot(t, guide, workers)
	now := metav1.NewTime(settings().Now)
	r.Grants[0].DeletionTimestamp = &now
	settle(t, &r)
	expect(t, "route", r.OwnRoutes[0].Status.Parents[0].Conditions, "ResolvedRefs=False RefNotPermitted")
}

func TestPrivateAnnotations(t *testing.T) {
	for key, want := range map[string]bool{
		"service.beta.kubernetes.io/aws-load-balancer-type": false,
		"metallb.io/address-pool":                           false,
		"external-dns.alpha.kubernetes.io/hostname":         false,
		"cloudretro.dev/nodeport":                           true,
		"stunner.l7mp.io/nodeport":                          true,
		"kubectl.kubernetes.io/last-applied-configuration":  true,
		"argocd.argoproj.io/tracking-id":                    true,
		"kustomize.toolkit.fluxcd.io/prune":                 true,
		"meta.helm.sh/release-name":                         true,
		"plain":                                             true,
	} {
		if is := private(key); is != want {
			t.Errorf("%s: %v, want %v", key, is, want)
		}
	}
}

func TestProtocols(t *testing.T) {
	for name, want := range map[gatewayv1.ProtocolType]string{
		"UDP": UDP, "TCP": TCP, "TLS": TLS, "DTLS": DTLS, "TURN-UDP": UDP, "TURN-DTLS": DTLS,
		"cloudretro.dev/DTLS": DTLS, "cloudretro.dev/TURN-TLS": TLS,
		"HTTP": "", "HTTPS": "", "udp": "", "example.com/UDP": "", "TURN-": "", "": "",
	} {
		if is := protocolOf(name); is != want {
			t.Errorf("%q: %q, want %q", name, is, want)
		}
	}
	for protocol, want := range map[string]corev1.Protocol{UDP: "UDP", DTLS: "UDP", TCP: "TCP", TLS: "TCP"} {
		if is := transportOf(protocol); is != want {
			t.Errorf("%q: %q, want %q", protocol, is, want)
		}
	}
}

func TestPrefixes(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7/24": "192.0.2.0/24", "0.0.0.0/0": "0.0.0.0/0", "10.0.0.1": "10.0.0.1/32", "2001:db8::1/32": "2001:db8::/32",
		"::ffff:10.0.0.1": "10.0.0.1/32", "::ffff:10.0.0.0/104": "", "10.0.0.0/33": "", "fe80::1%eth0": "", "nonsense": "", "": "",
	} {
		prefix, err := parsePrefix(text)
		if want == "" && err == nil || want != "" && (err != nil || prefix != netip.MustParsePrefix(want)) {
			t.Errorf("%q: %v, %v", text, prefix, err)
		}
	}
}

func TestAddressesOfPods(t *testing.T) {
	for text, want := range map[string]bool{
		"10.244.0.5": true, "203.0.113.1": true, "fd00::1": true, "::ffff:10.0.0.1": true,
		"127.0.0.1": false, "::1": false, "169.254.169.254": false, "fe80::1": false, "0.0.0.0": false, "::": false,
		"224.0.0.1": false, "255.255.255.255": false, "10.0.0.1%a": false, "fd00::1%a": false, "::ffff:127.0.0.1": false, "": false,
	} {
		if _, is := hostAddr(text); is != want {
			t.Errorf("%q: %v, want %v", text, is, want)
		}
	}
}
