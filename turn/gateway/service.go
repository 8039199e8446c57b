package gateway

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Marks of a Service that was made for a Gateway. One without them is somebody
// else's and never touched.
const (
	ManagedByLabel       = "app.kubernetes.io/managed-by"
	ManagedBy            = "cloudretro"
	ControllerAnnotation = Group + "/controller"
)

// Notes on such a Service: the keys of labels and annotations that were asked for,
// so that they go when they are asked for no more, and the load balancer's class.
const (
	givenLabels      = Group + "/given-labels"
	givenAnnotations = Group + "/given-annotations"
	givenClass       = Group + "/given-load-balancer-class"
)

// madeFor says whether a Service was made by this controller for a Gateway.
func (t *translator) madeFor(s *corev1.Service, gateway string) bool {
	return t.ours(s) && s.Labels[gatewayv1.GatewayNameLabelKey] == labelValue(gateway)
}

func (t *translator) ours(s *corev1.Service) bool {
	return s.Labels[ManagedByLabel] == ManagedBy && s.Annotations[ControllerAnnotation] == t.ControllerName
}

// findObsolete lists Services of ours whose Gateways are gone or not ours any
// more. That of a Gateway which is only wrong at the moment, or whose class is
// missing, stays and with it the address.
func (t *translator) findObsolete() {
	kept, classes := map[types.NamespacedName]bool{}, map[string]bool{}
	for _, c := range sorted(t.Resources.Classes) {
		classes[c.Name] = true
	}
	for _, g := range sorted(t.Resources.Gateways) {
		name := string(g.Spec.GatewayClassName)
		if g.DeletionTimestamp == nil && (t.classes[name] != nil || !classes[name]) {
			kept[types.NamespacedName{Namespace: g.Namespace, Name: serviceName(g.Name, name)}] = true
		}
		if g.DeletionTimestamp == nil && !classes[name] {
			t.orphan(g)
		}
	}
	for _, service := range sorted(t.Resources.Services) {
		if t.ours(service) && !kept[nameOf(service)] && service.DeletionTimestamp == nil {
			t.out.Obsolete = append(t.out.Obsolete, nameOf(service))
		}
	}
}

// orphan says of a Gateway whose class has gone that nobody serves it, if we did:
// then its Service is ours.
func (t *translator) orphan(g *gatewayv1.Gateway) {
	class := string(g.Spec.GatewayClassName)
	service := t.services[types.NamespacedName{Namespace: g.Namespace, Name: serviceName(g.Name, class)}]
	if service == nil || !t.madeFor(service, g.Name) {
		return
	}
	unknown := func(kind gatewayv1.GatewayConditionType) verdict {
		return verdict{string(kind), metav1.ConditionUnknown, string(gatewayv1.GatewayReasonPending), "GatewayClass " + class + " does not exist"}
	}
	status := gatewayv1.GatewayStatus{
		AttachedListenerSets: g.Status.AttachedListenerSets,
		Conditions: merge(g.Status.Conditions, g.Generation, t.Now,
			unknown(gatewayv1.GatewayConditionAccepted), unknown(gatewayv1.GatewayConditionProgrammed)),
	}
	if !equality.Semantic.DeepEqual(status, g.Status) {
		t.out.Gateways[nameOf(g)] = status
	}
}

