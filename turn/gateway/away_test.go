package gateway_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// line is a way to the API server that can be cut.
type line struct {
	*connrotation.ConnectionTracker

	away    atomic.Bool
	refused atomic.Int64 // connections while it was cut
}

// lineTo makes one, and what sees the cluster through it.
func lineTo(w *world) (*line, cluster.Cluster) {
	w.t.Helper()
	l := &line{ConnectionTracker: connrotation.NewConnectionTracker()}
	cfg := rest.CopyConfig(w.REST)
	cfg.Dial = connrotation.NewDialerWithTracker(func(ctx context.Context, network, address string) (net.Conn, error) {
		if l.away.Load() {
			l.refused.Add(1)
			return nil, errors.New("the line is cut")
		}
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}, l.ConnectionTracker).DialContext
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	api, err := cluster.NewAPI(cfg, client)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(l.CloseAll)
	own := *w.Cluster
	own.REST, own.HTTP, own.API = cfg, client, api
	return l, own
}

// While the API server is away, listeners are served as they were; once it is back
// what has changed meanwhile is served, and what changes then.
func TestServerAway(t *testing.T) {
	w := newWorld(t)
	l, own := lineTo(w)
	listeners := func(more string) {
		w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS},
  spec: {gatewayClassName: $NAME, listeners: [{name: one, port: 3478, protocol: UDP}`+more+`]}}`)
	}
	listeners("")
	w.startAt("one", own)
	one := w.programmed(w.Namespace, "gate", "one")
	l.away.Store(true)
	l.CloseAll()
	listeners(`, {name: two, port: 3479, protocol: UDP}`)
	w.until("attempts to reach it", func() bool { return l.refused.Load() >= 60 })
	w.open(one, installationSecret)
	l.away.Store(false)
	two := w.programmed(w.Namespace, "gate", "two")
	w.open(two, installationSecret)
	listeners(`, {name: three, port: 3480, protocol: UDP}`)
	w.open(w.programmed(w.Namespace, "gate", "three"), installationSecret)
}

// What may not be read is missing, and the rest is served; it is read once it may
// be.
func TestSecretsMayNotBeRead(t *testing.T) {
	w := newWorld(t)
	own := *clustertest.As(t, w.Cluster, "turn")
	grant := func(rules ...rbacv1.PolicyRule) {
		t.Helper()
		roles := clustertest.Clientset(w.Cluster).RbacV1()
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		name := metav1.ObjectMeta{GenerateName: w.name + "-"}
		role, err := roles.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: name, Rules: rules}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		binding, err := roles.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: w.Namespace, Name: "turn"}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patient)
			defer cancel()
			if err := errors.Join(roles.ClusterRoleBindings().Delete(ctx, binding.Name, metav1.DeleteOptions{}), roles.ClusterRoles().Delete(ctx, role.Name, metav1.DeleteOptions{})); err != nil {
				t.Error(err)
			}
		})
	}
	rule := func(verbs []string, group string, resources ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{group}, Resources: resources}
	}
	all, follow := []string{"*"}, []string{"list", "watch"}
	grant(rule(all, "gateway.networking.k8s.io", "*"), rule(all, "cloudretro.dev", "*"), rule(all, "apiextensions.k8s.io", "*"),
		rule(all, "", "namespaces", "services", "pods"), rule(all, "discovery.k8s.io", "*"), rule(all, "coordination.k8s.io", "*"))
	w.certificate("$NS", "cert", "one.example.org")
	w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS}, spec: {gatewayClassName: $NAME,
  listeners: [{name: udp, port: 3478, protocol: UDP}, {name: tls, port: 5349, protocol: TLS, tls: {certificateRefs: [{name: cert}]}}]}}`)
	w.startAt("one", own)
	w.programmed(w.Namespace, "gate", "udp")
	if c := w.condition(w.Namespace, "gate", "tls", "ResolvedRefs"); c.Reason != "InvalidCertificateRef" || !strings.Contains(c.Message, "may not be read") {
		t.Errorf("what may not be read is %+v", c)
	}
	secrets := rule(follow, "", "secrets")
	secrets.ResourceNames = []string{"cert"} // which is enough
	grant(secrets)
	w.programmed(w.Namespace, "gate", "tls")
}
