package discovery_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/coordinator/discovery"
)

const patient = 60 * time.Second

// sets are what a Watch has said, as text.
type sets struct {
	t    *testing.T
	said chan string
	stop func() // ends the Watch and waits for it
}

// follow runs a Watch until the end of the test.
func follow[T any](t *testing.T, watch func(context.Context, func(T))) *sets {
	t.Helper()
	s := &sets{t: t, said: make(chan string, 1024)}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { watch(ctx, func(set T) { s.said <- strings.Trim(fmt.Sprint(set), "[]") }) })
	s.stop = func() { cancel(); group.Wait() }
	t.Cleanup(s.stop)
	return s
}

// next is the next set.
func (s *sets) next() string {
	s.t.Helper()
	select {
	case set := <-s.said:
		return set
	case <-time.After(patient):
		s.t.Fatal("nothing is said")
		return ""
	}
}

// until waits for a set; others may come before.
func (s *sets) until(want string) {
	s.t.Helper()
	var got []string
	for end := time.Now().Add(patient); time.Now().Before(end); {
		select {
		case set := <-s.said:
			if set == want {
				return
			}
			got = append(got, set)
		case <-time.After(time.Until(end)):
		}
	}
	s.t.Fatalf("said is %q, never %q", got, want)
}

// quiet: nothing was said.
func (s *sets) quiet() {
	s.t.Helper()
	select {
	case set := <-s.said:
		s.t.Errorf("said %q", set)
	default:
	}
}

func coordinators(t *testing.T, api *cluster.API, namespace string) *sets {
	t.Helper()
	c := discovery.NewCoordinators(discovery.SlicesConfig{API: api, Namespace: namespace, Service: "coordinator", Port: "http"})
	return follow(t, func(ctx context.Context, update func([]string)) {
		c.Watch(ctx, func(set []discovery.Endpoint) {
			urls := []string{}
			for _, e := range set {
				urls = append(urls, e.URL+e.Dial)
			}
			update(urls)
		})
	})
}

func workers(t *testing.T, api *cluster.API, namespace string) *sets {
	t.Helper()
	return follow[[]netip.AddrPort](t, discovery.NewWorkers(discovery.SlicesConfig{
		API: api, Namespace: namespace, Service: "worker", Port: "media",
	}).Watch)
}

// place is a namespace of a cluster, of which objects are made.
type place struct {
	*testing.T
	client    kubernetes.Interface // of all kinds
	api       *cluster.API
	namespace string
}

func placeOf(t *testing.T, c *cluster.Cluster) place {
	return place{t, clustertest.Clientset(c), c.API, c.Namespace}
}

func (p place) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// slice makes or replaces one of a Service, in which each address has its
// conditions before it: "RSt 10.0.0.1". Its ports are http and media.
func (p place) slice(name, service string, kind discoveryv1.AddressType, endpoints ...string) {
	p.Helper()
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: kind,
		Ports: []discoveryv1.EndpointPort{
			{Name: new("http"), Port: new(int32(8000)), Protocol: new(corev1.ProtocolTCP)},
			{Name: new("media"), Port: new(int32(8443)), Protocol: new(corev1.ProtocolUDP)},
			{Name: new("ops"), Port: new(int32(9090)), Protocol: new(corev1.ProtocolTCP)},
		},
	}
	for _, text := range endpoints {
		conditions, address, _ := strings.Cut(text, " ")
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{
			Ready: new(strings.Contains(conditions, "R")), Serving: new(strings.Contains(conditions, "S")), Terminating: new(strings.Contains(conditions, "T")),
		}})
	}
	api := p.client.DiscoveryV1().EndpointSlices(p.namespace)
	if _, err := api.Get(p.Context(), name, metav1.GetOptions{}); err == nil {
		_, err = api.Update(p.Context(), s, metav1.UpdateOptions{})
		p.must(err)
		return
	}
	_, err := api.Create(p.Context(), s, metav1.CreateOptions{})
	p.must(err)
}

