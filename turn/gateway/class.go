package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/consts"
)

// class is a GatewayClass of ours.
type class struct {
	name       string
	parameters parameters
	problem    string // why it is not accepted, "" if it is
}

// judgeClasses says which classes are ours and whether they can be served.
func (t *translator) judgeClasses() {
	t.classes = map[string]*class{}
	for _, object := range sorted(t.Resources.Classes) {
		if string(object.Spec.ControllerName) != t.ControllerName {
			continue
		}
		c := &class{name: object.Name}
		c.parameters, c.problem = t.classParameters(object.Spec.ParametersRef)
		t.classes[object.Name] = c
		accepted := good(gatewayv1.GatewayClassConditionStatusAccepted, gatewayv1.GatewayClassReasonAccepted, "Gateways of this class are served by the turn pods")
		if c.problem != "" {
			accepted = bad(gatewayv1.GatewayClassConditionStatusAccepted, gatewayv1.GatewayClassReasonInvalidParameters, c.problem)
		}
		status := gatewayv1.GatewayClassStatus{
			Conditions:        merge(object.Status.Conditions, object.Generation, t.Now, accepted, supportedVersion(t.Bundles)),
			SupportedFeatures: supportedFeatures(t.Bundles[crdClasses]),
		}
		if !equality.Semantic.DeepEqual(status, object.Status) {
			t.out.Classes[object.Name] = status
		}
	}
}

// supportedFeatures are what the conformance suite takes for claimed, sorted by
// name (testdata/conformance). The names are those of the module's package
// pkg/features, which makes tables of all there are as each process starts.
// A CRD of before v1.4 has no such field in the standard channel, and before v1.2
// one of another shape in the experimental one.
func supportedFeatures(bundle string) []gatewayv1.SupportedFeature {
	if n, ok := minor(bundle); ok && n < 4 {
		return nil
	}
	return []gatewayv1.SupportedFeature{{Name: "Gateway"}, {Name: "GatewayInfrastructure"}, {Name: "ReferenceGrant"}, {Name: "UDPRoute"}}
}

// supportedVersion judges the Gateway API's CRDs by the version that they are
// annotated with. Of other versions what is known is served all the same.
func supportedVersion(bundles map[string]string) verdict {
	const kind = gatewayv1.GatewayClassConditionStatusSupportedVersion
	if len(bundles) == 0 {
		return verdict{string(kind), metav1.ConditionUnknown, string(gatewayv1.GatewayClassReasonPending), "the CRDs of the Gateway API cannot be read; allow get of customresourcedefinitions"}
	}
	for _, name := range slices.Sorted(maps.Keys(bundles)) {
		if !knownVersion(bundles[name]) {
			return bad(kind, gatewayv1.GatewayClassReasonUnsupportedVersion,
				fmt.Sprintf("CRD %s is of version %q; supported are v1.0.0 to %s; what is known of it is served", name, bundles[name], consts.BundleVersion))
		}
	}
	return good(kind, gatewayv1.GatewayClassReasonSupportedVersion, "the CRDs of the Gateway API are of a supported version")
}

// knownVersion says whether a version is of v1 and not of a later minor than the
// one that this is written against.
func knownVersion(version string) bool {
	ours, _ := minor(consts.BundleVersion)
	theirs, ok := minor(version)
	return ok && theirs <= ours
}

func minor(version string) (int, bool) {
	rest, ok := strings.CutPrefix(version, "v1.")
	number, _, dotted := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(number, 10, 16)
	return int(n), ok && dotted && err == nil
}
