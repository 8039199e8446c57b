package gateway_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// A Service that the API server refuses is told in the Gateway's condition, and
// made once the Gateway asks for something else.
func TestServiceIsRefused(t *testing.T) {
	w := newWorld(t)
	ask := func(port string) {
		w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS,
  annotations: {cloudretro.dev/service-type: NodePort, cloudretro.dev/nodeport: '{`+port+`}'}},
  spec: {gatewayClassName: $NAME, listeners: [{name: one, port: 3478, protocol: UDP}]}}`)
	}
	programmed := func() string {
		c := meta.FindStatusCondition(get[gatewayv1.Gateway](w, "gateways", "", w.Namespace, "gate").Status.Conditions, "Programmed")
		if c == nil {
			return ""
		}
		return c.Reason + ": " + c.Message
	}
	ask(`"one": 1`) // no cluster has its node ports there
	w.start("one")
	w.until("the API server's word", func() bool {
		return strings.HasPrefix(programmed(), "Pending: ") && strings.Contains(programmed(), "valid range")
	})
	ask(`"two": 1`)
	w.programmed(w.Namespace, "gate", "one")
	w.until("the Gateway's own condition", func() bool { return !strings.Contains(programmed(), "valid range") })
}

// What a Gateway does not ask for any more goes from its Service; another class of
// load balancer makes the Service again.
func TestServiceFollowsItsGateway(t *testing.T) {
	w := newWorld(t)
	ask := func(annotations, infrastructure string) {
		w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS,
  annotations: {cloudretro.dev/service-type: LoadBalancer`+annotations+`}},
  spec: {gatewayClassName: $NAME, `+infrastructure+`listeners: [{name: one, port: 3478, protocol: UDP}]}}`)
	}
	becomes := func(what string, ok func(s *corev1.Service) bool) {
		t.Helper()
		w.until(what, func() bool { s := w.service(w.Namespace, "gate"); return s != nil && ok(s) })
	}
	ask(`, example.com/mine: a, cloudretro.dev/external-traffic-policy: Local`, `infrastructure: {labels: {team: games}, annotations: {example.com/ours: b}}, `)
	w.start("one")
	becomes("what was asked for", func(s *corev1.Service) bool {
		return s.Labels["team"] == "games" && s.Annotations["example.com/mine"] == "a" && s.Annotations["example.com/ours"] == "b" &&
			s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	})
	made := w.service(w.Namespace, "gate")
	patch := []byte(`{"metadata": {"annotations": {"cloud.example.com/id": "7"}}}`) // of a cloud
	if _, err := clustertest.Clientset(w.Cluster).CoreV1().Services(w.Namespace).Patch(t.Context(), made.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	ask("", "")
	becomes("what is left", func(s *corev1.Service) bool {
		_, mine := s.Annotations["example.com/mine"]
		_, ours := s.Annotations["example.com/ours"]
		return s.Labels["team"] == "" && !mine && !ours && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyCluster &&
			s.Annotations["cloud.example.com/id"] == "7" && s.UID == made.UID
	})
	for _, class := range []string{"example.com/one", "example.com/two", ""} {
		was := w.service(w.Namespace, "gate")
		annotation := ""
		if class != "" {
			annotation = ", cloudretro.dev/load-balancer-class: " + class
		}
		ask(annotation, "")
		becomes("class "+class, func(s *corev1.Service) bool {
			is := ""
			if s.Spec.LoadBalancerClass != nil {
				is = *s.Spec.LoadBalancerClass
			}
			return is == class && s.UID != was.UID
		})
		w.programmed(w.Namespace, "gate", "one")
	}
}

// That a class has gone is told in the conditions of its Gateways, until it is back.
func TestClassComesAndGoes(t *testing.T) {
	w := newWorld(t)
	class := get[gatewayv1.GatewayClass](w, "gatewayclasses", "", "", w.name)
	w.make("gateways", udpGateway)
	w.start("one")
	port := w.programmed(w.Namespace, "gate", "one")
	w.deleteClass()
	w.until("the word that the class has gone", func() bool {
		c := meta.FindStatusCondition(get[gatewayv1.Gateway](w, "gateways", "", w.Namespace, "gate").Status.Conditions, "Programmed")
		return c != nil && c.Status == metav1.ConditionUnknown
	})
	w.make("gatewayclasses", `{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: $NAME},
  spec: {controllerName: `+string(class.Spec.ControllerName)+`, parametersRef: {group: cloudretro.dev, kind: GatewayConfig, namespace: $NS, name: config}}}`)
	if again := w.programmed(w.Namespace, "gate", "one"); again != port {
		t.Errorf("port %d has become %d", port, again)
	}
}
