package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// services makes the Services of Gateways and deletes those that are of none any
// more.
func (w *writer) services(ctx context.Context, d *draft) (all error) {
	refused := map[types.NamespacedName]string{}
	for _, want := range d.out.Services {
		name := types.NamespacedName{Namespace: want.Namespace, Name: want.Name}
		var err error
		is, ok := find(d.of.Services, name).(*corev1.Service)
		switch {
		case !ok:
			_, err = w.api.Services(want.Namespace).Create(ctx, want, metav1.CreateOptions{})
		case is.DeletionTimestamp != nil: // a balancer is being given back; the next draft makes it again
			continue
		case replaced(is, want):
			all = errors.Join(all, w.deleteService(ctx, is, "another class of load balancer"))
			continue
		default:
			next := become(is, want)
			if equality.Semantic.DeepEqual(is, next) {
				continue
			}
			_, err = w.api.Services(want.Namespace).Update(ctx, next, metav1.UpdateOptions{})
		}
		if err = stale(err); err != nil {
			if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) { // not that it could not be reached
				refused[name] = err.Error()
			}
			all = errors.Join(all, fmt.Errorf("service %s: %w", name, err))
			continue
		}
		w.log.Info("service of a Gateway written", "service", name.String(), "type", want.Spec.Type)
	}
	if !maps.Equal(refused, w.refusals()) {
		w.refused.Store(&refused)
		w.note()
	}
	for _, name := range d.out.Obsolete {
		if is, ok := find(d.of.Services, name).(*corev1.Service); ok {
			all = errors.Join(all, w.deleteService(ctx, is, "no Gateway"))
		}
	}
	return all
}

// deleteService deletes what was seen, and nothing else that has its name since.
func (w *writer) deleteService(ctx context.Context, is *corev1.Service, cause string) error {
	name := types.NamespacedName{Namespace: is.Namespace, Name: is.Name}
	err := w.api.Services(is.Namespace).Delete(ctx, is.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(is.UID))})
	if err = stale(err); err != nil {
		return fmt.Errorf("delete service %s: %w", name, err)
	}
	w.log.Info("service of a Gateway deleted", "service", name.String(), "cause", cause)
	return nil
}

// replaced says whether a Service has to be made again: the class of its load
// balancer cannot change. One that the cloud chose is no reason.
func replaced(is, want *corev1.Service) bool {
	both := is.Spec.Type == corev1.ServiceTypeLoadBalancer && want.Spec.Type == corev1.ServiceTypeLoadBalancer
	return both && is.Annotations[givenClass] != want.Annotations[givenClass] && or(is.Spec.LoadBalancerClass, "") != or(want.Spec.LoadBalancerClass, "")
}

// become is a Service as it is, changed to what it should be. What the API server
// and the cloud filled in stays, and so do labels and annotations of others.
func become(is, want *corev1.Service) *corev1.Service {
	next := is.DeepCopy()
	next.Labels = overlay(next.Labels, want.Labels, is.Annotations[givenLabels])
	next.Annotations = overlay(next.Annotations, want.Annotations, is.Annotations[givenAnnotations], givenLabels, givenAnnotations, givenClass)
	if len(want.OwnerReferences) > 0 {
		next.OwnerReferences = want.OwnerReferences
	}
	to, from := &next.Spec, want.Spec
	to.Type, to.Selector = from.Type, from.Selector
	if from.Type != is.Spec.Type {
		to.LoadBalancerClass, to.ExternalTrafficPolicy, to.AllocateLoadBalancerNodePorts = from.LoadBalancerClass, from.ExternalTrafficPolicy, nil
	}
	if from.ExternalTrafficPolicy != "" {
		to.ExternalTrafficPolicy = from.ExternalTrafficPolicy
	}
	if from.LoadBalancerClass != nil {
		to.LoadBalancerClass = from.LoadBalancerClass
	}
	to.LoadBalancerIP = from.LoadBalancerIP
	to.Ports = nil
	for _, port := range from.Ports {
		to.Ports = append(to.Ports, keep(is.Spec.Ports, port, from.Type != corev1.ServiceTypeClusterIP))
	}
	return next
}

// keep is a port with the node port that it has been allocated.
func keep(known []corev1.ServicePort, port corev1.ServicePort, nodePorts bool) corev1.ServicePort {
	for _, k := range known {
		if k.Name == port.Name && k.Protocol == port.Protocol && port.NodePort == 0 && nodePorts {
			port.NodePort = k.NodePort
		}
	}
	return port
}

// overlay is a map without keys that were given before, listed in each text, and
// with the entries of another.
func overlay(is, want map[string]string, given ...string) map[string]string {
	next := maps.Clone(is)
	for _, keys := range given {
		for key := range strings.FieldsSeq(keys) {
			delete(next, key)
		}
	}
	if next == nil {
		next = map[string]string{}
	}
	maps.Copy(next, want)
	return next
}
