package gateway

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// finish says what comes of a Gateway: its Service, listeners for the pods, and
// status.
func (t *translator) finish(d *door) {
	accepted := t.acceptedGateway(d)
	if accepted.status == metav1.ConditionTrue && !d.foreign {
		t.out.Services = append(t.out.Services, t.makeService(d))
	}
	status := gatewayv1.GatewayStatus{Addresses: d.addresses, AttachedListenerSets: d.gateway.Status.AttachedListenerSets}
	programmed := 0
	for _, l := range d.listeners {
		verdict := t.programmedListener(d, l)
		if l.served(d) {
			t.out.Listeners = append(t.out.Listeners, t.publish(l, d))
		}
		if verdict.status == metav1.ConditionTrue {
			programmed++
		}
		status.Listeners = append(status.Listeners, gatewayv1.ListenerStatus{
			Name: l.spec.Name, SupportedKinds: l.kinds, AttachedRoutes: l.attached,
			Conditions: merge(d.known(l), d.gateway.Generation, t.Now,
				l.acceptedVerdict(), l.conflictVerdict(), l.resolvedVerdict(), verdict),
		})
	}
	status.Conditions = merge(d.gateway.Status.Conditions, d.gateway.Generation, t.Now, accepted, d.programmed(accepted, programmed))
	if !equality.Semantic.DeepEqual(status, d.gateway.Status) {
		t.out.Gateways[d.name] = status
	}
}

// known are the conditions that a listener has.
func (d *door) known(l *listener) []metav1.Condition {
	for _, s := range d.gateway.Status.Listeners {
		if s.Name == l.spec.Name {
			return s.Conditions
		}
	}
	return nil
}

// acceptedGateway is the Accepted condition of a Gateway. It is accepted with
// some of its listeners only, but not with none.
func (t *translator) acceptedGateway(d *door) verdict {
	const kind = gatewayv1.GatewayConditionAccepted
	if d.problem.some() {
		return bad(kind, d.problem.reason, d.problem.message)
	}
	var fine, wrong []string
	for _, l := range d.listeners {
		switch {
		case l.conflict.some():
			wrong = append(wrong, string(l.spec.Name)+" (conflicted)")
		case l.refused.some():
			wrong = append(wrong, string(l.spec.Name)+" (not accepted)")
		default:
			fine = append(fine, string(l.spec.Name))
		}
	}
	switch {
	case len(fine) == 0:
		return bad(kind, gatewayv1.GatewayReasonListenersNotValid, "no listener is valid: "+strings.Join(wrong, ", "))
	case len(wrong) > 0:
		return good(kind, gatewayv1.GatewayReasonListenersNotValid, fmt.Sprintf("listeners accepted: %s; not valid: %s", strings.Join(fine, ", "), strings.Join(wrong, ", ")))
	}
	return good(kind, gatewayv1.GatewayReasonAccepted, "all listeners are accepted")
}

// programmed is the Programmed condition of a Gateway, of which so many listeners
// are programmed.
func (d *door) programmed(accepted verdict, listeners int) verdict {
	const kind = gatewayv1.GatewayConditionProgrammed
	switch {
	case accepted.status != metav1.ConditionTrue && d.exhausted:
		return bad(kind, gatewayv1.GatewayReasonNoResources, "the pods have no port left; raise kubernetes.gateway.ports")
	case accepted.status != metav1.ConditionTrue:
		return bad(kind, gatewayv1.GatewayReasonInvalid, "the Gateway is not accepted: "+accepted.message)
	case d.invalid():
		return bad(kind, gatewayv1.GatewayReasonInvalid, "no listener can be served; their conditions say why")
	case d.foreign:
		return bad(kind, gatewayv1.GatewayReasonNoResources, fmt.Sprintf("Service %s exists and was not made for this Gateway; delete or rename it", d.serviceName))
	case d.refusal != "":
		return bad(kind, gatewayv1.GatewayReasonPending, fmt.Sprintf("Service %s cannot be written: %s", d.serviceName, d.refusal))
	case d.unusable != "":
		return bad(kind, gatewayv1.GatewayReasonAddressNotUsable, fmt.Sprintf("the requested address %q is no IP address", d.unusable))
	case d.service == nil:
		return bad(kind, gatewayv1.GatewayReasonPending, fmt.Sprintf("Service %s is not made yet", d.serviceName))
	case len(d.addresses) == 0:
		return bad(kind, gatewayv1.GatewayReasonAddressNotAssigned, fmt.Sprintf("Service %s of type %s has no address yet; %s", d.serviceName, d.service.Spec.Type, d.awaits()))
	case listeners == 0:
		return bad(kind, gatewayv1.GatewayReasonPending, "no listener is programmed; their conditions say why")
	}
	for _, ip := range d.requested {
		if !slices.ContainsFunc(d.addresses, func(a gatewayv1.GatewayStatusAddress) bool { return sameAddress(a.Value, ip) }) {
			return bad(kind, gatewayv1.GatewayReasonAddressNotUsable, fmt.Sprintf("the load balancer did not assign the requested address %s", ip))
		}
	}
	return good(kind, gatewayv1.GatewayReasonProgrammed, "the turn pods serve the Gateway at its addresses")
}

