package gateway

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Bounds of what objects may ask for; what is beyond is left out.
const (
	// MaxEndpoints and MaxPeers are for each listener.
	MaxEndpoints = 4096
	MaxPeers     = 4096

	maxListeners   = 64 // of a Gateway, as the schema has it
	maxParents     = 32 // of a route, as the schema has it
	maxRules       = 16 // of a route, as the schemas have it
	maxBackends    = 16 // of a rule, as the schemas have it
	maxAddresses   = 16 // of a Gateway, as the schema has it
	maxCredentials = 16
	maxAnnotations = 64
	maxMessage     = 1024 // bytes of a condition's message
)

// translator is one translation: the snapshot, found by name, and what it has
// come to so far.
type translator struct {
	Resources
	Settings

	configs    map[types.NamespacedName]*GatewayConfig
	statics    map[types.NamespacedName]*StaticService
	namespaces map[string]*corev1.Namespace
	services   map[types.NamespacedName]*corev1.Service
	slices     map[types.NamespacedName][]*discoveryv1.EndpointSlice // by Service
	secrets    map[types.NamespacedName]*corev1.Secret
	clusterIPs []netip.Addr // of Services, sorted

	classes map[string]*class // those that are ours
	doors   map[types.NamespacedName]*door
	order   []*door // by age, so that the older one keeps what two ask for
	wanted  map[types.NamespacedName]bool
	out     Outcome
}

// Translate says what resources come to. It is pure: the same snapshot has the
// same outcome, in whatever order its lists are.
func Translate(r Resources, s Settings) Outcome {
	t := &translator{Resources: r, Settings: s, wanted: map[types.NamespacedName]bool{}}
	t.out.Finalizers = map[string][]string{}
	t.out.Classes = map[string]gatewayv1.GatewayClassStatus{}
	t.out.Gateways = map[types.NamespacedName]gatewayv1.GatewayStatus{}
	t.out.Routes = map[types.NamespacedName]gatewayv1.UDPRouteStatus{}
	t.out.OwnRoutes = map[types.NamespacedName]gatewayv1.UDPRouteStatus{}
	t.index()
	t.judgeClasses()
	t.holdClasses()
	t.openDoors()
	t.allocate()
	for _, route := range sorted(r.Routes) {
		t.attach(route, gatewayv1.GroupName, t.out.Routes)
	}
	for _, route := range sorted(r.OwnRoutes) {
		t.attach(route, Group, t.out.OwnRoutes)
	}
	for _, d := range t.order {
		t.finish(d)
	}
	t.findObsolete()
	slices.SortFunc(t.out.Listeners, func(a, b Listener) int { return cmp.Compare(a.ID, b.ID) })
	for name := range t.wanted {
		t.out.Secrets = append(t.out.Secrets, name)
	}
	slices.SortFunc(t.out.Secrets, compareNames)
	return t.out
}

// index finds the snapshot's objects by name.
func (t *translator) index() {
	t.configs = byName(t.Configs)
	t.statics = byName(t.StaticServices)
	t.services = byName(t.Services)
	t.secrets = byName(t.Resources.Secrets)
	t.clusterIPs = clusterIPs(t.Services)
	t.namespaces = map[string]*corev1.Namespace{}
	for _, namespace := range t.Namespaces {
		if namespace != nil {
			t.namespaces[namespace.Name] = namespace
		}
	}
	t.slices = map[types.NamespacedName][]*discoveryv1.EndpointSlice{}
	for _, slice := range sorted(t.Slices) {
		service := types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
		t.slices[service] = append(t.slices[service], slice)
	}
}

// pointer is what every resource is here.
type pointer[T any] interface {
	*T
	metav1.Object
}

// byName indexes objects.
func byName[T any, P pointer[T]](all []P) map[types.NamespacedName]P {
	found := make(map[types.NamespacedName]P, len(all))
	for _, o := range all {
		if o != nil {
			found[nameOf(o)] = o
		}
	}
	return found
}

// sorted is a copy by name, without nil.
func sorted[T any, P pointer[T]](all []P) []P {
	kept := slices.DeleteFunc(slices.Clone(all), func(o P) bool { return o == nil })
	slices.SortStableFunc(kept, func(a, b P) int { return compareNames(nameOf(a), nameOf(b)) })
	return kept
}

func nameOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// or is what a pointer holds, or a default.
func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
