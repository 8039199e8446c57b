package gateway

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// problem is why something is not as it was asked for, "" if it is.
type problem struct{ reason, message string }

func (p problem) some() bool { return p.reason != "" }

// door is a Gateway of ours.
type door struct {
	name       types.NamespacedName
	gateway    *gatewayv1.Gateway
	class      *class
	parameters parameters
	listeners  []*listener
	problem    problem // why it is not accepted, but for its listeners

	serviceName types.NamespacedName
	service     *corev1.Service // that was made for it, nil = none yet
	foreign     bool            // somebody else's Service has the name
	refusal     string          // why the API server does not take it
	exhausted   bool            // a listener found no port of the pods left
	settings    serviceSettings
	nodePorts   map[string]int32 // asked for, by listener
	targetPorts map[string]int32 // asked for, by listener
	wishes      map[string]int32 // the same, where another port does as well
	requested   []netip.Addr
	unusable    string // a requested address that is none
	addresses   []gatewayv1.GatewayStatusAddress
}

// openDoors finds the Gateways that are ours and judges them one by one.
func (t *translator) openDoors() {
	t.doors = map[types.NamespacedName]*door{}
	for _, g := range sorted(t.Resources.Gateways) {
		c := t.classes[string(g.Spec.GatewayClassName)]
		if c == nil || g.DeletionTimestamp != nil || t.doors[nameOf(g)] != nil {
			continue
		}
		d := &door{name: nameOf(g), gateway: g, class: c}
		t.doors[d.name] = d
		t.order = append(t.order, d)
		d.serviceName = types.NamespacedName{Namespace: g.Namespace, Name: serviceName(g.Name, c.name)}
		d.refusal = t.Refused[d.serviceName]
		if service := t.services[d.serviceName]; service != nil && t.madeFor(service, g.Name) {
			d.service = service
		} else {
			d.foreign = service != nil
		}
		d.problem = t.judge(d)
		t.judgeListeners(d)
		d.addresses = t.addresses(d)
	}
	slices.SortStableFunc(t.order, func(a, b *door) int {
		return cmp.Or(a.gateway.CreationTimestamp.Compare(b.gateway.CreationTimestamp.Time), compareNames(a.name, b.name))
	})
	claimed := map[types.NamespacedName]bool{}
	for _, d := range t.order { // a-b of class c and a of class b-c have the same name for it
		d.foreign = d.foreign || d.service == nil && claimed[d.serviceName]
		claimed[d.serviceName] = true
	}
}

// judge says what is wrong with a Gateway as a whole.
func (t *translator) judge(d *door) problem {
	if d.class.problem != "" {
		return problem{string(gatewayv1.GatewayReasonInvalidParameters), fmt.Sprintf("GatewayClass %s: %s", d.class.name, d.class.problem)}
	}
	var why string
	if d.parameters, why = t.gatewayParameters(d.gateway, d.class.parameters); why != "" {
		return problem{string(gatewayv1.GatewayReasonInvalidParameters), why}
	}
	if why := d.readAnnotations(); why != "" {
		return problem{string(gatewayv1.GatewayReasonInvalid), why}
	}
	for _, a := range d.gateway.Spec.Addresses {
		if kind := or(a.Type, gatewayv1.IPAddressType); kind != gatewayv1.IPAddressType {
			return problem{string(gatewayv1.GatewayReasonUnsupportedAddress), fmt.Sprintf("an address of type %s was asked for; only IPAddress is supported", kind)}
		}
		if a.Value == "" { // any that is assigned
			continue
		}
		if ip, err := netip.ParseAddr(a.Value); err == nil && ip.Zone() == "" {
			d.requested = append(d.requested, ip)
		} else {
			d.unusable = a.Value
		}
	}
	return problem{}
}

// annotation finds what a Gateway is annotated with, under our prefix or, with
// wish, STUNner's.
func (d *door) annotation(name string) (value string, wish bool) {
	if value, ok := d.gateway.Annotations[Group+"/"+name]; ok {
		return value, false
	}
	return d.gateway.Annotations[stunner+"/"+name], true
}

// readAnnotations reads what annotations say of the Service.
func (d *door) readAnnotations() (why string) {
	kind, _ := d.annotation("service-type")
	class, _ := d.annotation("load-balancer-class")
	policy, _ := d.annotation("external-traffic-policy")
	if d.settings, why = d.parameters.service.set(kind, class, policy); why != "" {
		return why
	}
	nodePorts, _ := d.annotation("nodeport")
	if d.nodePorts, why = portMap("nodeport", nodePorts); why != "" {
		return why
	}
	targets, wish := d.annotation("targetport")
	ports, why := portMap("targetport", targets)
	if wish { // STUNner's pods listen anywhere; what matters is that it works
		d.wishes = ports
	} else {
		d.targetPorts = ports
	}
	return why
}

// portMap reads ports by listener, like {"udp-listener": 30478}.
func portMap(annotation, value string) (ports map[string]int32, why string) {
	if value == "" {
		return nil, ""
	}
	const want = `annotation %s is no JSON object of ports by listener, like {"udp": 30478}`
	if len(value) > 16<<10 || json.Unmarshal([]byte(value), &ports) != nil {
		return nil, fmt.Sprintf(want, annotation)
	}
	for _, port := range ports {
		if port < 1 || port > 65535 {
			return nil, fmt.Sprintf(want, annotation)
		}
	}
	return ports, ""
}

// serviceSettings are what can be chosen of a Service.
type serviceSettings struct {
	kind        corev1.ServiceType // "" = LoadBalancer
	class       string
	policy      corev1.ServiceExternalTrafficPolicy
	annotations map[string]string
}

// set changes what is not "".
func (s serviceSettings) set(kind, class, policy string) (serviceSettings, string) {
	switch kind := corev1.ServiceType(kind); kind {
	case "":
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort, corev1.ServiceTypeClusterIP:
		s.kind = kind
	default:
		return s, fmt.Sprintf("the service type %q is not LoadBalancer, NodePort or ClusterIP", shorten(string(kind)))
	}
	switch strings.ToLower(policy) {
	case "":
	case "local":
		s.policy = corev1.ServiceExternalTrafficPolicyLocal
	case "cluster":
		s.policy = corev1.ServiceExternalTrafficPolicyCluster
	default:
		return s, fmt.Sprintf("the external traffic policy %q is not Local or Cluster", shorten(policy))
	}
	if class != "" {
		s.class = class
		if !qualified(class) {
			return s, fmt.Sprintf("the load balancer class %q is no label, like example.com/internal", shorten(class))
		}
	}
	return s, ""
}
