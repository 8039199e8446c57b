package gateway

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// listener is a listener of a Gateway.
type listener struct {
	spec     gatewayv1.Listener
	id       string
	protocol string // "" = one that is not served
	kinds    []gatewayv1.RouteGroupKind

	refused    problem // why it is not accepted
	conflict   problem
	unresolved problem

	certificates []tls.Certificate
	port         uint16 // of the pods, 0 = none
	recorded     bool   // the Service says so
	attached     int32  // routes

	reach backends     // of all routes
	seen  map[any]bool // those of reach
}

// accepted says whether it may be served.
func (l *listener) accepted() bool { return !l.refused.some() && !l.conflict.some() }

// protocolOf is how a listener's protocol is served. TURN is spoken on each; the
// names with TURN are STUNner's. Upstream knows no DTLS.
func protocolOf(p gatewayv1.ProtocolType) string {
	name := strings.TrimPrefix(strings.TrimPrefix(string(p), Group+"/"), "TURN-")
	switch name {
	case "UDP", "TCP", "TLS", "DTLS":
		return strings.ToLower(name)
	}
	return ""
}

// transportOf is what a Service calls it.
func transportOf(protocol string) corev1.Protocol {
	if protocol == TCP || protocol == TLS {
		return corev1.ProtocolTCP
	}
	return corev1.ProtocolUDP
}

// judgeListeners says what is wrong with the listeners of a Gateway, each by
// itself and beside the others.
func (t *translator) judgeListeners(d *door) {
	names := map[gatewayv1.SectionName]bool{}
	for _, spec := range d.gateway.Spec.Listeners {
		if names[spec.Name] || len(d.listeners) == maxListeners {
			continue // the schema allows neither
		}
		names[spec.Name] = true
		l := &listener{spec: spec, id: d.name.String() + "/" + string(spec.Name), protocol: protocolOf(spec.Protocol), seen: map[any]bool{}}
		l.judge()
		l.judgeKinds()
		if l.secure() && l.mode() == gatewayv1.TLSModeTerminate { // certificateRefs mean nothing in the other one
			t.judgeCertificates(d, l)
		}
		d.listeners = append(d.listeners, l)
	}
	for i, l := range d.listeners {
		for j, other := range d.listeners {
			if i != j && !l.conflict.some() {
				l.conflict = l.conflictWith(other)
			}
		}
	}
}

// judge looks at a listener alone.
func (l *listener) judge() {
	reason, message := gatewayv1.ListenerReasonUnsupportedValue, ""
	switch spec := l.spec; {
	case l.protocol == "":
		reason = gatewayv1.ListenerReasonUnsupportedProtocol
		message = fmt.Sprintf("protocol %s is not supported; use UDP, TCP, TLS, TURN-UDP, TURN-TCP, TURN-TLS, TURN-DTLS or %s/DTLS", spec.Protocol, Group)
	case spec.Port < 1 || spec.Port > 65535:
		reason, message = gatewayv1.ListenerReasonPortUnavailable, fmt.Sprintf("port %d is not one of 1 to 65535", spec.Port)
	case l.mode() != gatewayv1.TLSModeTerminate:
		message = fmt.Sprintf("TLS mode %s is not supported; TURN needs Terminate", l.mode())
	case spec.AllowedRoutes != nil && spec.AllowedRoutes.Namespaces != nil && or(spec.AllowedRoutes.Namespaces.From, "") == gatewayv1.NamespacesFromSelector:
		if _, err := metav1.LabelSelectorAsSelector(spec.AllowedRoutes.Namespaces.Selector); err != nil {
			message = fmt.Sprintf("the selector of allowedRoutes: %v", err)
		}
	}
	if message != "" {
		l.refused = problem{string(reason), message}
	}
}

// mode is what is done with TLS.
func (l *listener) mode() gatewayv1.TLSModeType {
	if l.spec.TLS == nil {
		return gatewayv1.TLSModeTerminate
	}
	return or(l.spec.TLS.Mode, gatewayv1.TLSModeTerminate)
}

// supportedKinds are the routes that a listener may have.
func supportedKinds() []gatewayv1.RouteGroupKind {
	upstream, own := gatewayv1.Group(gatewayv1.GroupName), gatewayv1.Group(Group)
	return []gatewayv1.RouteGroupKind{{Group: &upstream, Kind: "UDPRoute"}, {Group: &own, Kind: "UDPRoute"}}
}