// makeService is the Service of a Gateway as it is to be. Fields that it leaves
// empty are the cluster's to fill.
func (t *translator) makeService(d *door) *corev1.Service {
	g, yes := d.gateway, true
	labels, annotations := serviceLabels(d), serviceAnnotations(d)
	note(annotations, givenAnnotations, annotations)
	note(annotations, givenLabels, labels)
	t.mark(d, labels, annotations)
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: d.serviceName.Name, Namespace: d.serviceName.Namespace,
			Labels: labels, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: gatewayv1.GroupVersion.String(), Kind: "Gateway", Name: g.Name, UID: g.UID, Controller: &yes,
			}},
		},
		Spec: corev1.ServiceSpec{Type: d.kind()},
	}
	if t.Namespace == g.Namespace {
		s.Spec.Selector = maps.Clone(t.PodSelector)
	}
	if d.kind() != corev1.ServiceTypeClusterIP {
		s.Spec.ExternalTrafficPolicy = cmp.Or(d.settings.policy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if d.kind() == corev1.ServiceTypeLoadBalancer {
		if d.settings.class != "" {
			s.Spec.LoadBalancerClass = &d.settings.class
			s.Annotations[givenClass] = d.settings.class
		}
		if len(d.requested) > 0 {
			s.Spec.LoadBalancerIP = d.requested[0].String()
		}
	}
	for _, l := range d.listeners {
		if l.port != 0 && l.accepted() {
			s.Spec.Ports = append(s.Spec.Ports, d.servicePort(l))
		}
	}
	return s
}

// kind is the type of the Service.
func (d *door) kind() corev1.ServiceType {
	if d.settings.kind == "" {
		return corev1.ServiceTypeLoadBalancer
	}
	return d.settings.kind
}

// servicePort leads to the pods' port of a listener. The node port is the one
// that is asked for, else the one that it has.
func (d *door) servicePort(l *listener) corev1.ServicePort {
	p := corev1.ServicePort{
		Name: portName(string(l.spec.Name)), Protocol: transportOf(l.protocol),
		Port: l.spec.Port, TargetPort: intstr.FromInt32(int32(l.port)),
	}
	if protocol := appProtocol(l); protocol != "" {
		p.AppProtocol = &protocol
	}
	if d.kind() == corev1.ServiceTypeClusterIP {
		return p
	}
	p.NodePort = d.nodePorts[string(l.spec.Name)]
	if p.NodePort == 0 && d.service != nil {
		for _, known := range d.service.Spec.Ports {
			if known.Name == p.Name && known.Protocol == p.Protocol {
				p.NodePort = known.NodePort
			}
		}
	}
	return p
}

// appProtocol tells pages what a port speaks, whatever the listener's name is; ""
// is plain TURN.
func appProtocol(l *listener) string {
	if l.secure() {
		return Group + "/" + l.protocol
	}
	return ""
}

// note writes down the keys of a map.
func note(annotations map[string]string, name string, given map[string]string) {
	if len(given) > 0 {
		annotations[name] = strings.Join(slices.Sorted(maps.Keys(given)), " ")
	}
}

// mark makes the metadata of a Service that of the Gateway's, by GEP-1762.
func (t *translator) mark(d *door, labels, annotations map[string]string) {
	labels[gatewayv1.GatewayNameLabelKey] = labelValue(d.gateway.Name)
	labels[gatewayv1.GatewayClassNameLabelKey] = labelValue(d.class.name)
	labels[ManagedByLabel] = ManagedBy
	annotations[ControllerAnnotation] = t.ControllerName
}

// serviceLabels are what spec.infrastructure asks for.
func serviceLabels(d *door) map[string]string {
	labels := map[string]string{}
	if infra := d.gateway.Spec.Infrastructure; infra != nil {
		for key, value := range infra.Labels {
			if qualified(string(key)) && len(validation.IsValidLabelValue(string(value))) == 0 {
				labels[string(key)] = string(value)
			}
		}
	}
	return labels
}

// serviceAnnotations are those of the GatewayConfig, of the Gateway, as STUNner
// has it, and of spec.infrastructure; what comes later goes before.
func serviceAnnotations(d *door) map[string]string {
	annotations := map[string]string{}
	size := 0
	add := func(key, value string) {
		size += len(key) + len(value)
		if qualified(key) && !strings.HasPrefix(key, Group+"/") && len(annotations) < maxAnnotations && size < 128<<10 { // an object may have 256 KiB of them
			annotations[key] = value
		}
	}
	for _, key := range slices.Sorted(maps.Keys(d.settings.annotations)) {
		add(key, d.settings.annotations[key])
	}
	for _, key := range slices.Sorted(maps.Keys(d.gateway.Annotations)) {
		if !private(key) {
			add(key, d.gateway.Annotations[key])
		}
	}
	if infra := d.gateway.Spec.Infrastructure; infra != nil {
		for _, key := range slices.Sorted(maps.Keys(infra.Annotations)) {
			add(string(key), string(infra.Annotations[key]))
		}
	}
	return annotations
}

// private says whether an annotation is about the Gateway itself: settings for
// us, and notes of tools that would take the Service for one of their objects.
func private(key string) bool {
	prefix, _, found := strings.Cut(key, "/")
	if !found {
		return true
	}
	for _, domain := range []string{Group, stunner, gatewayv1.GroupName, "kubectl.kubernetes.io", "argoproj.io", "fluxcd.io", "helm.sh", "kustomize.config.k8s.io", "config.kubernetes.io", "app.kubernetes.io"} {
		if prefix == domain || strings.HasSuffix(prefix, "."+domain) {
			return true
		}
	}
	return false
}

// addresses are how clients reach the Service of a Gateway.
func (t *translator) addresses(d *door) []gatewayv1.GatewayStatusAddress {
	if d.service == nil {
		return nil
	}
	var found []gatewayv1.GatewayStatusAddress
	add := func(value string) {
		kind := gatewayv1.IPAddressType
		if ip, err := netip.ParseAddr(value); err != nil || ip.Zone() != "" {
			kind = gatewayv1.HostnameAddressType
			if len(validation.IsDNS1123Subdomain(value)) > 0 {
				return
			}
		}
		same := func(a gatewayv1.GatewayStatusAddress) bool { return a.Value == value }
		if len(found) < maxAddresses && !slices.ContainsFunc(found, same) {
			found = append(found, gatewayv1.GatewayStatusAddress{Type: &kind, Value: value})
		}
	}
	switch d.service.Spec.Type {
	case corev1.ServiceTypeLoadBalancer:
		for _, ingress := range d.service.Status.LoadBalancer.Ingress {
			add(ingress.IP)
			add(ingress.Hostname)
		}
	case corev1.ServiceTypeNodePort:
		for _, address := range t.NodeAddresses {
			add(address)
		}
	default:
		for _, address := range d.service.Spec.ClusterIPs {
			if address != corev1.ClusterIPNone {
				add(address)
			}
		}
	}
	return found
}

// serviceName is that of GEP-1762, <gateway>-<class>, where a Service may have
// it; a name that is too long or has dots ends with a hash.
func serviceName(gateway, class string) string {
	name := gateway + "-" + class
	if len(validation.IsDNS1035Label(name)) == 0 {
		return name
	}
	clean := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name), "-")
	return "gw-" + strings.Trim(clean[:min(len(clean), 50)], "-") + "-" + digest(gateway+"/"+class)
}

// portName is what a listener is called in a Service.
func portName(listener string) string {
	if len(validation.IsDNS1123Label(listener)) == 0 {
		return listener
	}
	return "l-" + digest(listener)
}

// labelValue is a name as a label may have it.
func labelValue(name string) string {
	if len(validation.IsValidLabelValue(name)) == 0 {
		return name
	}
	return "h-" + digest(name)
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}

func qualified(key string) bool { return len(validation.IsQualifiedName(key)) == 0 }
