package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// managedBy is what EndpointSlices of ours are labelled with.
const managedBy = "turn." + Group

// mirrors writes the EndpointSlices of Services in other namespaces than the
// gates', as a selector does not reach out of its own. They end with their
// Service, which owns them.
func (w *writer) mirrors(ctx context.Context, d *draft) (all error) {
	for _, want := range d.out.Services {
		service, ok := find(d.of.Services, types.NamespacedName{Namespace: want.Namespace, Name: want.Name}).(*corev1.Service)
		if !ok || len(want.Spec.Selector) > 0 {
			continue // the next draft is of the Service as it was made
		}
		for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
			all = errors.Join(all, w.mirror(ctx, d, mirrored(service, d.pods, family)))
		}
	}
	return all
}

// mirror writes one slice, where it differs.
func (w *writer) mirror(ctx context.Context, d *draft, want *discoveryv1.EndpointSlice) error {
	name := types.NamespacedName{Namespace: want.Namespace, Name: want.Name}
	client := w.api.EndpointSlices(want.Namespace)
	is, ok := find(d.of.Slices, name).(*discoveryv1.EndpointSlice)
	var err error
	switch {
	case !ok && len(want.Endpoints) == 0:
		return nil
	case !ok:
		_, err = client.Create(ctx, want, metav1.CreateOptions{})
	case is.Labels[discoveryv1.LabelManagedBy] != managedBy:
		return fmt.Errorf("endpoint slice %s is of %q; delete it, so that the Gateway's can be made", name, is.Labels[discoveryv1.LabelManagedBy])
	case equality.Semantic.DeepEqual(is.Endpoints, want.Endpoints) && equality.Semantic.DeepEqual(is.Ports, want.Ports) &&
		equality.Semantic.DeepEqual(is.OwnerReferences, want.OwnerReferences):
		return nil
	default:
		next := is.DeepCopy()
		next.Endpoints, next.Ports, next.OwnerReferences = want.Endpoints, want.Ports, want.OwnerReferences
		_, err = client.Update(ctx, next, metav1.UpdateOptions{})
	}
	if err = stale(err); err != nil {
		return fmt.Errorf("endpoint slice %s: %w", name, err)
	}
	return nil
}

// mirrored is the slice of a Service for the gates' pods of one address family.
func mirrored(service *corev1.Service, pods []*corev1.Pod, family discoveryv1.AddressType) *discoveryv1.EndpointSlice {
	yes := true
	suffix := map[discoveryv1.AddressType]string{discoveryv1.AddressTypeIPv4: "-ipv4", discoveryv1.AddressTypeIPv6: "-ipv6"}[family]
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: service.Namespace, Name: service.Name + suffix,
			Labels: map[string]string{discoveryv1.LabelServiceName: service.Name, discoveryv1.LabelManagedBy: managedBy},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Service", Name: service.Name, UID: service.UID, Controller: &yes,
			}},
		},
		AddressType: family,
	}
	for _, p := range service.Spec.Ports {
		target := cmp.Or(p.TargetPort.IntVal, p.Port)
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &p.Name, Protocol: &p.Protocol, Port: &target, AppProtocol: p.AppProtocol})
	}
	for _, pod := range pods {
		if address := podAddress(pod, family); address != "" {
			slice.Endpoints = append(slice.Endpoints, endpointOf(pod, address))
		}
	}
	slices.SortFunc(slice.Endpoints, func(a, b discoveryv1.Endpoint) int { return cmp.Compare(a.TargetRef.Name, b.TargetRef.Name) })
	return slice
}

// endpointOf is a pod as the cluster's own controller would list it
// (https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions).
func endpointOf(pod *corev1.Pod, address string) discoveryv1.Endpoint {
	serving, terminating := podReady(pod), pod.DeletionTimestamp != nil
	ready := serving && !terminating
	e := discoveryv1.Endpoint{
		Addresses:  []string{address},
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating},
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
	}
	if pod.Spec.NodeName != "" {
		e.NodeName = &pod.Spec.NodeName
	}
	return e
}

// podAddress is that of a pod that has not ended, "" if it has none.
func podAddress(pod *corev1.Pod, family discoveryv1.AddressType) string {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return ""
	}
	for _, ip := range pod.Status.PodIPs {
		if addr, err := netip.ParseAddr(ip.IP); err == nil && addr.Is6() == (family == discoveryv1.AddressTypeIPv6) {
			return ip.IP
		}
	}
	return ""
}

// podReady says whether a pod is ready, which one that is terminating may be.
func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
