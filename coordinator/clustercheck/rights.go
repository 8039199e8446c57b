package clustercheck

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/scaler"
)

// right is what a ServiceAccount may do in the namespace, or everywhere.
type right struct {
	group, resource, name, verb string
	everywhere                  bool
}

func (r right) String() string {
	text := r.verb + " " + r.resource
	if r.name != "" {
		text += " " + r.name
	}
	if r.everywhere {
		text += " of the whole cluster"
	}
	return text
}

// each is one right for every verb.
func each(group, resource, name string, verbs ...string) []right {
	var all []right
	for _, v := range verbs {
		all = append(all, right{group, resource, name, v, false})
	}
	return all
}

// gatewayNeeds are the rights that gates need to serve the Gateway API, but for
// that to read Secrets, which may be given in some namespaces only.
func gatewayNeeds() []right {
	wide := slices.Concat(
		each(gatewayGroup, "gatewayclasses", "", "list", "watch", "patch"), each(gatewayGroup, "gatewayclasses/status", "", "update"),
		each(gatewayGroup, "gateways", "", "list", "watch"), each(gatewayGroup, "gateways/status", "", "update"),
		each(gatewayGroup, "udproutes", "", "list", "watch"), each(gatewayGroup, "udproutes/status", "", "update"),
		each(gatewayGroup, "referencegrants", "", "list", "watch"),
		each(ownGroup, "gatewayconfigs", "", "list", "watch"), each(ownGroup, "staticservices", "", "list", "watch"),
		each(ownGroup, "turnroutes", "", "list", "watch"), each(ownGroup, "turnroutes/status", "", "update"),
		each("apiextensions.k8s.io", "customresourcedefinitions", "gateways."+gatewayGroup, "list", "watch"),
		each("", "namespaces", "", "list", "watch"), each("", "services", "", "list", "watch", "create", "update", "delete"),
		each("discovery.k8s.io", "endpointslices", "", "list", "watch", "create", "update"))
	for i := range wide {
		wide[i].everywhere = true
	}
	return slices.Concat(wide, each("", "pods", "", "list", "watch"),
		each("coordination.k8s.io", "leases", "", "create"), each("coordination.k8s.io", "leases", "cloudretro-gateway", "get", "update"))
}

// needs are the rights without which a role does not do its work, by
// ServiceAccount, and those that one must not have.
func (r *run) needs(account string) (needed, refused []right) {
	endpoints := each("discovery.k8s.io", "endpointslices", "", "list", "watch")
	switch account {
	case coordinator:
		needed = slices.Concat(
			each("", "services", "", "list", "watch"), each("", "pods", "", "list", "watch", "patch"),
			each("coordination.k8s.io", "leases", "", "create"), each("coordination.k8s.io", "leases", scaler.Lease, "get", "update"))
		if r.Settings.Secrets {
			needed = append(needed, each("", "secrets", "", "create")...)
			for _, name := range []string{cluster.SecretWorker, cluster.SecretTURN, cluster.SecretSession} {
				needed = append(needed, each("", "secrets", name, "get")...)
			}
		}
		if r.Settings.FreeSeats > 0 {
			needed = append(needed, each("apps", "deployments/scale", r.Settings.Workers, "get", "update")...)
			needed = append(needed, each("autoscaling", "horizontalpodautoscalers", "", "list")...)
		}
	case worker: // runs foreign code
		return endpoints, slices.Concat(each("", "secrets", cluster.SecretWorker, "get"), each("", "secrets", cluster.SecretTURN, "get"),
			each("", "pods", "", "create", "patch"), each("", "pods/exec", "", "create"))
	case turn:
		needed = endpoints
		if r.Settings.Secrets {
			needed = append(needed, each("", "secrets", cluster.SecretTURN, "get")...)
		}
		if r.Settings.Gateway {
			needed = append(needed, gatewayNeeds()...)
		}
		refused = slices.Concat(each("", "secrets", cluster.SecretWorker, "get"), each("", "pods/exec", "", "create"))
	}
	return needed, refused
}

// rights asks for each ServiceAccount whether it may do what it must.
func (r *run) rights(ctx context.Context) error {
	for _, account := range []string{coordinator, worker, turn} {
		_, err := ask(ctx, r, func(ctx context.Context) (*corev1.ServiceAccount, error) {
			return r.Cluster.API.ServiceAccounts(r.namespace).Get(ctx, account, metav1.GetOptions{})
		})
		if apierrors.IsNotFound(err) {
			if account != turn {
				r.fail("rights", fmt.Sprintf("there is no ServiceAccount %s", account), applyRemedy)
			}
			continue
		}
		if !r.account(ctx, account) {
			return nil
		}
	}
	return nil
}

