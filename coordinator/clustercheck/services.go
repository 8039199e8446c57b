package clustercheck

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

const pendingRemedy = "install a load balancer controller (a cloud has one; else MetalLB or its like), or kubectl apply -k deploy/kubernetes/overlays/node-port"

// service reads one; nil if there is none to look at.
func (r *run) service(ctx context.Context, finding, name string) *corev1.Service {
	s, err := ask(ctx, r, func(ctx context.Context) (*corev1.Service, error) {
		return r.Cluster.API.Services(r.namespace).Get(ctx, name, metav1.GetOptions{})
	})
	switch {
	case apierrors.IsNotFound(err):
		r.fail(finding, fmt.Sprintf("there is no Service %s in namespace %s", name, r.namespace), applyRemedy)
		return nil
	case err != nil:
		r.trouble(finding, "get services", err)
		return nil
	}
	return s
}

// page says where people open the page.
func (r *run) page(ctx context.Context) error {
	s := r.service(ctx, "page", r.Settings.CoordinatorService)
	if s == nil {
		return nil
	}
	at := slices.IndexFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == "http" })
	if at < 0 {
		r.fail("page", fmt.Sprintf("Service %s has no port named http, by which it is found", s.Name), applyRemedy)
		return nil
	}
	port := s.Spec.Ports[at]
	var urls []string
	for _, host := range balanced(s) {
		urls = append(urls, pageURL(host, port.Port))
	}
	if len(urls) > 0 {
		r.pass("page", "%s", strings.Join(urls, " "))
		return nil
	}
	if port.NodePort > 0 {
		for _, host := range r.nodes(ctx) {
			urls = append(urls, pageURL(host, port.NodePort))
		}
	}
	switch open := strings.Join(urls, " "); {
	case s.Spec.Type == corev1.ServiceTypeLoadBalancer && open != "":
		r.add(Finding{Name: "page", State: Failed, Found: open, Cause: pending(s) + "; until then the page is at a node port", Remedy: pendingRemedy})
	case s.Spec.Type == corev1.ServiceTypeLoadBalancer:
		r.fail("page", pending(s), pendingRemedy)
	case open != "":
		r.pass("page", "%s", open)
	case port.NodePort > 0:
		r.pass("page", "http://NODE:%d, at any node", port.NodePort)
	default:
		r.note("page", fmt.Sprintf("Service %s is of type %s: the page can be opened inside the cluster alone", s.Name, s.Spec.Type),
			fmt.Sprintf("lead an Ingress or a Gateway to it, or kubectl -n %s port-forward service/%s 8000:%d", r.namespace, s.Name, port.Port))
	}
	return nil
}

func pending(s *corev1.Service) string {
	return fmt.Sprintf("the load balancer of Service %s is pending: nothing in this cluster has given it an address yet", s.Name)
}

// balanced are the hosts by which a load balancer, or somebody by hand, has a
// Service be found.
func balanced(s *corev1.Service) []string {
	var hosts []string
	for _, in := range s.Status.LoadBalancer.Ingress {
		switch {
		case in.IP != "":
			hosts = append(hosts, short(in.IP))
		case in.Hostname != "":
			hosts = append(hosts, short(in.Hostname))
		}
	}
	return append(hosts, s.Spec.ExternalIPs...)
}

