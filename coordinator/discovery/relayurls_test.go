package discovery

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// gates is a Service as the base has it; node ports unless they are 0.
func gates(change func(*corev1.Service), nodePorts ...int32) *corev1.Service {
	s := &corev1.Service{Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app.kubernetes.io/component": "turn"},
		Ports: []corev1.ServicePort{
			{Name: "turn-udp", Protocol: corev1.ProtocolUDP, Port: 3478},
			{Name: "turn-tcp", Protocol: corev1.ProtocolTCP, Port: 3478},
		},
	}}
	for i, n := range nodePorts {
		s.Spec.Ports[i].NodePort = n
	}
	if change != nil {
		change(s)
	}
	return s
}

func balancer(ingress ...corev1.LoadBalancerIngress) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Status.LoadBalancer.Ingress = ingress }
}

func ip(text string) corev1.LoadBalancerIngress { return corev1.LoadBalancerIngress{IP: text} }

func name(text string) corev1.LoadBalancerIngress { return corev1.LoadBalancerIngress{Hostname: text} }

func TestRelayURLs(t *testing.T) {
	both := func(host string) []string {
		return []string{"turn:" + host + ":3478?transport=udp", "turn:" + host + ":3478?transport=tcp"}
	}
	bare := []string{"turn::30001?transport=udp", "turn::30002?transport=tcp"}
	node := []string{"turn:10.200.0.2:30001?transport=udp", "turn:10.200.0.2:30002?transport=tcp"}
	tests := map[string]struct {
		service *corev1.Service
		want    []string
		refused int
	}{
		"cluster IP":           {gates(nil), nil, 0},
		"IP":                   {gates(balancer(ip("192.0.2.1"))), both("192.0.2.1"), 0},
		"IP before node ports": {gates(balancer(ip("192.0.2.1")), 30001, 30002), both("192.0.2.1"), 0},
		"hostname":             {gates(balancer(name("lb.example.org"))), both("lb.example.org"), 0},
		"with its dot":         {gates(balancer(name("lb.example.org."))), both("lb.example.org"), 0},
		"both in one":          {gates(balancer(corev1.LoadBalancerIngress{IP: "192.0.2.1", Hostname: "lb.example.org"})), both("192.0.2.1"), 0},
		"IPv6":                 {gates(balancer(ip("2001:db8:0::1"))), both("[2001:db8::1]"), 0},
		"IPv6 as a name":       {gates(balancer(name("2001:db8::1"))), both("[2001:db8::1]"), 0},
		"mapped":               {gates(balancer(ip("::ffff:192.0.2.1"))), both("192.0.2.1"), 0},
		"several":              {gates(balancer(ip("192.0.2.1"), name("b"), ip("192.0.2.1"))), slices.Concat(both("192.0.2.1"), both("b")), 0},
		"malformed":            {gates(balancer(ip("x"), ip("0.0.0.0"), ip("::"), ip("224.0.0.1"), ip("fe80::1%eth0"), name("a b"), name("a/b"), name("0.0.0.0"), name("a:1"), ip(""))), nil, maxRefused},
		"one malformed":        {gates(balancer(name("a?transport=udp"), ip("192.0.2.1"))), both("192.0.2.1"), 1},
		"bad IP, good name":    {gates(balancer(corev1.LoadBalancerIngress{IP: "x", Hostname: "b"})), both("b"), 0},
		"malformed, node port": {gates(balancer(name("-")), 30001, 30002), slices.Concat(bare, node), 1},
		"error of a port": {gates(balancer(corev1.LoadBalancerIngress{IP: "192.0.2.1", Ports: []corev1.PortStatus{
			{Port: 3478, Protocol: corev1.ProtocolUDP}, {Port: 3478, Protocol: corev1.ProtocolTCP, Error: new("MixedProtocolNotSupported")},
		}})), both("192.0.2.1")[:1], 0},
		"external IPs":          {gates(func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"192.0.2.7", "x", "2001:db8::7"} }, 30001, 30002), slices.Concat(both("192.0.2.7"), both("[2001:db8::7]")), 0},
		"balancer before them":  {gates(func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"192.0.2.7"}; balancer(name("b"))(s) }), both("b"), 0},
		"node ports":            {gates(nil, 30001, 30002), slices.Concat(bare, node), 0},
		"one node port":         {gates(nil, 0, 30002), []string{bare[1], node[1]}, 0},
		"impossible node ports": {gates(nil, -1, 70000), nil, 0},
		"no ports":              {gates(func(s *corev1.Service) { s.Spec.Ports = nil; balancer(ip("192.0.2.1"))(s) }), nil, 0},
		"TLS and DTLS by name": {gates(func(s *corev1.Service) {
			s.Spec.Ports = []corev1.ServicePort{
				{Name: "turn-tls", Protocol: corev1.ProtocolTCP, Port: 5349}, {Name: "turn-dtls", Protocol: corev1.ProtocolUDP, Port: 5349},
			}
			balancer(name("b"))(s)
		}), []string{"turns:b:5349?transport=tcp", "turns:b:5349?transport=udp"}, 0},
		"TLS and DTLS by protocol": {gates(func(s *corev1.Service) {
			s.Spec.Ports[0].AppProtocol, s.Spec.Ports[1].AppProtocol = new("example.org/DTLS"), new("tls")
			balancer(name("b"))(s)
		}), []string{"turns:b:3478?transport=udp", "turns:b:3478?transport=tcp"}, 0},
		"other protocols": {gates(func(s *corev1.Service) {
			s.Spec.Ports[0].Protocol, s.Spec.Ports[1].Protocol = corev1.ProtocolSCTP, ""
			balancer(name("b"))(s)
		}), []string{"turn:b:3478?transport=tcp"}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			asked := false
			got, refused := relayURLs(test.service, func() []netip.Addr {
				asked = true
				return []netip.Addr{netip.MustParseAddr("10.200.0.2")}
			})
			if !slices.Equal(got, test.want) || len(refused) != test.refused {
				t.Errorf("%q and %q, want %q", got, refused, test.want)
			}
			if wants := len(got) > 0 && strings.HasPrefix(got[0], "turn::"); asked != wants && test.want != nil {
				t.Errorf("asked for nodes: %v", asked)
			}
		})
	}
}