// account asks for one of them; false if that is of no use for the others.
func (r *run) account(ctx context.Context, account string) bool {
	needed, refused := r.needs(account)
	var lacks, exceeds []string
	for i, one := range slices.Concat(needed, refused) {
		allowed, err := r.may(ctx, account, one)
		switch {
		case err != nil:
			r.trouble("rights", "create localsubjectaccessreviews and subjectaccessreviews", err)
			return false
		case i < len(needed) && !allowed:
			lacks = append(lacks, one.String())
		case i >= len(needed) && allowed:
			exceeds = append(exceeds, one.String())
		}
	}
	if len(lacks) > 0 {
		r.fail("rights", fmt.Sprintf("ServiceAccount %s may not %s", account, strings.Join(lacks, ", ")),
			fmt.Sprintf("%s, which have Role and RoleBinding %s", applyRemedy, account))
	}
	if len(exceeds) > 0 {
		r.fail("rights", fmt.Sprintf("ServiceAccount %s may %s, which it must not: it faces strangers", account, strings.Join(exceeds, ", ")),
			"take that away: some RoleBinding or ClusterRoleBinding gives it to this account, or to all of the namespace")
	}
	if len(lacks)+len(exceeds) == 0 {
		r.pass("rights", "ServiceAccount %s may do what it must", account)
	}
	if account == turn {
		r.optional(ctx)
	}
	return true
}

// optional says which rights gates have that they can do without.
func (r *run) optional(ctx context.Context) {
	for _, one := range []struct {
		wanted       bool
		right        right
		note, remedy string
	}{
		{
			r.Settings.Gateway,
			right{resource: "secrets", verb: "list", everywhere: true},
			"ServiceAccount turn may not read Secrets of the whole cluster: Gateways are served whose certificates and credentials are in namespaces that let it",
			"if that is not meant, bind ClusterRole cloudretro-gateway-secrets to it, as overlays/gateway does",
		},
		{
			r.Settings.Prefixes,
			right{group: "networking.k8s.io", resource: "servicecidrs", verb: "list", everywhere: true},
			"turn.peers has prefixes, and ServiceAccount turn may not read which networks Services have (servicecidrs): gates keep the widest one closed that there may be around the API server's",
			"bind ClusterRole cloudretro-service-network to it, as components/service-network does (Kubernetes 1.33 and later), or list peers one by one",
		},
	} {
		if !one.wanted {
			continue
		}
		switch all, err := r.may(ctx, turn, one.right); {
		case err != nil:
			r.trouble("rights", "create subjectaccessreviews", err)
		case all:
			r.pass("rights", "ServiceAccount turn may %s", one.right)
		default:
			r.note("rights", one.note, one.remedy)
		}
	}
}

// subject is how the API server knows a ServiceAccount
// (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#service-account-tokens).
func (r *run) subject(account string) (user string, groups []string) {
	return "system:serviceaccount:" + r.namespace + ":" + account,
		[]string{"system:serviceaccounts", "system:serviceaccounts:" + r.namespace, "system:authenticated"}
}

// may asks whether an account has a right.
func (r *run) may(ctx context.Context, account string, one right) (bool, error) {
	user, groups := r.subject(account)
	resource, sub, _ := strings.Cut(one.resource, "/")
	spec := authorizationv1.SubjectAccessReviewSpec{User: user, Groups: groups, ResourceAttributes: &authorizationv1.ResourceAttributes{
		Verb: one.verb, Group: one.group, Resource: resource, Subresource: sub, Name: one.name,
	}}
	if one.everywhere {
		return r.review(ctx, spec)
	}
	spec.ResourceAttributes.Namespace = r.namespace
	answer, err := ask(ctx, r, func(ctx context.Context) (*authorizationv1.LocalSubjectAccessReview, error) {
		return r.Cluster.API.LocalSubjectAccessReviews(r.namespace).Create(ctx, &authorizationv1.LocalSubjectAccessReview{
			ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace}, Spec: spec,
		}, metav1.CreateOptions{})
	})
	if err != nil {
		return false, err
	}
	return answer.Status.Allowed, nil
}

// review asks whether a right is given in the whole cluster.
func (r *run) review(ctx context.Context, spec authorizationv1.SubjectAccessReviewSpec) (bool, error) {
	answer, err := ask(ctx, r, func(ctx context.Context) (*authorizationv1.SubjectAccessReview, error) {
		return r.Cluster.API.SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	})
	if err != nil {
		return false, err
	}
	return answer.Status.Allowed, nil
}

// reviews says how tokens of workers are checked.
func (r *run) reviews(ctx context.Context) error {
	if r.Settings.Audience == "" {
		r.note("tokens", "workers prove a shared secret, not their service account (kubernetes.token.audience is empty)", "")
		return nil
	}
	allowed, err := r.may(ctx, coordinator, right{group: "authentication.k8s.io", resource: "tokenreviews", verb: "create", everywhere: true})
	switch {
	case err != nil:
		r.trouble("tokens", "create subjectaccessreviews", err)
	case allowed:
		r.pass("tokens", "the API server reviews those of workers")
	default:
		r.note("tokens", "coordinators may not have tokens reviewed (tokenreviews); they check them by the API server's public keys, so that a token holds until it expires",
			"to have deleted pods refused at once, bind ClusterRole system:auth-delegator to ServiceAccount coordinator")
	}
	return nil
}
