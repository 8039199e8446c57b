package deploy

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// rights are sentences of one right each, as "get secrets cloudretro-turn".
type rights map[string]bool

// add takes every right of a rule. Those of a ClusterRole say so.
func (r rights) add(groups, resources, names, verbs []string, everywhere bool) {
	for _, group := range groups {
		for _, resource := range resources {
			if group != "" {
				resource += "." + group
			}
			for _, name := range append(names, "")[:max(len(names), 1)] {
				for _, verb := range verbs {
					right := strings.TrimSpace(fmt.Sprintf("%s %s %s", verb, resource, name))
					if everywhere {
						right += " (cluster)"
					}
					r[right] = true
				}
			}
		}
	}
}

// grants are the rights of each service account of an overlay.
func grants(t *testing.T, overlay string) map[string]rights {
	t.Helper()
	objects := kustomized(t, overlay)
	all := map[string]rights{}
	for _, u := range objects {
		switch u.GetKind() {
		case "ServiceAccount":
			if all[u.GetName()] == nil {
				all[u.GetName()] = rights{}
			}
		case "RoleBinding", "ClusterRoleBinding":
			binding := as[rbacv1.RoleBinding](t, u)
			for _, s := range binding.Subjects {
				if all[s.Name] == nil {
					all[s.Name] = rights{}
				}
				role := as[rbacv1.Role](t, find(t, objects, binding.RoleRef.Kind+"/"+binding.RoleRef.Name))
				for _, rule := range role.Rules {
					all[s.Name].add(rule.APIGroups, rule.Resources, rule.ResourceNames, rule.Verbs, u.GetKind() == "ClusterRoleBinding")
				}
			}
		}
	}
	return all
}

// documented are the rights that the table of kubernetes.md has, by service
// account; those of the overlay gateway are of "turn, gateway", and so on.
func documented(t *testing.T) map[string]rights {
	t.Helper()
	text, err := os.ReadFile("kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]rights{}
	row := regexp.MustCompile("(?m)^\\| `(coordinator|worker|turn)`(, gateway|, service-network)? \\|([^|]*)\\|([^|]*)\\|([^|]*)\\|")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		who := m[1] + m[2]
		if all[who] == nil {
			all[who] = rights{}
		}
		resource, names, verbs := ticked(m[3]), ticked(m[4]), ticked(m[5])
		all[who].add([]string{""}, resource, names, verbs, strings.Contains(m[4], "whole cluster"))
	}
	return all
}

// ticked are the words in backquotes.
func ticked(text string) []string {
	var words []string
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
		words = append(words, m[1])
	}
	return words
}

// same says what one side has and the other has not.
func same(t *testing.T, who string, is, said rights) {
	t.Helper()
	for right := range is {
		if !said[right] {
			t.Errorf("%s may %q, which deploy/kubernetes.md does not say", who, right)
		}
	}
	for right := range said {
		if !is[right] {
			t.Errorf("deploy/kubernetes.md says that %s may %q, which it may not", who, right)
		}
	}
}

// The table of rights in the documents is what the manifests give.
func TestDocumentedRights(t *testing.T) {
	said := documented(t)
	if len(said) != 5 || len(said["coordinator"]) < 5 {
		t.Fatalf("the table is not found: %v", said)
	}
	for overlay := range overlays() {
		for who, is := range grants(t, overlay) {
			want := maps.Clone(said[who])
			maps.Copy(want, said[who+", "+overlay])
			same(t, fmt.Sprintf("overlay %q: %s", overlay, who), is, want)
		}
	}
}

// reviewed asks the API server itself what a service account may do.
func reviewed(t *testing.T, config *rest.Config, namespace, who string) rights {
	t.Helper()
	config = rest.CopyConfig(config)
	user := "system:serviceaccount:" + namespace + ":" + who
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(),
		&authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := rights{}
	for _, rule := range review.Status.ResourceRules {
		all.add(rule.APIGroups, rule.Resources, rule.ResourceNames, rule.Verbs, false)
	}
	return all
}

// here are rights as one namespace sees them: those in the whole cluster, too.
func here(parts ...rights) rights {
	all := rights{}
	for _, part := range parts {
		for right := range part {
			all[strings.TrimSuffix(right, " (cluster)")] = true
		}
	}
	return all
}

// What the API server lets each service account do is what the table says, and
// what everybody may.
func TestRightsInTheCluster(t *testing.T) {
	c := clustertest.Connect(t)
	said := documented(t)
	for _, overlay := range []string{"", "gateway", "service-network"} {
		t.Run("overlay "+overlay, func(t *testing.T) {
			namespace := clustertest.Namespace(t, c)
			grant(t, c, namespace, overlay)
			everybody := reviewed(t, c.REST, namespace, "nobody")
			for who := range grants(t, overlay) {
				want := here(said[who], said[who+", "+overlay])
				var last rights
				err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
					last = reviewed(t, c.REST, namespace, who) // RBAC follows its objects by informers
					return len(last) == len(everybody)+len(want), nil
				})
				for right := range everybody {
					delete(last, right)
				}
				if same(t, who, last, want); err != nil {
					t.Errorf("%s: %v", who, err)
				}
			}
		})
	}
}

// grant installs what gives the rights of an overlay, until the end of the test.
// What is of the whole cluster gets the namespace's name, too: other tests have theirs.
func grant(t *testing.T, c *cluster.Cluster, namespace, overlay string) {
	t.Helper()
	a := newApplier(t, c.REST)
	rbac := clustertest.Clientset(c).RbacV1()
	for _, u := range into(t, overlay, namespace) {
		switch kind := u.GetKind(); kind {
		case "ClusterRoleBinding":
			ref, _, _ := unstructured.NestedString(u.Object, "roleRef", "name")
			if err := unstructured.SetNestedField(u.Object, ref+"-"+namespace, "roleRef", "name"); err != nil {
				t.Fatal(err)
			}
			fallthrough
		case "ClusterRole":
			u.SetName(u.GetName() + "-" + namespace)
			remove := rbac.ClusterRoles().Delete
			if kind == "ClusterRoleBinding" {
				remove = rbac.ClusterRoleBindings().Delete
			}
			t.Cleanup(func() {
				if err := remove(context.Background(), u.GetName(), metav1.DeleteOptions{}); err != nil {
					t.Errorf("delete %s: %v", key(u), err)
				}
			})
			fallthrough
		case "ServiceAccount", "Role", "RoleBinding":
			a.apply(u)
		}
	}
}