func TestRelayURLsAreBounded(t *testing.T) {
	var many []corev1.LoadBalancerIngress
	for i := range 1000 {
		many = append(many, name(fmt.Sprintf("lb-%d", i)))
	}
	got, _ := relayURLs(gates(balancer(many...)), nil)
	if len(got) != signal.MaxURLs || got[0] != "turn:lb-0:3478?transport=udp" {
		t.Errorf("%d: %q", len(got), got)
	}
	_, refused := relayURLs(gates(balancer(name(strings.Repeat("x", 300)))), nil)
	if len(refused) != 1 || len(refused[0]) > signal.MaxText {
		t.Errorf("refused %q", refused)
	}
}

// on is a running pod of the gates.
func on(node string, ips ...string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app.kubernetes.io/component": "turn", "pod-template-hash": "x"}},
		Spec:       corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	for i, text := range ips {
		if i == 0 {
			p.Status.HostIP = text
		}
		p.Status.HostIPs = append(p.Status.HostIPs, corev1.HostIP{IP: text})
	}
	return p
}

func TestHosts(t *testing.T) {
	but := func(p *corev1.Pod, change func(*corev1.Pod)) *corev1.Pod { change(p); return p }
	tests := map[string]struct {
		service *corev1.Service
		pods    []*corev1.Pod
		want    string
	}{
		"nobody":     {gates(nil), nil, ""},
		"by name":    {gates(nil), []*corev1.Pod{on("n2", "10.0.0.2"), on("n1", "10.0.0.9"), on("n2", "10.0.0.2")}, "n1 [10.0.0.9]; n2 [10.0.0.2]"},
		"dual":       {gates(nil), []*corev1.Pod{on("n", "10.0.0.1", "2001:db8::1")}, "n [10.0.0.1 2001:db8::1]"},
		"IPv4 only":  {gates(func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol} }), []*corev1.Pod{on("n", "10.0.0.1", "2001:db8::1"), on("m", "2001:db8::2")}, "n [10.0.0.1]"},
		"IPv6 only":  {gates(func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} }), []*corev1.Pod{on("n", "10.0.0.1", "2001:db8::1")}, "n [2001:db8::1]"},
		"not enough": {gates(nil), []*corev1.Pod{on("n"), on("m", "x", "0.0.0.0", "ff02::1")}, ""},
		"not running, ending, not ours": {gates(nil), []*corev1.Pod{
			but(on("a", "10.0.0.1"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }),
			but(on("b", "10.0.0.2"), func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.Now()) }),
			but(on("c", "10.0.0.3"), func(p *corev1.Pod) { p.Labels = nil }),
			but(on("d", "10.0.0.4"), func(p *corev1.Pod) { p.Status.HostIPs = nil }),
		}, "d [10.0.0.4]"},
		"a Service without pods": {gates(func(s *corev1.Service) { s.Spec.Selector = nil }), []*corev1.Pod{on("n", "10.0.0.1")}, ""},
		"too many":               {gates(nil), []*corev1.Pod{on("4", "10.0.0.4"), on("3", "10.0.0.3"), on("2", "10.0.0.2"), on("1", "10.0.0.1")}, "1 [10.0.0.1]; 2 [10.0.0.2]; 3 [10.0.0.3]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, h := range hostsOf(test.service, test.pods) {
				got = append(got, fmt.Sprintf("%s %v", h.node, h.addrs))
			}
			if list := strings.Join(got, "; "); list != test.want {
				t.Errorf("%q, want %q", list, test.want)
			}
		})
	}
}

