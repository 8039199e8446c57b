package clustercheck_test

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// component installs the rights of a component until the end of the test, what is of
// the whole cluster with the namespace's name, beside those of other installations.
// It answers the kind of their bindings.
func component(t *testing.T, c *cluster.Cluster, name string) (bindings dynamic.NamespaceableResourceInterface) {
	t.Helper()
	client, err := dynamic.NewForConfigAndClient(c.REST, c.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objectsOf(t, "../../deploy/kubernetes/components/"+name+"/rights.yaml", c.Namespace) {
		everywhere := strings.HasPrefix(o.GetKind(), "Cluster")
		if everywhere {
			o.SetName(o.GetName() + "-" + c.Namespace)
		}
		if o.GetKind() == "ClusterRoleBinding" {
			role := o.Object["roleRef"].(map[string]any)
			role["name"] = role["name"].(string) + "-" + c.Namespace
			bindings = client.Resource(resource(o))
		}
		if !everywhere {
			_, err = client.Resource(resource(o)).Namespace(c.Namespace).Create(t.Context(), o, metav1.CreateOptions{})
		} else if _, err = client.Resource(resource(o)).Create(t.Context(), o, metav1.CreateOptions{}); err == nil {
			t.Cleanup(func() {
				_ = client.Resource(resource(o)).Delete(context.Background(), o.GetName(), metav1.DeleteOptions{}) // one is gone
			})
		}
		if err != nil {
			t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	return bindings
}

// The rights that gates need for Gateways are those that the overlay gives, each
// in the whole cluster; that to read Secrets may be given in namespaces instead.
func TestGatewayRights(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	install(t, c, nil, nil)
	s := settings()
	s.Gateway = true
	until(t, c, s, passed("rights", "coordinator"),
		failed("rights", "turn may not", "patch gatewayclasses of the whole cluster", "delete services of the whole cluster", "update leases cloudretro-gateway"),
		noted("rights", "turn may not read Secrets of the whole cluster", "cloudretro-gateway-secrets"))

	bindings := component(t, c, "gateway")
	report := until(t, c, s, passed("rights", "turn"))
	if noted("rights", "Secrets").in(report) {
		t.Error(text(report))
	}
	if err := bindings.Delete(t.Context(), "cloudretro-gateway-secrets-"+c.Namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, c, s, passed("rights", "turn"), noted("rights", "Secrets of the whole cluster"))
}

// Gates that relay to prefixes do without the networks of Services, which is said;
// others are asked nothing of it.
func TestServiceNetworkRights(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	install(t, c, nil, nil)
	s := settings()
	if report := until(t, c, s, passed("rights", "turn")); noted("rights", "servicecidrs").in(report) {
		t.Error(text(report))
	}
	s.Prefixes = true
	until(t, c, s, passed("rights", "turn"), noted("rights", "turn.peers has prefixes", "servicecidrs", "components/service-network"))
	component(t, c, "service-network")
	until(t, c, s, passed("rights", "turn may list servicecidrs of the whole cluster"))
}
