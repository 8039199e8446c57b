package gateway_test

import (
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A class that is deleted goes with the last of its Gateways, which are served
// until then, and finalizers of others stay.
func TestClassIsHeld(t *testing.T) {
	w := newWorld(t)
	class := func(finalizers, annotations string) {
		w.make("gatewayclasses", `{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: $NAME, finalizers: [`+finalizers+`], annotations: {`+annotations+`}},
  spec: {controllerName: cloudretro.dev/$NAME, parametersRef: {group: cloudretro.dev, kind: GatewayConfig, namespace: $NS, name: config}}}`)
	}
	becomes := func(want ...string) {
		t.Helper()
		w.until("finalizers", func() bool {
			return slices.Equal(get[gatewayv1.GatewayClass](w, "gatewayclasses", "", "", w.name).Finalizers, want)
		})
	}
	const ours, others = gatewayv1.GatewayClassFinalizerGatewaysExist, "example.com/mine"
	class(others, "")
	w.start("one")
	w.until("the class's condition", func() bool {
		return slices.ContainsFunc(get[gatewayv1.GatewayClass](w, "gatewayclasses", "", "", w.name).Status.Conditions, func(c metav1.Condition) bool {
			return c.Type == "Accepted" && c.Status == metav1.ConditionTrue
		})
	})
	becomes(others)
	w.make("gateways", udpGateway)
	becomes(others, ours)
	class(others, `cloudretro.dev/gateway-exists-finalizer: "false"`)
	becomes(others)
	class(others, "")
	becomes(others, ours)
	port := w.programmed(w.Namespace, "gate", "one")
	w.delete("gatewayclasses", "", w.name)
	w.open(port, installationSecret).end()
	w.make("gateways", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gate, namespace: $NS},
  spec: {gatewayClassName: $NAME, listeners: [{name: one, port: 3478, protocol: UDP}, {name: two, port: 3479, protocol: UDP}]}}`)
	w.programmed(w.Namespace, "gate", "two")
	becomes(others, ours)
	w.delete("gateways", w.Namespace, "gate")
	becomes(others)
	w.deleteClass()
	w.until("the end of the class", func() bool {
		_, err := w.dynamic.Resource(resourceOf("gatewayclasses", "")).Get(t.Context(), w.name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}
