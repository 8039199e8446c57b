package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// finalizerAnnotation, if it is "false", leaves a GatewayClass without the
// finalizer: one that is deleted together with this controller could never go.
const finalizerAnnotation = Group + "/gateway-exists-finalizer"

// holdClasses has each class of ours that Gateways use wait for them if it is
// deleted, as the Gateway API asks for (GatewayClassFinalizerGatewaysExist).
func (t *translator) holdClasses() {
	used := map[string]bool{}
	for _, g := range t.Gateways {
		if g != nil {
			used[string(g.Spec.GatewayClassName)] = true
		}
	}
	for _, c := range sorted(t.Resources.Classes) {
		if t.classes[c.Name] == nil {
			continue
		}
		const finalizer = gatewayv1.GatewayClassFinalizerGatewaysExist
		holds, held := used[c.Name] && c.Annotations[finalizerAnnotation] != "false", slices.Contains(c.Finalizers, finalizer)
		switch {
		case holds && !held && c.DeletionTimestamp == nil: // one that is going takes no new ones
			t.out.Finalizers[c.Name] = append(slices.Clone(c.Finalizers), finalizer)
		case held && !holds:
			t.out.Finalizers[c.Name] = slices.DeleteFunc(slices.Clone(c.Finalizers), func(f string) bool { return f == finalizer })
		}
	}
}

// hold writes the finalizers of a class, unless that has changed since.
func (w *writer) hold(ctx context.Context, of metav1.Object, finalizers []string) error {
	if of == nil {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": of.GetUID(), "resourceVersion": of.GetResourceVersion(), "finalizers": finalizers,
	}})
	if err == nil {
		_, err = w.dynamic.Resource(classResource()).Patch(ctx, of.GetName(), types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err = stale(err); err != nil {
		return fmt.Errorf("finalizers of GatewayClass %s: %w", of.GetName(), err)
	}
	return nil
}

func classResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: upstream, Version: "v1", Resource: "gatewayclasses"}
}