// awaits says where addresses come from.
func (d *door) awaits() string {
	switch d.service.Spec.Type {
	case corev1.ServiceTypeNodePort:
		return "they are those of the nodes that turn pods run on, of which none is known"
	case corev1.ServiceTypeLoadBalancer:
		return "without a load balancer, annotate the Gateway with " + Group + "/service-type: NodePort"
	}
	return "it is reached from within the cluster alone"
}

// invalid says whether no listener can be served as it is.
func (d *door) invalid() bool {
	return !slices.ContainsFunc(d.listeners, func(l *listener) bool { return l.valid() })
}

func sameAddress(s string, ip netip.Addr) bool {
	other, err := netip.ParseAddr(s)
	return err == nil && other == ip
}

func (l *listener) acceptedVerdict() verdict {
	const kind = gatewayv1.ListenerConditionAccepted
	switch {
	case l.conflict.some():
		return bad(kind, l.conflict.reason, l.conflict.message)
	case l.refused.some():
		return bad(kind, l.refused.reason, l.refused.message)
	}
	return good(kind, gatewayv1.ListenerReasonAccepted, "the listener is valid")
}

// conflictVerdict is of negative polarity: True is a conflict.
func (l *listener) conflictVerdict() verdict {
	const kind = gatewayv1.ListenerConditionConflicted
	if l.conflict.some() {
		return good(kind, l.conflict.reason, l.conflict.message)
	}
	return bad(kind, gatewayv1.ListenerReasonNoConflicts, "no other listener has the port")
}

func (l *listener) resolvedVerdict() verdict {
	const kind = gatewayv1.ListenerConditionResolvedRefs
	if l.unresolved.some() {
		return bad(kind, l.unresolved.reason, l.unresolved.message)
	}
	return good(kind, gatewayv1.ListenerReasonResolvedRefs, "all references are resolved")
}

// programmedListener is the Programmed condition of a listener.
func (t *translator) programmedListener(d *door, l *listener) verdict {
	const kind = gatewayv1.ListenerConditionProgrammed
	switch {
	case l.conflict.some():
		return bad(kind, l.conflict.reason, l.conflict.message)
	case d.problem.some():
		return bad(kind, gatewayv1.ListenerReasonInvalid, "the Gateway is not accepted: "+d.problem.message)
	case l.refused.some():
		return bad(kind, gatewayv1.ListenerReasonInvalid, l.refused.message)
	case l.secure() && len(l.certificates) == 0:
		return bad(kind, gatewayv1.ListenerReasonInvalid, "the listener has no certificate: "+l.unresolved.message)
	case d.foreign || !l.recorded:
		return bad(kind, gatewayv1.ListenerReasonPending, fmt.Sprintf("Service %s does not lead to the listener yet", d.serviceName))
	case t.Unserved[l.id] != "":
		return bad(kind, gatewayv1.ListenerReasonPending, "the turn pods cannot serve it: "+t.Unserved[l.id])
	case l.reach.left:
		return good(kind, gatewayv1.ListenerReasonProgrammed, fmt.Sprintf("the listener is served; of its backends only the first %d are reached", MaxEndpoints))
	}
	return good(kind, gatewayv1.ListenerReasonProgrammed, "the listener is served")
}

func (l *listener) secure() bool { return l.protocol == TLS || l.protocol == DTLS }

// served says whether pods are to serve a listener.
func (l *listener) served(d *door) bool {
	return !d.problem.some() && l.recorded && l.valid()
}

// valid says whether a listener can be served: one that is secure needs a
// certificate.
func (l *listener) valid() bool {
	return l.accepted() && (!l.secure() || len(l.certificates) > 0)
}

// publish is the listener as pods are to serve it.
func (t *translator) publish(l *listener, d *door) Listener {
	slices.SortFunc(l.reach.endpoints, netip.AddrPort.Compare)
	slices.SortFunc(l.reach.peers, func(a, b Peer) int {
		return cmp.Or(a.Prefix.Compare(b.Prefix), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	public := Listener{
		ID: l.id, Protocol: l.protocol, Port: l.port, Realm: d.parameters.realm,
		Secrets: slices.Clone(d.parameters.secrets), Users: slices.Clone(d.parameters.users),
		Certificates: l.certificates, Peers: l.reach.peers, Endpoints: l.reach.endpoints,
	}
	if len(d.addresses) > 0 {
		public.PublicAddress = d.addresses[0].Value
	}
	if slices.ContainsFunc(public.Peers, func(p Peer) bool { return !p.Prefix.IsSingleIP() }) {
		public.Closed = t.clusterIPs
	}
	return public
}
