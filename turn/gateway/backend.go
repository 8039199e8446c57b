package gateway

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// backends are what a route leads to.
type backends struct {
	peers     []Peer
	endpoints []netip.AddrPort
	left      bool    // some were too many
	problem   problem // the first one that cannot be resolved
}

// fail notes why a backend is left out.
func (b *backends) fail(reason gatewayv1.RouteConditionReason, format string, args ...any) {
	if !b.problem.some() {
		b.problem = problem{string(reason), fmt.Sprintf(format, args...)}
	}
}

// resolve finds the backends of a route. Its rules add up: a client of TURN says
// itself which of them it wants.
func (t *translator) resolve(route *UDPRoute, group string) *backends {
	b := &backends{}
	for _, rule := range route.Spec.Rules[:min(len(route.Spec.Rules), maxRules)] {
		for _, ref := range rule.BackendRefs[:min(len(rule.BackendRefs), maxBackends)] {
			t.resolveBackend(b, route, group, ref)
		}
	}
	return b
}

func (t *translator) resolveBackend(b *backends, route *UDPRoute, group string, ref BackendRef) {
	toGroup, kind := string(or(ref.Group, "")), string(or(ref.Kind, "Service"))
	if toGroup == stunner {
		toGroup = Group
	}
	if (toGroup != corev1.GroupName || kind != "Service") && (toGroup != Group || kind != "StaticService") {
		b.fail(gatewayv1.RouteReasonInvalidKind, "a backend of kind %s in group %q is not supported; name a Service, or a StaticService of group %s", kind, toGroup, Group)
		return
	}
	name := types.NamespacedName{Namespace: string(or(ref.Namespace, gatewayv1.Namespace(route.Namespace))), Name: string(ref.Name)}
	if !t.permitted(reference{group, "UDPRoute", route.Namespace, toGroup, kind, name}) {
		b.fail(gatewayv1.RouteReasonRefNotPermitted, "no ReferenceGrant in namespace %s permits UDPRoutes of group %s in namespace %s to refer to %s %s", name.Namespace, group, route.Namespace, kind, name.Name)
		return
	}
	first, last := or(ref.Port, 0), or(ref.EndPort, or(ref.Port, 0))
	if first < 0 || last > 65535 || last < first || first == 0 && last != 0 {
		b.fail(gatewayv1.RouteReasonUnsupportedValue, "%d to %d is no range of ports", first, last)
		return
	}
	found := &backends{}
	if kind == "StaticService" {
		t.resolveStatic(found, name, uint16(first), uint16(last))
	} else {
		t.resolveService(found, name, ref, group == gatewayv1.GroupName)
	}
	if found.problem.some() {
		b.fail(gatewayv1.RouteConditionReason(found.problem.reason), "%s", found.problem.message)
	}
	if or(ref.Weight, 1) > 0 { // 0 is no traffic at all
		b.peers = append(b.peers, found.peers...)
		b.endpoints = append(b.endpoints, found.endpoints...)
		b.bound()
	}
}

// bound leaves out what is too much.
func (b *backends) bound() {
	b.left = b.left || len(b.peers) > MaxPeers || len(b.endpoints) > MaxEndpoints
	b.peers, b.endpoints = b.peers[:min(len(b.peers), MaxPeers)], b.endpoints[:min(len(b.endpoints), MaxEndpoints)]
}

// resolveStatic opens the prefixes of a StaticService at its ports, or at those
// of the reference where it has none.
func (t *translator) resolveStatic(b *backends, name types.NamespacedName, first, last uint16) {
	static := t.statics[name]
	if static == nil {
		b.fail(gatewayv1.RouteReasonBackendNotFound, "StaticService %s does not exist", name)
		return
	}
	if static.Malformed != "" {
		b.fail(gatewayv1.RouteReasonUnsupportedValue, "StaticService %s: %s", name, static.Malformed)
		return
	}
	ports := []Peer{{From: first, To: last}}
	if len(static.Spec.Ports) > 0 {
		ports = nil
	}
	for _, p := range static.Spec.Ports[:min(len(static.Spec.Ports), maxBackends)] {
		end := p.EndPort
		if end == 0 {
			end = p.Port
		}
		if p.Port < 1 || end > 65535 || end < p.Port {
			b.fail(gatewayv1.RouteReasonUnsupportedValue, "StaticService %s: %d to %d is no range of ports", name, p.Port, end)
			return
		}
		ports = append(ports, Peer{From: uint16(p.Port), To: uint16(end)})
	}
	for _, s := range static.Spec.Prefixes {
		if len(b.peers) > MaxPeers {
			return
		}
		prefix, err := parsePrefix(s)
		if err != nil {
			b.fail(gatewayv1.RouteReasonUnsupportedValue, "StaticService %s: %v", name, err)
			continue
		}
		for _, p := range ports {
			b.peers = append(b.peers, Peer{Prefix: prefix, From: p.From, To: p.To})
		}
	}
}

// parsePrefix reads a prefix, or one address.
func parsePrefix(s string) (netip.Prefix, error) {
	if len(s) > 64 {
		return netip.Prefix{}, fmt.Errorf("%.64q... is no prefix, like 192.0.2.0/24", s)
	}
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(strings.TrimSpace(s))
	if err != nil || prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is no prefix, like 192.0.2.0/24", s)
	}
	return prefix.Masked(), nil
}

