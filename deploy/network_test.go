package deploy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// party is a pod, or with no namespace an address outside.
type party struct {
	namespace string
	labels    map[string]string
	addr      netip.Addr
}

// packet goes from one party to another's port.
type packet struct {
	from, to party
	protocol corev1.Protocol
	port     int32
}

// policies are those of a namespace, read as networking.k8s.io/v1 says. Whether a
// block of addresses means pods in it is left to networks: here it does.
type policies struct {
	t   *testing.T
	all []*networkingv1.NetworkPolicy
}

// pass says whether both ends let a packet through.
func (ps policies) pass(p packet) bool {
	isolated, out := false, false
	for _, policy := range ps.of(p.from, networkingv1.PolicyTypeEgress) {
		isolated = true
		for _, rule := range policy.Spec.Egress {
			out = out || ps.peers(rule.To, policy.Namespace, p.to) && ps.ports(rule.Ports, p)
		}
	}
	if isolated && !out {
		return false
	}
	isolated, in := false, false
	for _, policy := range ps.of(p.to, networkingv1.PolicyTypeIngress) {
		isolated = true
		for _, rule := range policy.Spec.Ingress {
			in = in || ps.peers(rule.From, policy.Namespace, p.from) && ps.ports(rule.Ports, p)
		}
	}
	return !isolated || in
}

// of are the policies that a party is under in one direction.
func (ps policies) of(who party, direction networkingv1.PolicyType) []*networkingv1.NetworkPolicy {
	return slices.DeleteFunc(slices.Clone(ps.all), func(p *networkingv1.NetworkPolicy) bool {
		return p.Namespace != who.namespace || !slices.Contains(p.Spec.PolicyTypes, direction) || !ps.selects(&p.Spec.PodSelector, who.labels)
	})
}

func (ps policies) selects(s *metav1.LabelSelector, set map[string]string) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		ps.t.Fatal(err)
	}
	return selector.Matches(labels.Set(set))
}

// peers says whether one of them is the other end. None are everybody.
func (ps policies) peers(peers []networkingv1.NetworkPolicyPeer, namespace string, who party) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		if peer.IPBlock != nil {
			in := func(cidr string) bool { return netip.MustParsePrefix(cidr).Contains(who.addr) }
			return in(peer.IPBlock.CIDR) && !slices.ContainsFunc(peer.IPBlock.Except, in)
		}
		if peer.NamespaceSelector != nil {
			if who.namespace == "" || !ps.selects(peer.NamespaceSelector, map[string]string{corev1.LabelMetadataName: who.namespace}) {
				return false
			}
		} else if who.namespace != namespace {
			return false
		}
		return peer.PodSelector == nil || ps.selects(peer.PodSelector, who.labels)
	})
}

// ports says whether one of them is the packet's. None are all.
func (policies) ports(ports []networkingv1.NetworkPolicyPort, p packet) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(port networkingv1.NetworkPolicyPort) bool {
		first, last := bounds(port)
		return *port.Protocol == p.protocol && first <= p.port && p.port <= last
	})
}

func bounds(port networkingv1.NetworkPolicyPort) (first, last int32) {
	if port.EndPort != nil {
		return port.Port.IntVal, *port.EndPort
	}
	return port.Port.IntVal, port.Port.IntVal
}

// Who there is. Pods of others may have any labels, ours too.
var (
	metadata = []string{
		"169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", // most clouds; containers and pods of AWS; Alibaba
		"fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe", // AWS, Google, OpenStack
	}
	outside = []string{"198.51.100.7", "2001:db8::7", "192.168.1.7", "10.96.0.1", "10.200.0.2", "fd00::1"} // browsers, nodes, the API server
	others  = []string{"stranger", "neighbour", "dns"}                                                     // pods in other namespaces
)

// parties are all of them by name.
func parties(t *testing.T, objects []*unstructured.Unstructured) map[string]party {
	all := map[string]party{
		"cache":     {addr: netip.MustParseAddr("169.254.20.10")},
		"stranger":  {"apps", map[string]string{"app": "shop"}, netip.MustParseAddr("10.244.0.2")},
		"dns":       {"kube-system", map[string]string{"k8s-app": "kube-dns"}, netip.MustParseAddr("10.244.0.3")},
		"neighbour": {"games", nil, netip.MustParseAddr("10.244.0.4")},
		"upload":    {"cloudretro", map[string]string{"app": "upload"}, netip.MustParseAddr("10.244.1.2")},
	}
	for name, d := range deployments(t, objects) {
		set := d.Spec.Template.Labels
		all[name] = party{d.Namespace, set, netip.MustParseAddr("10.244.1.3")}
		if name == "worker" {
			all["worker2"] = party{d.Namespace, set, netip.MustParseAddr("10.244.1.4")}
			all["neighbour"] = party{"games", set, all["neighbour"].addr}
		}
	}
	for _, addr := range slices.Concat(metadata, outside) {
		all[addr] = party{addr: netip.MustParseAddr(addr)}
	}
	return all
}

// flow is one that there is, in overlays of these kinds (see exposure).
type flow struct {
	from, to    []string
	protocol    corev1.Protocol
	first, last int32
	kinds       string
}

