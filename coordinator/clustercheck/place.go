package clustercheck

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
)

// usual is the namespace that deploy/kubernetes makes, as examples name it.
const usual = "cloudretro"

// enforced is the label of the pod security standard that a namespace enforces
// (https://kubernetes.io/docs/concepts/security/pod-security-admission/).
const enforced = "pod-security.kubernetes.io/enforce"

// server says whether there is an API server.
func (r *run) server(ctx context.Context) error {
	found, err := known[version.Info](ctx, r, "/version")
	if err == nil && found.GitVersion == "" {
		err = errors.New("it says no version")
	}
	if err != nil {
		cause, remedy := r.unreachable(err)
		r.fail("api server", cause, remedy)
		return errStop
	}
	r.pass("api server", "Kubernetes %s at %s", short(found.GitVersion), r.Cluster.REST.Host)
	return nil
}

// unreachable says why the API server does not answer.
func (r *run) unreachable(err error) (cause, remedy string) {
	cause = fmt.Sprintf("%s does not answer as an API server: %s", r.Cluster.REST.Host, short(err.Error()))
	var refused *net.OpError
	var name *net.DNSError
	var unknown x509.UnknownAuthorityError
	var wrong x509.HostnameError
	switch {
	case apierrors.IsUnauthorized(err):
		return r.Cluster.REST.Host + " does not know who this is: the credential of the kubeconfig is refused", "log in to the cluster again, or name another --kubeconfig"
	case apierrors.IsForbidden(err):
		return r.Cluster.REST.Host + " tells its version to nobody without a right", "run this as somebody who may get /version"
	case errors.As(err, &name):
		return cause, "the name in the kubeconfig is not known here; name another --kubeconfig, or look at DNS and VPN"
	case errors.As(err, &unknown), errors.As(err, &wrong):
		return cause, "its certificate is not the one of the kubeconfig: the cluster has been made anew? fetch its kubeconfig again"
	case errors.Is(err, context.DeadlineExceeded):
		return cause, "nothing came back in time: look at firewalls and VPN, and whether the cluster runs"
	case errors.As(err, &refused):
		return cause, "start the cluster, or name another --kubeconfig"
	}
	return cause, "name another --kubeconfig, or look at the cluster"
}

// place finds the namespace and looks at it.
func (r *run) place(ctx context.Context) error {
	r.namespace = r.Namespace
	if r.namespace == "" {
		r.namespace = r.search(ctx)
	}
	found, err := ask(ctx, r, func(ctx context.Context) (*corev1.Namespace, error) {
		return r.Cluster.API.Namespaces().Get(ctx, r.namespace, metav1.GetOptions{})
	})
	switch {
	case apierrors.IsNotFound(err):
		r.fail("namespace", fmt.Sprintf("there is no namespace %s", r.namespace),
			"kubectl apply -k deploy/kubernetes makes one, called "+usual+"; or name another one with --namespace")
		return errStop
	case err != nil:
		r.trouble("namespace", "get namespaces", err)
		return nil
	case found.DeletionTimestamp != nil:
		r.fail("namespace", fmt.Sprintf("namespace %s is being deleted", r.namespace), "wait until it is gone, and apply again")
		return errStop
	}
	r.pass("namespace", "%s", r.namespace)
	switch level := found.Labels[enforced]; level {
	case "restricted":
		r.pass("pod security", "restricted is enforced")
	case "":
		r.note("pod security", "the namespace enforces no standard; our pods keep to restricted all the same",
			fmt.Sprintf("kubectl label namespace %s %s=restricted", r.namespace, enforced))
	default:
		r.note("pod security", fmt.Sprintf("the namespace enforces %q, which is less than restricted; host ports need that, nothing else does", short(level)), "")
	}
	return nil
}

// search is the namespace of the installation: the cluster's own, unless there
// is none there and there is one elsewhere.
func (r *run) search(ctx context.Context) string {
	list, err := ask(ctx, r, func(ctx context.Context) (list []string, err error) {
		deployments, err := r.Cluster.API.Deployments(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
			LabelSelector: "app.kubernetes.io/name=cloudretro,app.kubernetes.io/component=coordinator", Limit: limit,
		})
		if err == nil {
			for _, d := range deployments.Items {
				list = append(list, d.Namespace)
			}
		}
		return list, err
	})
	slices.Sort(list)
	list = slices.Compact(list)
	switch {
	case err != nil || len(list) == 0 || slices.Contains(list, r.Cluster.Namespace):
	case len(list) == 1:
		return list[0]
	default:
		r.note("namespace", "there are installations in "+strings.Join(list, ", "), "choose one with --namespace")
	}
	return r.Cluster.Namespace
}

// longest is how much of a text from the cluster is repeated.
const longest = 300

// short bounds a text from the cluster, keeps it on one line and does nothing to
// the terminal.
func short(text string) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || unicode.IsPrint(c) {
			return c
		}
		return '?'
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return text
}
