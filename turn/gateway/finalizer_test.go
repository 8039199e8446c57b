package gateway

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A class has the finalizer while Gateways use it, beside those of others.
func TestFinalizers(t *testing.T) {
	const ours, others = gatewayv1.GatewayClassFinalizerGatewaysExist, "example.com/mine"
	ended := func(c *gatewayv1.GatewayClass) { c.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }
	unwanted := func(c *gatewayv1.GatewayClass) { c.Annotations = map[string]string{finalizerAnnotation: "false"} }
	none := func(*gatewayv1.GatewayClass) {}
	for name, test := range map[string]struct {
		class    func(*gatewayv1.GatewayClass)
		gateways int
		has      []string
		want     string // "-" = as they are
	}{
		"nobody uses it":               {none, 0, nil, "-"},
		"used":                         {none, 1, nil, ours},
		"used twice, others' too":      {none, 2, []string{others}, others + " " + ours},
		"held":                         {none, 1, []string{ours}, "-"},
		"used no more":                 {none, 0, []string{ours, others}, others},
		"deleted, used":                {ended, 1, []string{ours}, "-"},
		"deleted, used no more":        {ended, 0, []string{others, ours}, others},
		"deleted before it was held":   {ended, 1, []string{others}, "-"},
		"told not to":                  {unwanted, 1, nil, "-"},
		"told not to when it was held": {unwanted, 1, []string{ours}, ""},
		"of another controller": {
			func(c *gatewayv1.GatewayClass) { c.Spec.ControllerName = "example.com/turn" }, 1, []string{ours}, "-",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := snapshot(t, classOf(""), gatewayOf("", "", oneUDP), strings.ReplaceAll(gatewayOf("", "", oneUDP), "name: g,", "name: h,"))
			r.Gateways, r.Classes[0].Finalizers = r.Gateways[:test.gateways], test.has
			test.class(r.Classes[0])
			before := slices.Clone(test.has)
			got, written := Translate(r, settings()).Finalizers["cloudretro"]
			if written != (test.want != "-") || written && strings.Join(got, " ") != test.want {
				t.Errorf("%v becomes %v (%t)", test.has, got, written)
			}
			if !slices.Equal(r.Classes[0].Finalizers, before) {
				t.Error("the snapshot was written to")
			}
		})
	}
}