func exposure(overlay string) string {
	if overlay == "host-port" || overlay == "gateway" {
		return overlay
	}
	return "relay"
}

// flows are all that there are: what is not here must not pass.
func flows() []flow {
	const udp, tcp, relayed, all = corev1.ProtocolUDP, corev1.ProtocolTCP, "relay gateway", "relay gateway host-port"
	anybody := slices.Concat(outside, others, metadata, []string{"cache"})
	beyond := slices.Concat(outside, others)
	coordinator, gate, workers := []string{"coordinator"}, []string{"turn"}, []string{"worker", "worker2"}
	ours := slices.Concat(coordinator, gate, workers)
	return []flow{
		{anybody, coordinator, tcp, 8000, 8000, all},
		{anybody, gate, udp, 3478, 3478, "relay"},
		{anybody, gate, tcp, 3478, 3478, "relay"},
		{anybody, gate, udp, 20000, 20999, "gateway"},
		{anybody, gate, tcp, 20000, 20999, "gateway"},
		{gate, workers, udp, 8443, 8443, relayed},
		{workers, gate, udp, 1024, 65535, relayed},
		{anybody, workers, udp, 8443, 8443, "host-port"},
		{workers, workers, udp, 8443, 8443, "host-port"}, // as anybody's
		{workers, beyond, udp, 1024, 65535, "host-port"},
		{workers, coordinator, tcp, 8000, 8000, all},
		{ours, beyond, tcp, 443, 443, all},
		{ours, beyond, tcp, 6443, 6443, all},
		{ours, []string{"dns", "cache"}, udp, 53, 53, all},
		{ours, []string{"dns", "cache"}, tcp, 53, 53, all},
		{others, ours, tcp, 9090, 9090, all},
	}
}

// edges are the ports at which anything may change, and those beside them.
func edges(ps policies) []int32 {
	ports := []int32{1, 22, 80, 988, 2379, 5432, 9000, 10250, 65535}
	add := func(first, last int32) { ports = append(ports, first-1, first, last, min(last+1, 65535)) }
	for _, f := range flows() {
		add(f.first, f.last)
	}
	for _, p := range ps.all {
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				add(bounds(port))
			}
		}
		for _, rule := range p.Spec.Egress {
			for _, port := range rule.Ports {
				add(bounds(port))
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// Where a network honours policies all flows that are needed pass, and no others:
// no worker reaches another, nobody a cloud's metadata, no stranger what is inside.
func TestFlows(t *testing.T) {
	for overlay := range overlays() {
		t.Run("overlay "+overlay, func(t *testing.T) {
			objects := kustomized(t, overlay)
			ps := policies{t: t}
			for _, u := range objects {
				if u.GetKind() == "NetworkPolicy" {
					ps.all = append(ps.all, as[networkingv1.NetworkPolicy](t, u))
				}
			}
			all := parties(t, objects)
			ports := edges(ps)
			for from, a := range all {
				for to, b := range all {
					if from == to || a.namespace != "cloudretro" && b.namespace != "cloudretro" {
						continue
					}
					checkFlows(t, ps, exposure(overlay), from, to, a, b, ports)
				}
			}
		})
	}
}

// checkFlows compares what passes between two parties with what should.
func checkFlows(t *testing.T, ps policies, kind, from, to string, a, b party, ports []int32) {
	t.Helper()
	here := slices.DeleteFunc(flows(), func(f flow) bool {
		return !strings.Contains(f.kinds, kind) || !slices.Contains(f.from, from) || !slices.Contains(f.to, to)
	})
	for _, protocol := range []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP, corev1.ProtocolSCTP} {
		for _, port := range ports {
			want := slices.ContainsFunc(here, func(f flow) bool { return f.protocol == protocol && f.first <= port && port <= f.last })
			if got := ps.pass(packet{a, b, protocol, port}); got != want {
				t.Errorf("%s to %s at %d/%s: passes is %t, want %t", from, to, port, protocol, got, want)
			}
		}
	}
}

// The ports of policies are those that pods listen at.
func TestPortsOfFlows(t *testing.T) {
	objects := kustomized(t, "gateway")
	cfg := loads(t, as[corev1.ConfigMap](t, find(t, objects, "ConfigMap/cloudretro")).Data["config.yaml"], nil)
	listens := map[string]bool{}
	first := cfg.Kubernetes.Gateway.FirstPort
	listens[fmt.Sprintf("turn %d-%d", first, first+cfg.Kubernetes.Gateway.Ports-1)] = true
	for name, d := range deployments(t, objects) {
		for _, port := range d.Spec.Template.Spec.Containers[0].Ports {
			listens[fmt.Sprintf("%s %d-%d", name, port.ContainerPort, port.ContainerPort)] = true
		}
	}
	for _, f := range flows() {
		if len(f.to) > 2 || f.to[0] == "dns" || f.last == 65535 {
			continue // of others, or any
		}
		if at := fmt.Sprintf("%s %d-%d", f.to[0], f.first, f.last); !listens[at] {
			t.Errorf("nobody listens at %s", at)
		}
	}
}