func TestExternalAddressesOfANode(t *testing.T) {
	node := &corev1.Node{}
	for _, a := range []string{"x", "0.0.0.0", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"} {
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: a})
	}
	node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "10.0.0.1"})
	if got := fmt.Sprint(externalOf(node)); got != "[192.0.2.1 2001:db8::1]" {
		t.Errorf("external addresses are %s", got)
	}
}

// Whatever a Service says, pages get URLs that browsers take.
func FuzzRelayURLs(f *testing.F) {
	f.Add("192.0.2.1", "lb.example.org", "192.0.2.7", "turn-udp", "UDP", int32(3478), int32(30000))
	f.Add("fe80::1%eth0", "a b?c", "x", "turn-tls", "TCP", int32(0), int32(70000))
	f.Add("", "2001:db8::1", "::ffff:1.2.3.4", "", "", int32(65535), int32(-1))
	f.Fuzz(func(t *testing.T, addr, host, external, port, protocol string, number, nodePort int32) {
		s := gates(func(s *corev1.Service) {
			s.Spec.ExternalIPs = []string{external}
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: port, Protocol: corev1.Protocol(protocol), Port: number, NodePort: nodePort, AppProtocol: &host})
			balancer(ip(addr), name(host), corev1.LoadBalancerIngress{IP: addr, Hostname: host, Ports: []corev1.PortStatus{{Port: number, Error: &port}}})(s)
		}, nodePort, nodePort)
		for _, forget := range []func(){
			func() {}, func() { s.Status.LoadBalancer.Ingress = nil }, func() { s.Spec.ExternalIPs = nil },
		} {
			forget()
			urls, _ := relayURLs(s, func() []netip.Addr {
				var all []netip.Addr
				for _, h := range hostsOf(s, []*corev1.Pod{on(port, addr, host, external)}) {
					all = append(all, h.addrs...)
				}
				return all
			})
			if len(urls) == 0 {
				continue
			}
			gate := signal.Gate{ID: "g", MAC: strings.Repeat("0", 64), URLs: urls}
			if err := gate.Validate(); err != nil {
				t.Fatalf("%q: %v", urls, err)
			}
		}
	})
}
