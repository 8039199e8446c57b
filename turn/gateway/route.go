package gateway

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// attach puts a route of a group to its Gateways of ours and says in its status
// how that went.
func (t *translator) attach(route *UDPRoute, group string, statuses map[types.NamespacedName]gatewayv1.UDPRouteStatus) {
	if route.DeletionTimestamp != nil {
		return
	}
	var mine []gatewayv1.RouteParentStatus
	var backends *backends
	taken := map[*listener]bool{}
	for _, ref := range route.Spec.ParentRefs[:min(len(route.Spec.ParentRefs), maxParents)] {
		d := t.parent(route, ref)
		if d == nil || slices.ContainsFunc(mine, func(p gatewayv1.RouteParentStatus) bool { return equality.Semantic.DeepEqual(p.ParentRef, ref) }) {
			continue
		}
		if backends == nil {
			backends = t.resolve(route, group)
		}
		listeners, why := t.accept(route, group, d, ref)
		accepted := good(gatewayv1.RouteConditionAccepted, gatewayv1.RouteReasonAccepted, "the route is attached")
		if why.some() {
			accepted = bad(gatewayv1.RouteConditionAccepted, why.reason, why.message)
		}
		resolved := good(gatewayv1.RouteConditionResolvedRefs, gatewayv1.RouteReasonResolvedRefs, "all backends are found")
		if backends.problem.some() {
			resolved = bad(gatewayv1.RouteConditionResolvedRefs, backends.problem.reason, backends.problem.message)
		}
		for _, l := range listeners {
			if !taken[l] {
				taken[l] = true
				l.attached++
				l.open(backends)
			}
		}
		mine = append(mine, gatewayv1.RouteParentStatus{
			ParentRef: ref, ControllerName: gatewayv1.GatewayController(t.ControllerName),
			Conditions: merge(t.known(route, ref), route.Generation, t.Now, accepted, resolved),
		})
	}
	parents := t.mergeParents(route.Status.Parents, mine)
	if !equality.Semantic.DeepEqual(parents, route.Status.Parents) {
		statuses[nameOf(route)] = gatewayv1.UDPRouteStatus{RouteStatus: gatewayv1.RouteStatus{Parents: parents}}
	}
}

// parent is the Gateway of ours that a route refers to, nil if it is none.
func (t *translator) parent(route *UDPRoute, ref gatewayv1.ParentReference) *door {
	if or(ref.Group, gatewayv1.GroupName) != gatewayv1.GroupName || or(ref.Kind, "Gateway") != "Gateway" {
		return nil
	}
	namespace := or(ref.Namespace, gatewayv1.Namespace(route.Namespace))
	return t.doors[types.NamespacedName{Namespace: string(namespace), Name: string(ref.Name)}]
}

// accept finds the listeners that take a route, or why none does.
func (t *translator) accept(route *UDPRoute, group string, d *door, ref gatewayv1.ParentReference) (taking []*listener, why problem) {
	if route.Malformed != "" {
		return nil, problem{string(gatewayv1.RouteReasonUnsupportedValue), route.Malformed}
	}
	matching := slices.DeleteFunc(slices.Clone(d.listeners), func(l *listener) bool {
		return or(ref.SectionName, "") != "" && *ref.SectionName != l.spec.Name || or(ref.Port, 0) != 0 && *ref.Port != l.spec.Port
	})
	if len(matching) == 0 {
		return nil, problem{
			string(gatewayv1.RouteReasonNoMatchingParent),
			fmt.Sprintf("Gateway %s has no listener of that sectionName and port", d.name),
		}
	}
	for _, l := range matching {
		if l.takes(group) && t.allows(d, l, route.Namespace) {
			taking = append(taking, l)
		}
	}
	if len(taking) == 0 {
		return nil, problem{
			string(gatewayv1.RouteReasonNotAllowedByListeners),
			fmt.Sprintf("no listener of Gateway %s that matches allows UDPRoutes of group %s from namespace %s", d.name, group, route.Namespace),
		}
	}
	return taking, problem{}
}

// takes says whether a listener takes UDPRoutes of a group.
func (l *listener) takes(group string) bool {
	return slices.ContainsFunc(l.kinds, func(k gatewayv1.RouteGroupKind) bool { return string(*k.Group) == group })
}

// allows says whether a listener takes routes of a namespace.
func (t *translator) allows(d *door, l *listener, namespace string) bool {
	from, selector := gatewayv1.NamespacesFromSame, (*metav1.LabelSelector)(nil)
	if allowed := l.spec.AllowedRoutes; allowed != nil && allowed.Namespaces != nil {
		from, selector = or(allowed.Namespaces.From, from), allowed.Namespaces.Selector
	}
	switch from {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSame:
		return namespace == d.name.Namespace
	case gatewayv1.NamespacesFromSelector:
		object := t.namespaces[namespace]
		if object == nil {
			return false
		}
		s, err := metav1.LabelSelectorAsSelector(selector) // nil selects nothing
		return err == nil && s.Matches(labels.Set(object.Labels))
	}
	return false
}

// known are the conditions that we have written for a parent before.
func (t *translator) known(route *UDPRoute, ref gatewayv1.ParentReference) []metav1.Condition {
	for _, p := range route.Status.Parents {
		if string(p.ControllerName) == t.ControllerName && equality.Semantic.DeepEqual(p.ParentRef, ref) {
			return p.Conditions
		}
	}
	return nil
}

// mergeParents puts our parents to their places among others', which stay, and
// leaves out those of ours that are no more.
func (t *translator) mergeParents(known, mine []gatewayv1.RouteParentStatus) []gatewayv1.RouteParentStatus {
	merged := make([]gatewayv1.RouteParentStatus, 0, len(known)+len(mine))
	placed := make([]bool, len(mine))
	for _, p := range known {
		if string(p.ControllerName) != t.ControllerName {
			merged = append(merged, p)
			continue
		}
		i := slices.IndexFunc(mine, func(m gatewayv1.RouteParentStatus) bool { return equality.Semantic.DeepEqual(m.ParentRef, p.ParentRef) })
		if i >= 0 && !placed[i] {
			placed[i] = true
			merged = append(merged, mine[i])
		}
	}
	for i, m := range mine {
		if !placed[i] && len(merged) < maxParents {
			merged = append(merged, m)
		}
	}
	return merged
}
