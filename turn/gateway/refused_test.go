package gateway_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
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