// resolveService finds the endpoints of a Service. An upstream route names one
// of its ports. One of ours may also name none, which is every port of the pods,
// a range of the pods' ports, or a port that only the pods have.
func (t *translator) resolveService(b *backends, name types.NamespacedName, ref BackendRef, upstream bool) {
	service := t.services[name]
	if service == nil {
		b.fail(gatewayv1.RouteReasonBackendNotFound, "Service %s does not exist", name)
		return
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		b.fail(gatewayv1.RouteReasonUnsupportedValue, "Service %s stands for a name outside of the cluster, which is not supported", name)
		return
	}
	port, end := or(ref.Port, 0), or(ref.EndPort, 0)
	if !upstream && (port == 0 || end != 0) {
		t.eachEndpoint(name, func(addr netip.Addr, _ *discoveryv1.EndpointSlice) {
			b.peers = append(b.peers, Peer{netip.PrefixFrom(addr, addr.BitLen()), uint16(port), uint16(end)})
		})
		return
	}
	other := false // the port is there, of another protocol
	for _, p := range service.Spec.Ports {
		if p.Port != port {
			continue
		}
		if p.Protocol == corev1.ProtocolUDP {
			t.openPort(b, name, p.Name)
			return
		}
		other = true
	}
	switch {
	case other:
		b.fail(gatewayv1.RouteReasonUnsupportedProtocol, "port %d of Service %s is not UDP", port, name)
	case upstream:
		b.fail(gatewayv1.RouteReasonBackendNotFound, "Service %s has no port %d; a UDPRoute of group %s may name any port of the pods, or none", name, port, Group)
	default:
		t.eachEndpoint(name, func(addr netip.Addr, _ *discoveryv1.EndpointSlice) {
			b.endpoints = append(b.endpoints, netip.AddrPortFrom(addr, uint16(port)))
		})
	}
}

// openPort opens what a named port of a Service is at each endpoint.
func (t *translator) openPort(b *backends, service types.NamespacedName, name string) {
	t.eachEndpoint(service, func(addr netip.Addr, slice *discoveryv1.EndpointSlice) {
		for _, p := range slice.Ports {
			if or(p.Name, "") != name || or(p.Protocol, corev1.ProtocolTCP) != corev1.ProtocolUDP {
				continue
			}
			if port := or(p.Port, 0); port >= 1 && port <= 65535 {
				b.endpoints = append(b.endpoints, netip.AddrPortFrom(addr, uint16(port)))
			}
		}
	})
}

// eachEndpoint visits the addresses of a Service that serve or will: a client whose
// peer is refused while that starts does not ask again. Of pods that are ending
// sessions go on until they do not serve any more.
func (t *translator) eachEndpoint(service types.NamespacedName, visit func(netip.Addr, *discoveryv1.EndpointSlice)) {
	left := MaxEndpoints + 1 // one too many is noticed
	for _, slice := range t.slices[service] {
		for _, e := range slice.Endpoints {
			if !or(e.Conditions.Serving, or(e.Conditions.Ready, true)) && or(e.Conditions.Terminating, true) {
				continue
			}
			for _, s := range e.Addresses[:min(len(e.Addresses), 1)] { // all of them are the same pod
				if addr, ok := hostAddr(s); ok && left > 0 && !t.ofService(addr) {
					left--
					visit(addr, slice)
				}
			}
		}
	}
}

// hostAddr reads the address of a pod. What no pod has, a slice that somebody
// wrote by hand is not to open.
func hostAddr(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(s)
	addr = addr.Unmap()
	return addr, err == nil && addr.Zone() == "" && !addr.IsUnspecified() && !addr.IsLoopback() && !addr.IsMulticast() &&
		!addr.IsLinkLocalUnicast() && addr != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// clusterIPs are the addresses that Services have in the cluster, sorted, each once.
func clusterIPs(services []*corev1.Service) []netip.Addr {
	var all []netip.Addr
	for _, s := range services {
		if s == nil {
			continue
		}
		for _, text := range append([]string{s.Spec.ClusterIP}, s.Spec.ClusterIPs...) {
			if ip, err := netip.ParseAddr(text); err == nil { // those without one have "None"
				all = append(all, ip.Unmap().WithZone(""))
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// ofService says whether an address is that of a Service, behind which there may
// be anything: no endpoint has one
// (https://kubernetes.io/docs/concepts/services-networking/service/#services-without-selectors).
func (t *translator) ofService(addr netip.Addr) bool {
	_, found := slices.BinarySearchFunc(t.clusterIPs, addr, netip.Addr.Compare)
	return found
}

// open lets a listener relay to the backends of a route.
func (l *listener) open(b *backends) {
	for _, p := range b.peers {
		if !l.seen[p] {
			l.seen[p] = true
			l.reach.peers = append(l.reach.peers, p)
		}
	}
	for _, e := range b.endpoints {
		if !l.seen[e] {
			l.seen[e] = true
			l.reach.endpoints = append(l.reach.endpoints, e)
		}
	}
	l.reach.left = l.reach.left || b.left
	l.reach.bound()
}