func TestSlicesOfACluster(t *testing.T) {
	p := placeOf(t, clustertest.Connect(t))
	c, w := coordinators(t, p.api, p.namespace), workers(t, p.api, p.namespace)
	if got := c.next() + w.next(); got != "" {
		t.Errorf("found %q in an empty namespace", got)
	}
	const v4, v6 = discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6
	p.slice("c1", "coordinator", v4, "RS 10.1.0.2", " 10.1.0.1")
	c.until("ws://10.1.0.1:8000 ws://10.1.0.2:8000")
	p.slice("c2", "coordinator", v6, "ST 2001:db8::1")
	c.until("ws://10.1.0.1:8000 ws://10.1.0.2:8000 ws://[2001:db8::1]:8000")
	p.slice("w1", "worker", v4, "RS 10.2.0.1")
	w.until("10.2.0.1:8443")
	p.slice("w2", "worker", v4, "ST 10.2.0.3") // is about to end, and serves
	w.until("10.2.0.1:8443 10.2.0.3:8443")
	p.slice("w2", "worker", v4, "T 10.2.0.3")
	w.until("10.2.0.1:8443")
	p.slice("w1", "worker", v4, "RS 10.2.0.1", " 10.2.0.2") // starts
	w.until("10.2.0.1:8443 10.2.0.2:8443")
	p.must(p.client.DiscoveryV1().EndpointSlices(p.namespace).Delete(t.Context(), "w1", metav1.DeleteOptions{}))
	w.until("")
	p.must(p.client.DiscoveryV1().EndpointSlices(p.namespace).Delete(t.Context(), "c1", metav1.DeleteOptions{}))
	c.until("ws://[2001:db8::1]:8000")
	c.quiet()
	w.quiet()
}

// What is of another installation, or Service, is not there.
func TestNamespacesDoNotSeeEachOther(t *testing.T) {
	c := clustertest.Connect(t)
	one, two := placeOf(t, c), place{t, clustertest.Clientset(c), c.API, clustertest.Namespace(t, c)}
	const v4 = discoveryv1.AddressTypeIPv4
	one.slice("c", "coordinator", v4, "RS 10.1.0.1")
	one.slice("other", "worker", v4, "RS 10.1.0.9")
	two.slice("c", "coordinator", v4, "RS 10.2.0.1")
	first, second := coordinators(t, c.API, one.namespace), coordinators(t, c.API, two.namespace)
	if a, b := first.next(), second.next(); a != "ws://10.1.0.1:8000" || b != "ws://10.2.0.1:8000" {
		t.Errorf("found %q and %q", a, b)
	}
	two.slice("c", "coordinator", v4, "RS 10.2.0.2")
	second.until("ws://10.2.0.2:8000")
	one.slice("c", "coordinator", v4, "RS 10.1.0.2")
	if got := first.next(); got != "ws://10.1.0.2:8000" {
		t.Errorf("found %q", got)
	}
	first.stop()
	second.stop()
	first.quiet()
	second.quiet()
}

// gates makes the Service of gates.
func (p place) gates(kind corev1.ServiceType) *corev1.Service {
	p.Helper()
	s, err := p.client.CoreV1().Services(p.namespace).Create(p.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "turn"},
		Spec: corev1.ServiceSpec{Type: kind, Selector: map[string]string{"app": "turn"}, Ports: []corev1.ServicePort{
			{Name: "turn-udp", Protocol: corev1.ProtocolUDP, Port: 3478}, {Name: "turn-tcp", Protocol: corev1.ProtocolTCP, Port: 3478},
		}},
	}, metav1.CreateOptions{})
	p.must(err)
	return s
}

