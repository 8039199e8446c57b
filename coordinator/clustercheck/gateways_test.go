package clustercheck_test

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

func gatewayResource(name string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: name}
}

// condition writes one into an object's status.
func condition(t *testing.T, of dynamic.ResourceInterface, name, kind string, status metav1.ConditionStatus, message string) {
	t.Helper()
	patch := fmt.Sprintf(`{"status":{"conditions":[{"type":%q,"status":%q,"reason":"Because","message":%q,"lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, kind, status, message)
	if kind == "Programmed" {
		patch = fmt.Sprintf(`{"status":{"conditions":[{"type":"Accepted","status":"True","reason":"Accepted","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"},
{"type":%q,"status":%q,"reason":"Because","message":%q,"lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, kind, status, message)
	}
	if _, err := of.Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
}

func TestGateways(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	client, err := dynamic.NewForConfigAndClient(c.REST, c.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	s := settings()
	s.Gateway, s.ControllerName = true, "cloudretro.dev/"+c.Namespace
	until(t, c, s, passed("gateway api", "version v1."), failed("classes", "no GatewayClass with controllerName "+s.ControllerName, "overlays/gateway"))

	classes := client.Resource(gatewayResource("gatewayclasses"))
	class := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": map[string]any{"name": c.Namespace},
		"spec": map[string]any{"controllerName": s.ControllerName},
	}}
	if _, err := classes.Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := classes.Delete(context.Background(), c.Namespace, metav1.DeleteOptions{}); err != nil {
			t.Logf("delete class: %v", err)
		}
	})
	until(t, c, s, failed("classes", "is not Accepted", "no controller", "cloudretro-gateway"), noted("gateways", "no Gateway of our classes"))
	condition(t, classes, c.Namespace, "Accepted", metav1.ConditionFalse, "parametersRef names nothing")
	until(t, c, s, failed("classes", "is not Accepted (Because): parametersRef names nothing"))
	condition(t, classes, c.Namespace, "Accepted", metav1.ConditionTrue, "")
	until(t, c, s, passed("classes", "is Accepted"))

	gateways := client.Resource(gatewayResource("gateways")).Namespace(c.Namespace)
	gateway := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": map[string]any{"name": "g"},
		"spec": map[string]any{
			"gatewayClassName": c.Namespace,
			"listeners":        []any{map[string]any{"name": "udp", "port": int64(3478), "protocol": "UDP"}},
		},
	}}
	if _, err := gateways.Create(t.Context(), gateway, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, c, s, failed("gateways", c.Namespace+"/g is not Accepted", "no controller"))
	condition(t, gateways, "g", "Programmed", metav1.ConditionFalse, "no address yet")
	until(t, c, s, failed("gateways", "is not Programmed", "no address yet"))
	condition(t, gateways, "g", "Programmed", metav1.ConditionTrue, "")
	until(t, c, s, passed("gateways", "Accepted and Programmed"))
}
