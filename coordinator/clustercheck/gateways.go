package clustercheck

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/dynamic"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/consts"
)

// Groups of the Gateway API and of what is ours beside it.
const (
	gatewayGroup = "gateway.networking.k8s.io"
	ownGroup     = "cloudretro.dev"
)

const crdRemedy = "kubectl apply --server-side -f https://github.com/kubernetes-sigs/gateway-api/releases/download/" + consts.BundleVersion + "/standard-install.yaml"

// gateways looks at the Gateway API, if it is to be served.
func (r *run) gateways(ctx context.Context) error {
	if !r.Settings.Gateway {
		return nil
	}
	client, err := dynamic.NewForConfigAndClient(r.Cluster.REST, r.Cluster.HTTP)
	if err != nil {
		return fmt.Errorf("gateway API: %w", err)
	}
	if !r.definitions(ctx) {
		return nil
	}
	r.bundle(ctx, client)
	classes, ok := r.classes(ctx, client)
	if !ok {
		return nil
	}
	list, err := listOf[gatewayv1.Gateway](ctx, r, client, "gateways")
	if err != nil {
		r.trouble("gateways", "list gateways", err)
		return nil
	}
	found := 0
	for _, g := range list {
		if !slices.Contains(classes, string(g.Spec.GatewayClassName)) {
			continue
		}
		found++
		r.conditions("gateways", fmt.Sprintf("Gateway %s/%s", g.Namespace, g.Name), g.Status.Conditions, "Accepted", "Programmed")
	}
	if found == 0 {
		r.note("gateways", "there is no Gateway of our classes yet", "deploy/kubernetes.md has one to begin with")
	}
	return nil
}

// definitions says whether the resources are served; false if not so much as the
// Gateway API is.
func (r *run) definitions(ctx context.Context) (upstream bool) {
	for _, one := range []struct {
		version schema.GroupVersion
		needed  []string
		remedy  string
	}{
		{schema.GroupVersion{Group: gatewayGroup, Version: "v1"}, []string{"gatewayclasses", "gateways", "udproutes"}, crdRemedy},
		{schema.GroupVersion{Group: ownGroup, Version: "v1"}, []string{"gatewayconfigs", "staticservices", "turnroutes"}, "kubectl apply -k deploy/kubernetes/overlays/gateway"},
	} {
		list, err := known[metav1.APIResourceList](ctx, r, "/apis/"+one.version.String())
		if err != nil && !apierrors.IsNotFound(err) {
			r.trouble("gateway api", "get the API's resources", err)
			return upstream
		}
		var lacks []string
		for _, name := range one.needed {
			if list == nil || !slices.ContainsFunc(list.APIResources, func(a metav1.APIResource) bool { return a.Name == name }) {
				lacks = append(lacks, name)
			}
		}
		if len(lacks) > 0 {
			r.fail("gateway api", fmt.Sprintf("this cluster does not know %s of %s", strings.Join(lacks, ", "), one.version), one.remedy)
			return upstream
		}
		upstream = true
	}
	return upstream
}

// bundle says which version of the Gateway API is installed.
func (r *run) bundle(ctx context.Context, client dynamic.Interface) {
	crd, err := ask(ctx, r, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}).
			Get(ctx, "gateways."+gatewayGroup, metav1.GetOptions{})
	})
	if err != nil {
		r.trouble("gateway api", "get customresourcedefinitions", err)
		return
	}
	text := short(crd.GetAnnotations()[consts.BundleVersionAnnotation])
	installed, err := utilversion.ParseSemantic(text)
	if err != nil {
		r.note("gateway api", fmt.Sprintf("installed, in a version that does not say which (%q)", text), crdRemedy)
		return
	}
	ours := utilversion.MustParseSemantic(consts.BundleVersion)
	if installed.Major() > ours.Major() || installed.Minor() > ours.Minor() {
		r.note("gateway api", fmt.Sprintf("version %s is installed; %s is the newest that we know", text, consts.BundleVersion), "it most likely works")
		return
	}
	r.pass("gateway api", "version %s is installed", text)
}

// classes are the names of our GatewayClasses; ok is false if there are none.
func (r *run) classes(ctx context.Context, client dynamic.Interface) (names []string, ok bool) {
	list, err := listOf[gatewayv1.GatewayClass](ctx, r, client, "gatewayclasses")
	if err != nil {
		r.trouble("classes", "list gatewayclasses", err)
		return nil, false
	}
	for _, c := range list {
		if string(c.Spec.ControllerName) == r.Settings.ControllerName {
			names = append(names, c.Name)
			r.conditions("classes", "GatewayClass "+c.Name, c.Status.Conditions, "Accepted")
		}
	}
	if len(names) == 0 {
		r.fail("classes", fmt.Sprintf("there is no GatewayClass with controllerName %s", r.Settings.ControllerName), "kubectl apply -k deploy/kubernetes/overlays/gateway makes one")
	}
	return names, len(names) > 0
}

// conditions says whether an object has come to be what it is to be.
func (r *run) conditions(finding, object string, have []metav1.Condition, wanted ...string) {
	for _, name := range wanted {
		at := slices.IndexFunc(have, func(c metav1.Condition) bool { return c.Type == name })
		switch {
		case at < 0 || have[at].Status == metav1.ConditionUnknown:
			r.fail(finding, fmt.Sprintf("%s is not %s: no controller has looked at it yet", object, name),
				"see whether the pods of turn run and one of them holds the Lease cloudretro-gateway")
			return
		case have[at].Status != metav1.ConditionTrue:
			r.fail(finding, fmt.Sprintf("%s is not %s (%s): %s", object, name, short(have[at].Reason), short(have[at].Message)), "the message says what to change in its specification")
			return
		}
	}
	r.pass(finding, "%s is %s", object, strings.Join(wanted, " and "))
}

// listOf reads the objects of a resource of the Gateway API in all namespaces.
func listOf[T any](ctx context.Context, r *run, client dynamic.Interface, resource string) ([]T, error) {
	list, err := ask(ctx, r, func(ctx context.Context) (*unstructured.UnstructuredList, error) {
		return client.Resource(schema.GroupVersionResource{Group: gatewayGroup, Version: "v1", Resource: resource}).List(ctx, metav1.ListOptions{Limit: limit})
	})
	if err != nil {
		return nil, err
	}
	all := make([]T, 0, len(list.Items))
	for _, o := range list.Items {
		var one T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &one); err != nil {
			return nil, fmt.Errorf("%s %s: %w", resource, o.GetName(), err)
		}
		all = append(all, one)
	}
	return all, nil
}