func pageURL(host string, port int32) string {
	if port == 80 {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return "http://" + host
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// nodes are at most three addresses of nodes, external ones if there are any.
func (r *run) nodes(ctx context.Context) []string {
	const few = 3
	list, err := ask(ctx, r, func(ctx context.Context) (*corev1.NodeList, error) {
		return r.Cluster.API.Nodes().List(ctx, metav1.ListOptions{Limit: limit})
	})
	if err != nil {
		return nil // who may not know nodes is told of any
	}
	byType := map[corev1.NodeAddressType][]string{}
	for _, n := range list.Items {
		for _, a := range n.Status.Addresses {
			byType[a.Type] = append(byType[a.Type], a.Address)
		}
	}
	hosts := byType[corev1.NodeExternalIP]
	if len(hosts) == 0 {
		hosts = byType[corev1.NodeInternalIP]
	}
	return hosts[:min(few, len(hosts))]
}

// relay says where pages are told that the gates are.
func (r *run) relay(ctx context.Context) error {
	if r.Settings.TurnService == "" {
		r.note("relay", "pages are told of no gates of the cluster (kubernetes.turnService is empty)", "")
		return nil
	}
	s, err := ask(ctx, r, func(ctx context.Context) (*corev1.Service, error) {
		return r.Cluster.API.Services(r.namespace).Get(ctx, r.Settings.TurnService, metav1.GetOptions{})
	})
	switch {
	case apierrors.IsNotFound(err):
		r.note("relay", fmt.Sprintf("there is no Service %s: pages are told of no gates, and browsers must reach workers themselves (overlay host-port)", r.Settings.TurnService),
			"where they cannot, "+applyRemedy)
		return nil
	case err != nil:
		r.trouble("relay", "get services", err)
		return nil
	}
	urls := r.relayURLs(ctx)
	switch told := strings.Join(signal.ShownURLs(urls), " "); {
	case s.Spec.Type == corev1.ServiceTypeLoadBalancer && len(balanced(s)) == 0:
		r.add(Finding{Name: "relay", State: Failed, Found: told, Cause: pending(s) + "; until then gates are told at node ports", Remedy: pendingRemedy})
	case told == "":
		r.fail("relay", fmt.Sprintf("Service %s (type %s) has no address that browsers could be told, or list and watch of pods and services are missing here", s.Name, s.Spec.Type),
			"make it a LoadBalancer, or apply the overlay node-port")
	default:
		r.pass("relay", "%s", told)
	}
	return nil
}

// relayURLs are those that a coordinator tells pages, found as it does.
func (r *run) relayURLs(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	var found []string
	discovery.NewTurn(discovery.TurnConfig{
		API: r.Cluster.API, Namespace: r.namespace, Service: r.Settings.TurnService,
		Pods: "app.kubernetes.io/component=" + turn,
	}).Watch(ctx, func(urls []string) {
		found = urls
		cancel()
	})
	return found
}

// slices says whether roles find one another.
func (r *run) slices(ctx context.Context) error {
	for _, one := range []struct{ service, port, who string }{
		{r.Settings.CoordinatorService, "http", "workers find no coordinator"},
		{r.Settings.WorkerService, "media", "gates relay to nobody"},
	} {
		r.endpoints(ctx, one.service, one.port, one.who)
	}
	return nil
}

func (r *run) endpoints(ctx context.Context, service, port, otherwise string) {
	name := "endpoints"
	list, err := ask(ctx, r, func(ctx context.Context) (*discoveryv1.EndpointSliceList, error) {
		return r.Cluster.API.EndpointSlices(r.namespace).List(ctx, metav1.ListOptions{
			LabelSelector: discoveryv1.LabelServiceName + "=" + service, Limit: limit,
		})
	})
	if err != nil {
		r.trouble(name, "list endpointslices", err)
		return
	}
	ready, named := 0, false
	for _, slice := range list.Items {
		if !slices.ContainsFunc(slice.Ports, func(p discoveryv1.EndpointPort) bool { return p.Name != nil && *p.Name == port }) {
			continue
		}
		named = true
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				ready++
			}
		}
	}
	switch {
	case len(list.Items) == 0:
		r.fail(name, fmt.Sprintf("Service %s has no EndpointSlice: %s", service, otherwise), "the Service is missing, or has no selector; "+applyRemedy)
	case ready == 0 && (named || empty(list.Items)):
		r.fail(name, fmt.Sprintf("Service %s has no ready endpoint: %s", service, otherwise), "no pod that it selects is ready; the Deployment above says why, or its labels are not those that the Service selects")
	case !named:
		r.fail(name, fmt.Sprintf("the endpoints of Service %s have no port named %s: %s", service, port, otherwise), "name the Service's port "+port+", as deploy/kubernetes does")
	default:
		r.pass(name, "%s: %d ready, port %s", service, ready, port)
	}
}

// empty says whether there is no endpoint at all; then there are no ports either.
func empty(list []discoveryv1.EndpointSlice) bool {
	return !slices.ContainsFunc(list, func(s discoveryv1.EndpointSlice) bool { return len(s.Endpoints) > 0 })
}
