package cluster

import (
	"fmt"
	"net/http"
	"sync/atomic"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
)

// Requests that a process may send a second, and at once.
const (
	requestsPerSecond = 50
	requestsAtOnce    = 100
)

// API is a client of an API server for the kinds that the roles use. client-go's
// clientset does the same for every kind there is; the registering of all of them
// as a program starts costs each process, also those that have nothing to do with
// Kubernetes, about 1.2 MB, and the binary 10 MB. It may be used concurrently.
type API struct {
	core, apps, discovery      rest.Interface
	coordination, networking   rest.Interface
	authentication, permission rest.Interface
	autoscaling                rest.Interface

	away atomic.Bool // as informers have found
}

// kinds are those of API.
func kinds() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, discoveryv1.AddToScheme, coordinationv1.AddToScheme, networkingv1.AddToScheme,
		authenticationv1.AddToScheme, authorizationv1.AddToScheme, autoscalingv1.AddToScheme, autoscalingv2.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("kinds of Kubernetes: %w", err)
		}
	}
	return scheme, nil
}

// NewAPI makes the client of an API server; it asks it for nothing. All kinds
// share a limit of requests, that of cfg if it has one.
func NewAPI(cfg *rest.Config, client *http.Client) (*API, error) {
	scheme, err := kinds()
	if err != nil {
		return nil, err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	if cfg.RateLimiter == nil {
		cfg.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(requestsPerSecond, requestsAtOnce)
	}
	a := &API{}
	for _, group := range []struct {
		to      *rest.Interface
		version schema.GroupVersion
	}{
		{&a.core, corev1.SchemeGroupVersion},
		{&a.apps, appsv1.SchemeGroupVersion},
		{&a.discovery, discoveryv1.SchemeGroupVersion},
		{&a.coordination, coordinationv1.SchemeGroupVersion},
		{&a.networking, networkingv1.SchemeGroupVersion},
		{&a.authentication, authenticationv1.SchemeGroupVersion},
		{&a.permission, authorizationv1.SchemeGroupVersion},
		{&a.autoscaling, autoscalingv2.SchemeGroupVersion},
	} {
		cfg.GroupVersion, cfg.APIPath = &group.version, "/apis"
		if group.version.Group == "" {
			cfg.APIPath = "/api"
		}
		made, err := rest.RESTClientForConfigAndClient(cfg, client)
		if err != nil {
			return nil, fmt.Errorf("client of %s: %w", group.version, err)
		}
		*group.to = made
	}
	return a, nil
}

// REST asks for what is at a path (AbsPath), of any kind.
func (a *API) REST() rest.Interface { return a.core }

// Namespaces are those of the cluster.
func (a *API) Namespaces() *Listed[*corev1.Namespace, *corev1.NamespaceList] {
	return listed[*corev1.Namespace, *corev1.NamespaceList](a.core, "namespaces", "")
}

// Nodes are those of the cluster.
func (a *API) Nodes() *Listed[*corev1.Node, *corev1.NodeList] {
	return listed[*corev1.Node, *corev1.NodeList](a.core, "nodes", "")
}

// Secrets are those of a namespace, "" = of all, as with all kinds below.
func (a *API) Secrets(namespace string) *Listed[*corev1.Secret, *corev1.SecretList] {
	return listed[*corev1.Secret, *corev1.SecretList](a.core, "secrets", namespace)
}

// ConfigMaps are those of a namespace.
func (a *API) ConfigMaps(namespace string) *Listed[*corev1.ConfigMap, *corev1.ConfigMapList] {
	return listed[*corev1.ConfigMap, *corev1.ConfigMapList](a.core, "configmaps", namespace)
}

// Services are those of a namespace.
func (a *API) Services(namespace string) *Listed[*corev1.Service, *corev1.ServiceList] {
	return listed[*corev1.Service, *corev1.ServiceList](a.core, "services", namespace)
}

// Pods are those of a namespace.
func (a *API) Pods(namespace string) *Listed[*corev1.Pod, *corev1.PodList] {
	return listed[*corev1.Pod, *corev1.PodList](a.core, "pods", namespace)
}

// ServiceAccounts are those of a namespace.
func (a *API) ServiceAccounts(namespace string) *Listed[*corev1.ServiceAccount, *corev1.ServiceAccountList] {
	return listed[*corev1.ServiceAccount, *corev1.ServiceAccountList](a.core, "serviceaccounts", namespace)
}

// EndpointSlices are those of a namespace.
func (a *API) EndpointSlices(namespace string) *Listed[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList] {
	return listed[*discoveryv1.EndpointSlice, *discoveryv1.EndpointSliceList](a.discovery, "endpointslices", namespace)
}

// Deployments are those of a namespace.
func (a *API) Deployments(namespace string) *Listed[*appsv1.Deployment, *appsv1.DeploymentList] {
	return listed[*appsv1.Deployment, *appsv1.DeploymentList](a.apps, "deployments", namespace)
}

// Scales are the scale subresources of the Deployments of a namespace.
func (a *API) Scales(namespace string) *Objects[*autoscalingv1.Scale] {
	o := objects[*autoscalingv1.Scale](a.apps, "deployments", namespace)
	o.subresource = "scale"
	return o
}

// Leases are those of a namespace.
func (a *API) Leases(namespace string) *Listed[*coordinationv1.Lease, *coordinationv1.LeaseList] {
	return listed[*coordinationv1.Lease, *coordinationv1.LeaseList](a.coordination, "leases", namespace)
}

// NetworkPolicies are those of a namespace.
func (a *API) NetworkPolicies(namespace string) *Listed[*networkingv1.NetworkPolicy, *networkingv1.NetworkPolicyList] {
	return listed[*networkingv1.NetworkPolicy, *networkingv1.NetworkPolicyList](a.networking, "networkpolicies", namespace)
}

// ServiceCIDRs are the networks of the cluster's Services (Kubernetes 1.33).
func (a *API) ServiceCIDRs() *Listed[*networkingv1.ServiceCIDR, *networkingv1.ServiceCIDRList] {
	return listed[*networkingv1.ServiceCIDR, *networkingv1.ServiceCIDRList](a.networking, "servicecidrs", "")
}

// HorizontalPodAutoscalers are those of a namespace.
func (a *API) HorizontalPodAutoscalers(namespace string) *Listed[*autoscalingv2.HorizontalPodAutoscaler, *autoscalingv2.HorizontalPodAutoscalerList] {
	return listed[*autoscalingv2.HorizontalPodAutoscaler, *autoscalingv2.HorizontalPodAutoscalerList](a.autoscaling, "horizontalpodautoscalers", namespace)
}

// TokenReviews can be created only: they are questions.
func (a *API) TokenReviews() *Objects[*authenticationv1.TokenReview] {
	return objects[*authenticationv1.TokenReview](a.authentication, "tokenreviews", "")
}

// SubjectAccessReviews can be created only: they are questions.
func (a *API) SubjectAccessReviews() *Objects[*authorizationv1.SubjectAccessReview] {
	return objects[*authorizationv1.SubjectAccessReview](a.permission, "subjectaccessreviews", "")
}

// LocalSubjectAccessReviews can be created only: they are questions.
func (a *API) LocalSubjectAccessReviews(namespace string) *Objects[*authorizationv1.LocalSubjectAccessReview] {
	return objects[*authorizationv1.LocalSubjectAccessReview](a.permission, "localsubjectaccessreviews", namespace)
}
