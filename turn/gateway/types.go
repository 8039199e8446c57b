package gateway

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Group and Version of our own resources; deploy/kubernetes/crds has their
// schemas.
const (
	Group   = "cloudretro.dev"
	Version = "v1"
)

// GatewayConfig is what a GatewayClass or a Gateway refers to as its parameters:
// credentials of TURN and settings of the Services. Its fields are those of
// STUNner's GatewayConfig (docs/GATEWAY.md there), so that its manifests work.
type GatewayConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec GatewayConfigSpec `json:"spec,omitempty"`
	// Malformed is why the object could not be read, "" if it could.
	Malformed string `json:"-"`
}

// GatewayConfigSpec is what a GatewayConfig says. Without AuthRef and without
// inline credentials the installation's own secrets hold, with which
// coordinators mint credentials.
type GatewayConfigSpec struct {
	Realm string `json:"realm,omitempty"` // "" = the installation's
	// AuthType is plaintext or static (UserName and Password), or longterm,
	// ephemeral, timewindow or timewindowed (SharedSecret).
	AuthType     string `json:"authType,omitempty"`
	UserName     string `json:"userName,omitempty"`
	Password     string `json:"password,omitempty"`
	SharedSecret string `json:"sharedSecret,omitempty"`
	// AuthRef is a Secret with the keys type, username and password, or secret. It
	// goes before what is inline. In another namespace it needs a ReferenceGrant.
	AuthRef *gatewayv1.SecretObjectReference `json:"authRef,omitempty"`
	// LoadBalancerServiceAnnotations are given to Services of Gateways.
	LoadBalancerServiceAnnotations map[string]string `json:"loadBalancerServiceAnnotations,omitempty"`
	// The fields below are what annotations of a Gateway say too, which go before
	// them: LoadBalancer, NodePort or ClusterIP; the class of the load balancer;
	// Cluster or Local.
	ServiceType           string `json:"serviceType,omitempty"`
	LoadBalancerClass     string `json:"loadBalancerClass,omitempty"`
	ExternalTrafficPolicy string `json:"externalTrafficPolicy,omitempty"`
}

// StaticService is a backend outside of the cluster, as prefixes of addresses.
type StaticService struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec StaticServiceSpec `json:"spec,omitempty"`
	// Malformed is why the object could not be read, "" if it could.
	Malformed string `json:"-"`
}

// StaticServiceSpec is what a StaticService says.
type StaticServiceSpec struct {
	Prefixes []string     `json:"prefixes"`
	Ports    []StaticPort `json:"ports,omitempty"` // none = every one
}

// StaticPort is a port, or a range of them; EndPort 0 is Port.
type StaticPort struct {
	Port    int32 `json:"port"`
	EndPort int32 `json:"endPort,omitempty"`
}

// UDPRoute is our own kind of it. Unlike the upstream one its backends may have
// no port, which is every port of a Service's pods, or a range of them.
type UDPRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   UDPRouteSpec             `json:"spec,omitempty"`
	Status gatewayv1.UDPRouteStatus `json:"status,omitempty"`
	// Malformed is why the object could not be read, "" if it could.
	Malformed string `json:"-"`
}

// UDPRouteSpec is what a UDPRoute says.
type UDPRouteSpec struct {
	gatewayv1.CommonRouteSpec `json:",inline"`

	Rules []UDPRouteRule `json:"rules,omitempty"`
}

// UDPRouteRule is a set of backends; the rules of a route add up.
type UDPRouteRule struct {
	Name        *gatewayv1.SectionName `json:"name,omitempty"`
	BackendRefs []BackendRef           `json:"backendRefs,omitempty"`
}

// BackendRef is the upstream one and the last port of a range that Port begins.
type BackendRef struct {
	gatewayv1.BackendRef `json:",inline"`

	EndPort *gatewayv1.PortNumber `json:"endPort,omitempty"`
}

// ReadGatewayConfig converts what the API server gave. What it cannot read is
// said in Malformed; the name is there in any case.
func ReadGatewayConfig(u *unstructured.Unstructured) *GatewayConfig {
	config, err := read[GatewayConfig](u)
	if err != nil {
		return &GatewayConfig{ObjectMeta: meta(u), Malformed: err.Error()}
	}
	return config
}

// ReadStaticService is ReadGatewayConfig for a StaticService.
func ReadStaticService(u *unstructured.Unstructured) *StaticService {
	static, err := read[StaticService](u)
	if err != nil {
		return &StaticService{ObjectMeta: meta(u), Malformed: err.Error()}
	}
	return static
}

// ReadUDPRoute converts a UDPRoute of our own group, or an upstream one of the
// versions v1 and v1alpha2. Of what it cannot read it keeps the parents, if it
// can read them, so that they can be told in conditions.
func ReadUDPRoute(u *unstructured.Unstructured) *UDPRoute {
	route, err := read[UDPRoute](u)
	if err == nil {
		return route
	}
	route = &UDPRoute{ObjectMeta: meta(u), Malformed: err.Error()}
	refs, _, _ := unstructured.NestedSlice(u.Object, "spec", "parentRefs")
	parents, _, _ := unstructured.NestedSlice(u.Object, "status", "parents")
	rest := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"parentRefs": refs}, "status": map[string]any{"parents": parents},
	}}
	if known, err := read[UDPRoute](rest); err == nil {
		route.Spec, route.Status = known.Spec, known.Status
	}
	return route
}

// read converts and does not panic, whatever the object holds.
func read[T any](u *unstructured.Unstructured) (object *T, err error) {
	defer func() {
		if r := recover(); r != nil { // the converter's reflection, on shapes that it does not know
			object, err = nil, fmt.Errorf("convert %s: %v", u.GetKind(), r)
		}
	}()
	object = new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, object); err != nil {
		return nil, fmt.Errorf("convert %s: %w", u.GetKind(), err)
	}
	return object, nil
}

// meta is what names an object and says which of it was seen, and what a write of
// its status sends along.
func meta(u *unstructured.Unstructured) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: u.GetName(), Namespace: u.GetNamespace(), UID: u.GetUID(),
		Generation: u.GetGeneration(), ResourceVersion: u.GetResourceVersion(),
		CreationTimestamp: u.GetCreationTimestamp(), DeletionTimestamp: u.GetDeletionTimestamp(),
		GenerateName: u.GetGenerateName(), Labels: u.GetLabels(), Annotations: u.GetAnnotations(),
		Finalizers: u.GetFinalizers(), OwnerReferences: u.GetOwnerReferences(),
	}
}
