package coordinator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/coordinator/discovery"
)

// A cloud gives the gates an address, and then another one: pages that come are
// told of it, without a restart.
func TestAddressOfTheLoadBalancer(t *testing.T) {
	cluster := clustertest.Connect(t)
	services := clustertest.Clientset(cluster).CoreV1().Services(cluster.Namespace)
	made, err := services.Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "turn"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "turn"},
			Ports: []corev1.ServicePort{{Name: "turn-udp", Protocol: corev1.ProtocolUDP, Port: 3478}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d := start(t, func(c *Config) {
		c.Relays = discovery.NewTurn(discovery.TurnConfig{API: cluster.API, Namespace: cluster.Namespace, Service: "turn", Pods: "app=turn"})
	})
	await := func(want string) {
		t.Helper()
		began := time.Now()
		until(t, "a session with "+want, func() bool {
			p := d.page()
			defer p.close()
			return slices.Equal(told(t, p.hello.ICEServers, p.hello.Session), []string{want})
		})
		t.Logf("a new session is told of %s after %v", want, time.Since(began).Round(time.Millisecond))
	}
	await(fmt.Sprintf("turn:127.0.0.1:%d?transport=udp", made.Spec.Ports[0].NodePort))
	for ingress, want := range map[string]string{
		`{"ip": "192.0.2.1"}`: "192.0.2.1", `{"hostname": "lb.example.org"}`: "lb.example.org", `{"ip": "2001:db8::1"}`: "[2001:db8::1]",
	} {
		_, err := services.Patch(t.Context(), "turn", types.MergePatchType,
			fmt.Appendf(nil, `{"status": {"loadBalancer": {"ingress": [%s]}}}`, ingress), metav1.PatchOptions{}, "status")
		if err != nil {
			t.Fatal(err)
		}
		await("turn:" + want + ":3478?transport=udp")
	}
}