// judgeKinds finds the kinds of routes that a listener takes.
func (l *listener) judgeKinds() {
	l.kinds = []gatewayv1.RouteGroupKind{}
	supported := supportedKinds()
	if l.protocol == "" {
		supported = nil
	}
	if l.spec.AllowedRoutes == nil || len(l.spec.AllowedRoutes.Kinds) == 0 {
		l.kinds = append(l.kinds, supported...)
		return
	}
	for _, asked := range l.spec.AllowedRoutes.Kinds {
		same := func(k gatewayv1.RouteGroupKind) bool {
			return k.Kind == asked.Kind && *k.Group == or(asked.Group, gatewayv1.GroupName)
		}
		i := slices.IndexFunc(supported, same)
		switch {
		case i < 0:
			l.unresolved = problem{
				string(gatewayv1.ListenerReasonInvalidRouteKinds),
				fmt.Sprintf("routes of kind %s in group %q are not supported by this listener", asked.Kind, or(asked.Group, gatewayv1.GroupName)),
			}
		case !slices.ContainsFunc(l.kinds, same):
			l.kinds = append(l.kinds, supported[i])
		}
	}
}

// conflictWith says whether traffic could not be told apart from another
// listener's. UDP and TCP are different transports and never conflict.
func (l *listener) conflictWith(other *listener) problem {
	if l.protocol == "" || other.protocol == "" || l.spec.Port != other.spec.Port || transportOf(l.protocol) != transportOf(other.protocol) {
		return problem{}
	}
	if l.protocol == TLS && other.protocol == TLS { // TURN has no names to tell apart
		return problem{
			string(gatewayv1.ListenerReasonHostnameConflict),
			fmt.Sprintf("listener %s has port %d too, and TURN over TLS is not told apart by names", other.spec.Name, l.spec.Port),
		}
	}
	return problem{
		string(gatewayv1.ListenerReasonProtocolConflict),
		fmt.Sprintf("listener %s has port %d of %s too", other.spec.Name, l.spec.Port, transportOf(l.protocol)),
	}
}

// judgeCertificates reads the certificates of a listener. It is served with
// those that can be read.
func (t *translator) judgeCertificates(d *door, l *listener) {
	var refs []gatewayv1.SecretObjectReference
	if l.spec.TLS != nil {
		refs = l.spec.TLS.CertificateRefs
	}
	unresolved := func(reason gatewayv1.ListenerConditionReason, format string, args ...any) {
		if !l.unresolved.some() {
			l.unresolved = problem{string(reason), fmt.Sprintf(format, args...)}
		}
	}
	if len(refs) == 0 {
		unresolved(gatewayv1.ListenerReasonInvalidCertificateRef, "tls.certificateRefs names no Secret")
	}
	for _, ref := range refs[:min(len(refs), maxListeners)] {
		name := types.NamespacedName{Namespace: string(or(ref.Namespace, gatewayv1.Namespace(d.name.Namespace))), Name: string(ref.Name)}
		if or(ref.Group, "") != "" || or(ref.Kind, "Secret") != "Secret" {
			unresolved(gatewayv1.ListenerReasonInvalidCertificateRef, "a certificate of kind %s in group %q is not supported; name a Secret", or(ref.Kind, "Secret"), or(ref.Group, ""))
			continue
		}
		if !t.permitted(reference{gatewayv1.GroupName, "Gateway", d.name.Namespace, corev1.GroupName, "Secret", name}) {
			unresolved(gatewayv1.ListenerReasonRefNotPermitted, "no ReferenceGrant in namespace %s permits Gateways of namespace %s to refer to Secret %s", name.Namespace, d.name.Namespace, name.Name)
			continue
		}
		secret, why := t.secret(name)
		if secret == nil {
			unresolved(gatewayv1.ListenerReasonInvalidCertificateRef, "%s", why)
			continue
		}
		pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
		if err != nil {
			unresolved(gatewayv1.ListenerReasonInvalidCertificateRef, "Secret %s has no certificate in tls.crt with its key in tls.key: %v", name, err)
			continue
		}
		l.certificates = append(l.certificates, pair)
	}
}