// balance plays the cloud: it writes the status of the load balancer, in JSON.
func (p place) balance(ingress string) {
	p.Helper()
	_, err := p.client.CoreV1().Services(p.namespace).Patch(p.Context(), "turn", types.MergePatchType,
		fmt.Appendf(nil, `{"status": {"loadBalancer": {"ingress": %s}}}`, ingress), metav1.PatchOptions{}, "status")
	p.must(err)
}

// pod makes one of a gate that nobody runs, at a node that is not there.
func (p place) pod(name, hostIP string) {
	p.Helper()
	api := p.client.CoreV1().Pods(p.namespace)
	_, err := api.Create(p.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "turn"}},
		Spec: corev1.PodSpec{
			NodeName: "nowhere-" + name, TerminationGracePeriodSeconds: new(int64(0)), Containers: []corev1.Container{{Name: "turn", Image: "none"}},
		},
	}, metav1.CreateOptions{})
	p.must(err)
	_, err = api.Patch(p.Context(), name, types.MergePatchType,
		fmt.Appendf(nil, `{"status": {"phase": "Running", "hostIP": %q, "hostIPs": [{"ip": %q}]}}`, hostIP, hostIP), metav1.PatchOptions{}, "status")
	p.must(err)
}

// at are the URLs of the base's ports at a host.
func at(host string, udp, tcp int32) string {
	return fmt.Sprintf("turn:%s:%d?transport=udp turn:%s:%d?transport=tcp", host, udp, host, tcp)
}

func relays(t *testing.T, api *cluster.API, namespace string, log *slog.Logger) *sets {
	t.Helper()
	return follow[[]string](t, discovery.NewTurn(discovery.TurnConfig{
		API: api, Namespace: namespace, Service: "turn", Pods: "app", Logger: log,
	}).Watch)
}

func TestGatesOfACluster(t *testing.T) {
	p := placeOf(t, clustertest.Connect(t))
	r := relays(t, p.api, p.namespace, nil)
	if got := r.next(); got != "" {
		t.Errorf("found %q in an empty namespace", got)
	}
	service := p.gates(corev1.ServiceTypeLoadBalancer)
	udp, tcp := service.Spec.Ports[0].NodePort, service.Spec.Ports[1].NodePort
	r.until(at("", udp, tcp))
	p.pod("a", "10.200.0.3")
	r.until(at("", udp, tcp) + " " + at("10.200.0.3", udp, tcp))
	p.balance(`[{"ip": "192.0.2.1"}]`)
	r.until(at("192.0.2.1", 3478, 3478))
	p.balance(`[{"hostname": "lb.example.org"}, {"ip": "2001:db8::1"}]`)
	r.until(at("lb.example.org", 3478, 3478) + " " + at("[2001:db8::1]", 3478, 3478))
	p.balance(`[{"ip": "192.0.2.2", "ports": [{"port": 3478, "protocol": "TCP", "error": "MixedProtocol"}, {"port": 3478, "protocol": "UDP"}]}]`)
	r.until("turn:192.0.2.2:3478?transport=udp")
	p.pod("b", "10.200.0.2") // no matter while there is a load balancer
	p.balance(`[]`)
	r.until(at("", udp, tcp) + " " + at("10.200.0.3", udp, tcp) + " " + at("10.200.0.2", udp, tcp))
	p.must(p.client.CoreV1().Pods(p.namespace).Delete(t.Context(), "a", metav1.DeleteOptions{}))
	p.must(p.client.CoreV1().Pods(p.namespace).Delete(t.Context(), "b", metav1.DeleteOptions{}))
	r.until(at("", udp, tcp))
	p.must(p.client.CoreV1().Services(p.namespace).Delete(t.Context(), "turn", metav1.DeleteOptions{}))
	r.until("")
	p.gates(corev1.ServiceTypeClusterIP)
	r.stop()
	r.quiet()
}

