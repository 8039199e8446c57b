package discovery_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/coordinator/discovery"
)

// networks follows the service network of a cluster.
func networks(t *testing.T, api *cluster.API, server string, log *slog.Logger) *sets {
	t.Helper()
	addr, _ := netip.ParseAddr(server) // or none
	return follow[[]netip.Prefix](t, discovery.NewServiceNetwork(discovery.ServiceNetworkConfig{API: api, Service: addr, Logger: log}).Watch)
}

// ofServices are the networks that the cluster has, and how it is told to take one
// more. No Service gets an address of that.
func ofServices(t *testing.T, c *cluster.Cluster) (is string, more func() (cidr string, end func())) {
	t.Helper()
	client := clustertest.Clientset(c).NetworkingV1().ServiceCIDRs()
	list, err := client.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || len(list.Items[0].Spec.CIDRs) != 1 {
		t.Skipf("SKIPPED: needs a cluster with one network of Services (Kubernetes 1.33): %v, %v", list, err)
	}
	return list.Items[0].Spec.CIDRs[0], func() (string, func()) {
		cidr := "fd97:c10d::/112"
		made, err := client.Create(t.Context(), &networkingv1.ServiceCIDR{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "cloudretro-test-"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{cidr}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		end := func() { _ = client.Delete(context.Background(), made.Name, metav1.DeleteOptions{}) } // once more at the end
		t.Cleanup(end)
		return cidr, end
	}
}

// A network that is added is closed, and one that goes is not; while the API server
// is away nothing changes.
func TestServiceNetworkOfACluster(t *testing.T) {
	c := clustertest.Connect(t)
	is, more := ofServices(t, c)
	k, client := plug(t, c)
	s := networks(t, client, "", nil)
	if got := s.next(); got != is {
		t.Errorf("the network is %q, want %q", got, is)
	}
	k.pull(true)
	added, end := more()
	until(t, "attempts to reach it", func() bool { return k.refused.Load() >= 2 })
	s.quiet()
	k.pull(false)
	s.until(is + " " + added)
	end()
	s.until(is)
}

// Without the right the widest network that may be is closed, which is said once;
// with the right that comes later it is the one that is.
func TestServiceNetworkWithoutRights(t *testing.T) {
	c := clustertest.Connect(t)
	is, _ := ofServices(t, c)
	server := netip.MustParsePrefix(is).Addr().Next().String()
	log := &clustertest.Log{}
	s := networks(t, clustertest.As(t, c, "turn").API, server, log.Logger())
	if got := s.next(); !netip.MustParsePrefix(got).Contains(netip.MustParseAddr(server)) || netip.MustParsePrefix(got).Bits() > netip.MustParsePrefix(is).Bits() {
		t.Errorf("%s is closed, which is less than %s", got, is)
	}
	if n := log.Count("level=WARN"); n != 1 || log.Count("forbidden") == 0 || log.Count("components/service-network") == 0 {
		t.Errorf("the log:\n%s", log)
	}
	rbac := clustertest.Clientset(c).RbacV1()
	if _, err := rbac.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: c.Namespace},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"servicecidrs"}, Verbs: []string{"list", "watch"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rbac.ClusterRoles().Delete(context.Background(), c.Namespace, metav1.DeleteOptions{}) })
	if _, err := rbac.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: c.Namespace}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: c.Namespace},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "turn", Namespace: c.Namespace}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = rbac.ClusterRoleBindings().Delete(context.Background(), c.Namespace, metav1.DeleteOptions{})
	})
	s.until(fmt.Sprintf("%s %s/32", is, server))
	if n := log.Count("level=WARN"); n != 1 {
		t.Errorf("warned %d times:\n%s", n, log)
	}
}

// What older API servers say, and ones that have the kind but do not use it, is no
// more than that nothing is known.
func TestServiceNetworkThatIsNotSaid(t *testing.T) {
	for name, test := range map[string]struct {
		code         int
		body, server string
		closed, said string
	}{
		"unknown kind": {http.StatusNotFound, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no such kind","reason":"NotFound","code":404}`, "10.96.0.1", "10.96.0.0/12", "no such kind"},
		"no right":     {http.StatusForbidden, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no such right","reason":"Forbidden","code":403}`, "fd96::1", "fd96::/64", "no such right"},
		"not used":     {http.StatusOK, `{"kind":"ServiceCIDRList","apiVersion":"networking.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[]}`, "10.43.0.1", "10.43.0.0/16", "no ServiceCIDRs"},
		"a name":       {http.StatusNotFound, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no such kind","reason":"NotFound","code":404}`, "kubernetes.default.svc", "", "no such kind"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.URL.Path, "/apis/networking.k8s.io/v1/servicecidrs") {
					t.Errorf("asked for %s", r.URL)
				}
				rw.Header().Set("Content-Type", "application/json")
				switch q := r.URL.Query(); {
				case q.Has("sendInitialEvents"): // which it does not know either
					rw.WriteHeader(http.StatusBadRequest)
				case q.Has("watch") && test.code == http.StatusOK:
					rw.(http.Flusher).Flush()
					<-r.Context().Done() // nothing changes
					return
				default:
					rw.WriteHeader(test.code)
				}
				_, _ = rw.Write([]byte(test.body))
			}))
			t.Cleanup(server.Close)
			log := &clustertest.Log{}
			s := networks(t, clientOf(t, &rest.Config{Host: server.URL}), test.server, log.Logger())
			if got := s.next(); got != test.closed {
				t.Errorf("%q is closed, want %q", got, test.closed)
			}
			s.stop()
			s.quiet()
			if log.Count("level=WARN") != 1 || !strings.Contains(log.String(), test.said) || log.Count("one by one") != 1 {
				t.Errorf("the log:\n%s", log)
			}
		})
	}
}
