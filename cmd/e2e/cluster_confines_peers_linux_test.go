package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// widePeers have gates relay to all private networks, and to one port of one Service.
const widePeers = `patches:
- target: {kind: Deployment, name: turn}
  patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: turn}
    spec: {template: {spec: {containers: [{name: turn, env: [{name: CLOUDRETRO_TURN_PEERS, value: "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,@one@:443"}]}]}}}
`

// mayKnow gives gates the right to know the network of Services, under a name that is
// the namespace's.
const mayKnow = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "@name@"}
rules: [{apiGroups: [networking.k8s.io], resources: [servicecidrs], verbs: [list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "@name@"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "@name@"}
subjects: [{kind: ServiceAccount, name: turn, namespace: "@name@"}]
`

// TestClusterPeers lists private networks as peers by mistake: gates relay to no
// Service, but for one that is listed by itself, whether they may know the network
// of Services or not.
func TestClusterPeers(t *testing.T) {
	i := prepare(t, "node-port", "")
	services := i.clusterIPs(t)
	api := services["default/kubernetes"]
	i.change(t, strings.ReplaceAll(widePeers, "@one@", api.String()))
	i.apply(t)
	i.rolledOut(t, coldStart)
	scan := func(t *testing.T) {
		r := allocate(t, i.gate(t), i.credential(t))
		if r.refused != 0 {
			t.Fatalf("no relay with a good credential: code %d", r.refused)
		}
		for name, ip := range i.clusterIPs(t) {
			for _, port := range []uint16{53, 443, 3478, 8000, 9090} {
				want := 403
				if ip == api && port == 443 {
					want = 0
				}
				if code := r.bind(netip.AddrPortFrom(ip, port)); code != want {
					t.Errorf("port %d of Service %s at %s: code %d, want %d", port, name, ip, code, want)
				}
			}
		}
		for _, p := range i.pods(t, "coordinator") { // which such prefixes are for
			if code := r.bind(netip.AddrPortFrom(netip.MustParseAddr(p.Status.PodIP), 8000)); code != 0 {
				t.Errorf("pod %s: code %d", p.Name, code)
			}
		}
	}
	t.Run("without the right", func(t *testing.T) {
		i.gatesLog(t, "are not known exactly")
		scan(t)
	})
	t.Run("with the right", func(t *testing.T) {
		list, err := clustertest.Clientset(i.Cluster).NetworkingV1().ServiceCIDRs().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Skipf("SKIPPED: needs a cluster with ServiceCIDRs (Kubernetes 1.33): %v", err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if out, err := kubectlCommand(ctx, "delete", "--ignore-not-found", "clusterrole/"+i.Namespace, "clusterrolebinding/"+i.Namespace).CombinedOutput(); err != nil {
				t.Errorf("delete the right: %v\n%s", err, out)
			}
		})
		apply := kubectlCommand(t.Context(), "apply", "-f", "-")
		apply.Stdin = strings.NewReader(strings.ReplaceAll(mayKnow, "@name@", i.Namespace))
		if out, err := apply.CombinedOutput(); err != nil {
			t.Fatalf("give the right: %v\n%s", err, out)
		}
		i.gatesLog(t, list.Items[0].Spec.CIDRs[0])
		scan(t)
	})
}

// clusterIPs are the IPv4 addresses of all Services.
func (i *installation) clusterIPs(t *testing.T) map[string]netip.Addr {
	t.Helper()
	list, err := clustertest.Clientset(i.Cluster).CoreV1().Services("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]netip.Addr{}
	for _, s := range list.Items {
		if ip, err := netip.ParseAddr(s.Spec.ClusterIP); err == nil && ip.Is4() {
			found[s.Namespace+"/"+s.Name] = ip
		}
	}
	return found
}

// gatesLog waits until each gate has logged a text.
func (i *installation) gatesLog(t *testing.T, text string) {
	t.Helper()
	within(t, 2*time.Minute, "gates that log "+text, func(ctx context.Context) error {
		for _, p := range i.pods(t, "turn") {
			log, err := clustertest.Clientset(i.Cluster).CoreV1().Pods(i.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{}).DoRaw(ctx)
			if err != nil {
				return err
			}
			if !bytes.Contains(log, []byte(text)) {
				return fmt.Errorf("%s has not:\n%s", p.Name, log)
			}
		}
		return nil
	})
}
