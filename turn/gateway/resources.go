package gateway

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Resources is a snapshot of the cluster. Translate changes nothing in it.
type Resources struct {
	Classes  []*gatewayv1.GatewayClass
	Gateways []*gatewayv1.Gateway
	// Routes of upstream, of any version (ReadUDPRoute), and of our own group.
	Routes    []*UDPRoute
	OwnRoutes []*UDPRoute

	Configs        []*GatewayConfig
	StaticServices []*StaticService
	Grants         []*gatewayv1.ReferenceGrant // v1 or v1beta1, which have the same shape
	Namespaces     []*corev1.Namespace
	Services       []*corev1.Service // backends, and those that were made for Gateways
	Slices         []*discoveryv1.EndpointSlice
	Secrets        []*corev1.Secret // see Outcome.Secrets
	// Unreadable are Secrets that the API server does not let us read.
	Unreadable map[types.NamespacedName]bool

	// Bundles are the bundle-version annotations of the Gateway API's CRDs by name
	// of the CRD; none if they cannot be read.
	Bundles map[string]string
	// NodeAddresses are where node ports are reached, in the order of preference.
	NodeAddresses []string
	// Unserved are listeners that the fleet could not serve, and why, by ID.
	Unserved map[string]string
	// Refused are Services that the API server did not take, and why.
	Refused map[types.NamespacedName]string
}

// Settings are what Translate needs to know besides.
type Settings struct {
	// ControllerName of the classes that are ours.
	ControllerName string
	// Namespace of the installation. Services in it select the turn pods by
	// PodSelector; those in others have no selector, so that their endpoints are
	// written by the one who leads.
	Namespace   string
	PodSelector map[string]string
	// FirstPort and Ports are the range that pods listen at for Gateways.
	FirstPort, Ports int
	// Realm and Secrets hold where no GatewayConfig says others.
	Realm   string
	Secrets []string
	// Now is the time of transitions.
	Now time.Time
}

// Outcome is what the resources come to.
type Outcome struct {
	// Listeners that pods are to serve, sorted by ID. A listener is among them
	// once the Service of its Gateway records the pods' port, so that all pods
	// agree on it.
	Listeners []Listener
	// Services that are to be there as they are here, and those of ours that are
	// to be there no more.
	Services []*corev1.Service
	Obsolete []types.NamespacedName
	// Secrets that resources refer to and may refer to, sorted, whether they were
	// in the snapshot or not.
	Secrets []types.NamespacedName

	// Finalizers of classes that are to have others than they have.
	Finalizers map[string][]string
	// Statuses to be written: those that differ from what the snapshot has.
	Classes   map[string]gatewayv1.GatewayClassStatus
	Gateways  map[types.NamespacedName]gatewayv1.GatewayStatus
	Routes    map[types.NamespacedName]gatewayv1.UDPRouteStatus
	OwnRoutes map[types.NamespacedName]gatewayv1.UDPRouteStatus
}
