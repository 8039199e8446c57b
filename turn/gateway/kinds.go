package gateway

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Names of the custom resources that are read.
const (
	upstream = gatewayv1.GroupName

	crdClasses   = "gatewayclasses." + upstream
	crdGateways  = "gateways." + upstream
	crdRoutes    = "udproutes." + upstream
	crdGrants    = "referencegrants." + upstream
	crdConfigs   = "gatewayconfigs." + Group
	crdStatics   = "staticservices." + Group
	crdOwnRoutes = "turnroutes." + Group
)

// bundleAnnotation says which version of the Gateway API a CRD is of.
const bundleAnnotation = "gateway.networking.k8s.io/bundle-version"

// How to have what is missing.
const (
	remedyUpstream = "kubectl apply --server-side -f https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.6.3/standard-install.yaml"
	remedyOwn      = "kubectl apply --server-side -k deploy/kubernetes/crds"
)

// kind is a custom resource, of which one version is read: the first of those
// that the cluster serves.
type kind struct {
	versions []string
	convert  func(*unstructured.Unstructured) any
}

// kinds are all of them by the names of their CRDs.
func kinds() map[string]kind {
	return map[string]kind{
		crdClasses:   {[]string{"v1"}, typed[gatewayv1.GatewayClass]},
		crdGateways:  {[]string{"v1"}, typed[gatewayv1.Gateway]},
		crdRoutes:    {[]string{"v1", "v1alpha2"}, func(u *unstructured.Unstructured) any { return ReadUDPRoute(u) }},
		crdGrants:    {[]string{"v1", "v1beta1"}, typed[gatewayv1.ReferenceGrant]},
		crdConfigs:   {[]string{Version}, func(u *unstructured.Unstructured) any { return ReadGatewayConfig(u) }},
		crdStatics:   {[]string{Version}, func(u *unstructured.Unstructured) any { return ReadStaticService(u) }},
		crdOwnRoutes: {[]string{Version}, func(u *unstructured.Unstructured) any { return ReadUDPRoute(u) }},
	}
}

// typed converts what upstream's schema has validated. What still does not fit
// stays what it is, and is then no object of the kind (see objects).
func typed[T any](u *unstructured.Unstructured) any {
	object, err := read[T](u)
	if err != nil {
		return u
	}
	return object
}

// transform makes a kind's objects of what a dynamic informer was sent.
func (k kind) transform(object any) (any, error) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil // it was converted before
	}
	u.SetManagedFields(nil)
	return k.convert(u), nil
}

// definition is what is kept of a CRD.
type definition struct {
	metav1.ObjectMeta

	bundle string
	served []string // versions, none before it is established
}

// readDefinition is the transform of CRDs.
func readDefinition(object any) (any, error) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil
	}
	d := &definition{ObjectMeta: meta(u), bundle: u.GetAnnotations()[bundleAnnotation]}
	if !established(u) {
		return d, nil
	}
	versions, _, _ := unstructured.NestedSlice(u.Object, "spec", "versions")
	for _, v := range versions {
		version, _ := v.(map[string]any)
		name, _ := version["name"].(string)
		if served, _ := version["served"].(bool); served {
			d.served = append(d.served, name)
		}
	}
	return d, nil
}

// established says whether the API server answers for a CRD.
func established(u *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		condition, _ := c.(map[string]any)
		return condition["type"] == "Established" && condition["status"] == "True"
	})
}

// custom follows the CRDs and, as far as they are installed, their objects. Its
// methods belong to one goroutine.
type custom struct {
	*feeds
	client      dynamic.Interface
	kinds       map[string]kind
	definitions map[string]*feed
	resources   map[string]schema.GroupVersionResource // that are followed, by CRD
	objects     map[string]*feed
	missing     map[string]bool // that were told of
}

func newCustom(f *feeds, client dynamic.Interface) *custom {
	return &custom{
		feeds: f, client: client, kinds: kinds(), definitions: map[string]*feed{},
		resources: map[string]schema.GroupVersionResource{}, objects: map[string]*feed{}, missing: map[string]bool{},
	}
}

// start follows the CRDs, each by its name, so that no right to read others is
// needed.
func (c *custom) start(ctx context.Context) error {
	crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	for name := range c.kinds {
		var err error
		if c.definitions[name], err = follow(ctx, c.feeds, c.client.Resource(crds), view{
			what: "crd " + name, example: &unstructured.Unstructured{}, narrow: byItsName(name), convert: readDefinition,
		}); err != nil {
			return fmt.Errorf("follow CRD %s: %w", name, err)
		}
	}
	return nil
}

// byItsName has an informer follow one object.
func byItsName(name string) func(*metav1.ListOptions) {
	return func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}
}

// arrange starts and stops feeds by what is installed now. It says whether all
// there is to know is known.
func (c *custom) arrange(ctx context.Context) (known bool, err error) {
	for _, fd := range c.definitions {
		if !fd.known() {
			return false, nil
		}
	}
	known = true
	for name, k := range c.kinds {
		gvr := c.choose(name, k)
		if gvr != c.resources[name] {
			if err := c.switchTo(ctx, name, gvr); err != nil {
				return false, err
			}
		}
		fd := c.objects[name]
		known = known && (fd == nil || fd.known())
	}
	return known, nil
}

// choose is the resource to follow for a CRD, none if there is none.
func (c *custom) choose(name string, k kind) schema.GroupVersionResource {
	var served []string
	for _, d := range objects[*definition](c.definitions[name]) {
		served = d.served
	}
	resource := schema.ParseGroupResource(name)
	for _, version := range k.versions {
		if slices.Contains(served, version) {
			c.missing[name] = false
			return resource.WithVersion(version)
		}
	}
	if !c.missing[name] {
		c.missing[name] = true
		remedy := remedyUpstream
		if resource.Group == Group {
			remedy = remedyOwn
		}
		c.log.Warn("not installed in the cluster, as Gateways need it; it is taken once it is", "crd", name, "versions", k.versions, "remedy", remedy)
	}
	return schema.GroupVersionResource{}
}

// switchTo follows another resource for a CRD.
func (c *custom) switchTo(ctx context.Context, name string, gvr schema.GroupVersionResource) error {
	if old := c.objects[name]; old != nil {
		old.stop()
	}
	delete(c.objects, name)
	c.resources[name] = gvr
	if gvr.Empty() {
		return nil
	}
	fd, err := follow(ctx, c.feeds, c.client.Resource(gvr), view{
		what: gvr.String(), example: &unstructured.Unstructured{}, convert: c.kinds[name].transform,
	})
	if err != nil {
		return fmt.Errorf("follow %s: %w", gvr, err)
	}
	c.objects[name] = fd
	return nil
}

// read says whether the objects of a CRD are known, and not only that they may not
// be read or that there is no such CRD.
func (c *custom) read(name string) bool {
	fd := c.objects[name]
	return fd != nil && fd.informer.HasSynced()
}

// bundles are the versions of the Gateway API that the CRDs are of.
func (c *custom) bundles() map[string]string {
	found := map[string]string{}
	for name, fd := range c.definitions {
		for _, d := range objects[*definition](fd) {
			if schema.ParseGroupResource(name).Group == upstream {
				found[name] = d.bundle
			}
		}
	}
	return found
}
