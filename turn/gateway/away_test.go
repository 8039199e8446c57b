package gateway_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

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
	w.startAt("one", own, t.Output())
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

// grant gives the service account "turn" rights until the end of the test.
func (w *world) grant(rules ...rbacv1.PolicyRule) {
	w.t.Helper()
	roles := clustertest.Clientset(w.Cluster).RbacV1()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	name := metav1.ObjectMeta{GenerateName: w.name + "-"}
	role, err := roles.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: name, Rules: rules}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	binding, err := roles.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: w.Namespace, Name: "turn"}},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		if err := errors.Join(roles.ClusterRoleBindings().Delete(ctx, binding.Name, metav1.DeleteOptions{}), roles.ClusterRoles().Delete(ctx, role.Name, metav1.DeleteOptions{})); err != nil {
			w.t.Error(err)
		}
	})
}

// overlayRights are what the overlay gateway gives, by the name of the role.
func overlayRights(t *testing.T) map[string][]rbacv1.PolicyRule {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kubernetes", "components", "gateway", "rights.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]rbacv1.PolicyRule{}
	for doc := range strings.SplitSeq(string(text), "\n---\n") {
		var role rbacv1.ClusterRole
		if err := yaml.Unmarshal([]byte(doc), &role); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(role.Kind, "Role") {
			all[role.Name] = role.Rules
		}
	}
	if len(all) != 3 {
		t.Fatalf("roles %v", all)
	}
	return all
}

// With the rights of the overlay all but Secrets is served; what may not be read is
// missing, and read once it may be.
func TestSecretsMayNotBeRead(t *testing.T) {
	w := newWorld(t)
	own := *clustertest.As(t, w.Cluster, "turn")
	rights := overlayRights(t)
	w.grant(append(rights["cloudretro-gateway"], rights["gateway"]...)...)
	w.certificate("$NS", "cert", "one.example.org")
	w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS}, spec: {gatewayClassName: $NAME,
  listeners: [{name: udp, port: 3478, protocol: UDP}, {name: tls, port: 5349, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: cert}]}}]}}`)
	w.startAt("one", own, t.Output())
	w.programmed(w.Namespace, "gate", "udp")
	if c := w.condition(w.Namespace, "gate", "tls", "ResolvedRefs"); c.Reason != "InvalidCertificateRef" || !strings.Contains(c.Message, "may not be read") {
		t.Errorf("what may not be read is %+v", c)
	}
	if !slices.Contains(get[gatewayv1.GatewayClass](w, "gatewayclasses", "", "", w.name).Finalizers, gatewayv1.GatewayClassFinalizerGatewaysExist) {
		t.Error("the class has no finalizer")
	}
	secrets := rights["cloudretro-gateway-secrets"]
	secrets[0].ResourceNames = []string{"cert"} // which is enough
	w.grant(secrets...)
	w.programmed(w.Namespace, "gate", "tls")
}

// Gateways that may not be read have not gone: their Services stay.
func TestGatewaysMayNotBeRead(t *testing.T) {
	w := newWorld(t)
	w.make("gateways", udpGateway)
	first := w.start("one")
	port := w.programmed(w.Namespace, "gate", "one")
	first.end()
	was := w.service(w.Namespace, "gate")
	own := *clustertest.As(t, w.Cluster, "turn")
	var log clustertest.Log
	ofGateways := func(r rbacv1.PolicyRule) bool { return slices.Contains(r.APIGroups, gatewayv1.GroupName) }
	rights := overlayRights(t)
	w.grant(slices.DeleteFunc(append(rights["cloudretro-gateway"], rights["gateway"]...), ofGateways)...)
	second := w.startAt("two", own, &log)
	w.until("the word that they may not be read", func() bool { return log.Count("is missing") >= 4 && log.Count("this process leads") == 1 })
	w.grant(slices.DeleteFunc(overlayRights(t)["cloudretro-gateway"], func(r rbacv1.PolicyRule) bool { return !ofGateways(r) })...)
	w.until("service", func() bool { return len(second.Stats().Listeners) == 1 })
	w.open(port, installationSecret)
	if is := w.service(w.Namespace, "gate"); is == nil || is.UID != was.UID {
		t.Error("the Service was deleted")
	}
}
