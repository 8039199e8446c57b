package gateway

import (
	"fmt"
	"hash/fnv"

	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// allocate gives each listener a port of the pods. What a Service records stays,
// or sessions would be lost; then come those that are asked for, then any.
func (t *translator) allocate() {
	count := max(0, min(t.Ports, 65536-t.FirstPort))
	if t.FirstPort < 1 {
		count = 0
	}
	taken := map[int]bool{}
	inRange := func(port int) bool { return port >= t.FirstPort && port < t.FirstPort+count }
	t.eachListener(func(d *door, l *listener) {
		port := d.record(l)
		asked := int(d.targetPorts[string(l.spec.Name)])
		if inRange(port) && !taken[port] && (asked == 0 || asked == port) {
			taken[port], l.port, l.recorded = true, uint16(port), true
		}
	})
	t.eachListener(func(d *door, l *listener) {
		asked, wish := int(d.targetPorts[string(l.spec.Name)]), int(d.wishes[string(l.spec.Name)])
		switch {
		case l.port != 0 || !l.accepted() || d.problem.some():
		case asked != 0 && !inRange(asked):
			l.refused = problem{
				string(gatewayv1.ListenerReasonPortUnavailable),
				fmt.Sprintf("target port %d is not one of %d to %d, which pods listen at", asked, t.FirstPort, t.FirstPort+count-1),
			}
		case taken[asked]:
			l.refused = problem{string(gatewayv1.ListenerReasonPortUnavailable), fmt.Sprintf("target port %d is another listener's", asked)}
		case asked != 0:
			taken[asked], l.port = true, uint16(asked)
		case inRange(wish) && !taken[wish]:
			taken[wish], l.port = true, uint16(wish)
		}
	})
	left := t.recordedPorts()
	t.eachListener(func(d *door, l *listener) {
		if l.port != 0 || !l.accepted() || d.problem.some() {
			return
		}
		if len(taken) >= count {
			d.exhausted = true
			l.refused = problem{
				string(gatewayv1.ListenerReasonPortUnavailable),
				fmt.Sprintf("all %d ports of the pods are taken; raise kubernetes.gateway.ports", count),
			}
			return
		}
		port := t.free(start(l.id+" "+l.protocol, count), count, taken, left)
		taken[port], l.port = true, uint16(port)
	})
}

// recordedPorts are those of the pods that Services lead to until now.
func (t *translator) recordedPorts() map[int]bool {
	all := map[int]bool{}
	for _, d := range t.order {
		if d.service != nil {
			for _, port := range d.service.Spec.Ports {
				all[int(port.TargetPort.IntVal)] = true
			}
		}
	}
	return all
}

// free is a port that is not taken; there is one. A listener that is gone may
// still drain at its port, so the search does not begin with the lowest, and the
// ports that listeners have just left come last.
func (t *translator) free(first, count int, taken, left map[int]bool) int {
	found := 0
	for i := range count {
		port := t.FirstPort + (first+i)%count
		if !taken[port] && !left[port] {
			return port
		}
		if !taken[port] && found == 0 {
			found = port
		}
	}
	return found
}

// eachListener visits all of them, the older Gateway's first.
func (t *translator) eachListener(visit func(*door, *listener)) {
	for _, d := range t.order {
		for _, l := range d.listeners {
			visit(d, l)
		}
	}
}

// record is the port that the Service says, 0 if it says none. A listener of
// another protocol than before gets another port, as the old one may still drain.
func (d *door) record(l *listener) int {
	if d.service == nil || d.service.DeletionTimestamp != nil || l.protocol == "" {
		return 0
	}
	name := portName(string(l.spec.Name))
	for _, port := range d.service.Spec.Ports {
		if port.Name == name && port.TargetPort.Type == intstr.Int && port.Protocol == transportOf(l.protocol) && or(port.AppProtocol, "") == appProtocol(l) {
			return int(port.TargetPort.IntVal)
		}
	}
	return 0
}

// start is where the search for a listener's port begins.
func start(id string, count int) int {
	hash := fnv.New32a()
	hash.Write([]byte(id))
	return int(hash.Sum32() % uint32(count))
}
