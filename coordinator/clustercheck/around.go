package clustercheck

import (
	"context"
	"fmt"
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Groups of the APIs that serve metrics to autoscalers.
const (
	resourceMetrics = "metrics.k8s.io"
	customMetrics   = "custom.metrics.k8s.io"
)

// autoscalers says whether they can work.
func (r *run) autoscalers(ctx context.Context) error {
	list, err := ask(ctx, r, func(ctx context.Context) (*autoscalingv2.HorizontalPodAutoscalerList, error) {
		return r.Cluster.API.HorizontalPodAutoscalers(r.namespace).List(ctx, metav1.ListOptions{Limit: limit})
	})
	if err != nil {
		r.trouble("autoscaling", "list horizontalpodautoscalers", err)
		return nil
	}
	for _, h := range list.Items {
		to := h.Spec.ScaleTargetRef
		if r.Settings.FreeSeats > 0 && to.Kind == "Deployment" && to.Name == r.Settings.Workers {
			r.fail("autoscaling", fmt.Sprintf("HorizontalPodAutoscaler %s scales the workers, so that coordinators do not, though kubernetes.scaler.freeSeats is %d", h.Name, r.Settings.FreeSeats),
				fmt.Sprintf("kubectl -n %s delete hpa %s, or set kubernetes.scaler.freeSeats to 0", r.namespace, h.Name))
		}
	}
	if len(list.Items) == 0 {
		return nil
	}
	groups, err := known[metav1.APIGroupList](ctx, r, "/apis")
	if err != nil {
		r.trouble("autoscaling", "get the API's groups", err)
		return nil
	}
	serves := func(group string) bool {
		return slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == group })
	}
	for _, one := range []struct {
		group, remedy string
		kind          autoscalingv2.MetricSourceType
	}{
		{resourceMetrics, "install metrics-server, or scale by hand", autoscalingv2.ResourceMetricSourceType},
		{customMetrics, "install an adapter of Prometheus (deploy/kubernetes.md), or set kubernetes.scaler.freeSeats and delete that autoscaler", autoscalingv2.PodsMetricSourceType},
	} {
		names := using(list.Items, one.kind)
		switch {
		case len(names) == 0:
		case serves(one.group):
			r.pass("autoscaling", "%s is served", one.group)
		default:
			r.note("autoscaling", fmt.Sprintf("nothing serves %s: the HorizontalPodAutoscalers %v are without effect", one.group, names), one.remedy)
		}
	}
	return nil
}

// using are the names of autoscalers that go by a kind of metric.
func using(list []autoscalingv2.HorizontalPodAutoscaler, kind autoscalingv2.MetricSourceType) []string {
	var names []string
	for _, h := range list {
		if slices.ContainsFunc(h.Spec.Metrics, func(m autoscalingv2.MetricSpec) bool { return m.Type == kind }) {
			names = append(names, h.Name)
		}
	}
	return names
}

// network says what is known of NetworkPolicies.
func (r *run) network(ctx context.Context) error {
	list, err := ask(ctx, r, func(ctx context.Context) (*networkingv1.NetworkPolicyList, error) {
		return r.Cluster.API.NetworkPolicies(r.namespace).List(ctx, metav1.ListOptions{Limit: limit})
	})
	switch {
	case err != nil:
		r.trouble("network", "list networkpolicies", err)
	case len(list.Items) == 0:
		r.note("network", "there are no NetworkPolicies: every pod may reach every other one, and the metadata of the cloud", applyRemedy)
	default:
		r.note("network", fmt.Sprintf("there are %d NetworkPolicies; whether the network of this cluster honours them, no API tells", len(list.Items)),
			"look at what its network plugin says (Calico, Cilium and their like do; flannel and plain CNI plugins do not)")
	}
	return nil
}