// as is a client of the service account "default", which has these rights.
func (p place) as(c *cluster.Cluster, rules ...rbacv1.PolicyRule) *cluster.API {
	p.Helper()
	_, err := clustertest.Clientset(c).RbacV1().Roles(p.namespace).Create(p.Context(),
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "test"}, Rules: rules}, metav1.CreateOptions{})
	p.must(err)
	_, err = clustertest.Clientset(c).RbacV1().RoleBindings(p.namespace).Create(p.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "test"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "test"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "default", Namespace: p.namespace}},
	}, metav1.CreateOptions{})
	p.must(err)
	cfg := rest.CopyConfig(c.REST)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + p.namespace + ":default"}
	return clientOf(p.T, cfg)
}

// clientOf is a client that is closed after the test.
func clientOf(t *testing.T, cfg *rest.Config) *cluster.API {
	t.Helper()
	http, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { utilnet.CloseIdleConnectionsFor(http.Transport) })
	client, err := cluster.NewAPI(cfg, http)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// The rights of the base are enough: in its own namespace, and to the Service by
// name alone. What is not granted is said, and costs nothing else.
func TestSmallestRights(t *testing.T) {
	c := clustertest.Connect(t)
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"services"}, ResourceNames: []string{"turn"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"list", "watch"}},
	}
	p := placeOf(t, c)
	service := p.gates(corev1.ServiceTypeNodePort)
	udp, tcp := service.Spec.Ports[0].NodePort, service.Spec.Ports[1].NodePort
	p.slice("c", "coordinator", discoveryv1.AddressTypeIPv4, "RS 10.1.0.1")
	p.pod("a", "10.200.0.2")
	client, log := p.as(c, rules...), &clustertest.Log{}
	r := relays(t, client, p.namespace, log.Logger())
	if got := r.next(); got != at("", udp, tcp) {
		t.Errorf("found %q", got)
	}
	if got := coordinators(t, client, p.namespace).next(); got != "ws://10.1.0.1:8000" {
		t.Errorf("found %q", got)
	}
	until(t, "word of what is missing", func() bool { return log.Count("cannot be followed") > 0 })
	r.stop()
	r.quiet()

	rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list", "watch"}})
	p.must(clustertest.Clientset(c).RbacV1().Roles(p.namespace).Delete(t.Context(), "test", metav1.DeleteOptions{}))
	p.must(clustertest.Clientset(c).RbacV1().RoleBindings(p.namespace).Delete(t.Context(), "test", metav1.DeleteOptions{}))
	log = &clustertest.Log{}
	r = relays(t, p.as(c, rules...), p.namespace, log.Logger())
	r.until(at("", udp, tcp) + " " + at("10.200.0.2", udp, tcp))
	p.pod("b", "10.200.0.3")
	r.until(at("", udp, tcp) + " " + at("10.200.0.2", udp, tcp) + " " + at("10.200.0.3", udp, tcp))
	if n := log.Count("Nodes may not be read"); n != 1 {
		t.Errorf("said %d times that nodes may not be read", n)
	}
}

// A Watch that is told to end before it has heard of anything ends.
func TestWatchEndsWithoutAServer(t *testing.T) {
	client := clientOf(t, &rest.Config{Host: "http://127.0.0.1:1"})
	log := &clustertest.Log{}
	r := relays(t, client, "arcade", log.Logger())
	until(t, "the trouble to be said", func() bool { return log.Count("cannot be followed") > 0 })
	c, w := coordinators(t, client, "arcade"), workers(t, client, "arcade")
	for _, s := range []*sets{r, c, w} {
		s.stop()
		s.quiet()
	}
	if n := log.Count("cannot be followed"); n != 1 { // of the Service and of the pods
		t.Errorf("said %d times", n)
	}
	if names := fmt.Sprint(discovery.NewWorkers(discovery.SlicesConfig{Namespace: "a", Service: "w"}), discovery.NewCoordinators(discovery.SlicesConfig{Namespace: "a", Service: "c"})); !slices.Equal(strings.Fields(names), []string{"Service", "a/w", "Service", "a/c"}) {
		t.Errorf("they are called %q", names)
	}
}
