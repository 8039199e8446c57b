package main

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// outerIP is an address of this machine that another could reach.
func outerIP(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() {
			return p.Addr().String()
		}
	}
	t.Skip("SKIPPED: this machine has no address but loopback, which no EndpointSlice may name")
	return ""
}

// lists has an EndpointSlice say that a Service is at an address.
func lists(t *testing.T, c *cluster.Cluster, service, port string, protocol corev1.Protocol, at netip.AddrPort) {
	t.Helper()
	_, err := clustertest.Clientset(c).DiscoveryV1().EndpointSlices(c.Namespace).Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{GenerateName: service + "-", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &port, Protocol: &protocol, Port: new(int32(at.Port()))}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{at.Addr().String()}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitGauge waits until a metric has a value.
func awaitGauge(t *testing.T, h *house, name string, want float64) {
	t.Helper()
	for end := time.Now().Add(time.Minute); gathered(t, h.metrics)[name] != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s is %v, want %v", name, gathered(t, h.metrics)[name], want)
		}
	}
}

// inCluster are the settings of a process that knows a namespace, and nobody in it.
func inCluster(c *cluster.Cluster, more ...string) []string {
	return append([]string{
		"kubernetes.enabled=true", "kubernetes.secrets=false", "kubernetes.kubeconfig=" + os.Getenv(clustertest.Kubeconfig), "kubernetes.namespace=" + c.Namespace,
		"secrets.worker=0123456789abcdef0123", "library.basePath=", "webrtc.singlePort=0", "worker.server.address=127.0.0.1:0",
		"turn.listeners=[{protocol: udp, address: '127.0.0.1:0'}]",
	}, more...)
}

// Processes that know a namespace and nothing else find one another.
func TestRolesFindOneAnotherInACluster(t *testing.T) {
	if err := engineAvailable(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	c, ip, ops := clustertest.Connect(t), outerIP(t), map[string]string{"worker": freePort(t), "turn": freePort(t)}
	t.Setenv(clustertest.Allowed, "") // is put back at the end
	if err := os.Unsetenv(clustertest.Allowed); err != nil {
		t.Fatal(err) // processes would take it for a key
	}
	for role, address := range ops {
		args := []string{"--role=" + role}
		for _, set := range inCluster(c, "ops.address="+address) {
			args = append(args, "--set", set)
		}
		startProcess(t, args...)
	}
	t.Chdir(t.TempDir())
	door, end := runHouse(t, defaults(t, inCluster(c, "coordinator.server.address="+ip+":0", "ops.address=")...), roles{coordinator: true}, io.Discard)
	defer func() { _ = door.cluster.Close() }()
	defer end()

	lists(t, c, "coordinator", "http", corev1.ProtocolTCP, netip.MustParseAddrPort(door.local[len("http://"):]))
	awaitGames(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, door.page)
	awaitText(t, ops["worker"], "/metrics", "cloudretro_worker_coordinators 1")
	lists(t, c, "worker", "media", corev1.ProtocolUDP, netip.MustParseAddrPort("10.2.0.1:8443"))
	awaitText(t, ops["turn"], "/metrics", "cloudretro_turn_peers 1")
	if n := gathered(t, door.metrics)["cloudretro_coordinator_gates"]; n != 0 {
		t.Errorf("%v gates have joined, but in a cluster they need not", n)
	}
	if _, err := clustertest.Clientset(c).CoreV1().Services(c.Namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "turn"},
		Spec: corev1.ServiceSpec{
			Type:  corev1.ServiceTypeNodePort,
			Ports: []corev1.ServicePort{{Name: "turn-udp", Protocol: corev1.ProtocolUDP, Port: 3478}},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitGauge(t, door, "cloudretro_coordinator_relay_urls", 1)
}

// All roles in one process have one another, whatever the cluster has.
func TestAllRolesInACluster(t *testing.T) {
	if err := engineAvailable(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	c := clustertest.Connect(t)
	t.Chdir(t.TempDir())
	h, end := runHouse(t, defaults(t, inCluster(c, "coordinator.server.address=127.0.0.1:0", "ops.address=")...), everyRole(), io.Discard)
	defer func() { _ = h.cluster.Close() }()
	defer end()
	awaitGames(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, h.page)
	awaitGauge(t, h, "cloudretro_worker_coordinators", 1)
	awaitGauge(t, h, "cloudretro_coordinator_gates", 1)
	for _, c := range h.checks {
		if err := c.ready(); err != nil {
			t.Errorf("%s is not ready: %v", c.name, err)
		}
	}
}
