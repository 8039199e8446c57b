package cluster_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// recorder is an API server that notes what it is asked for and answers the same to
// everything.
type recorder struct {
	status int
	answer string

	mu    sync.Mutex
	asked string // the last request: method, path and query, content type, body
}

func (r *recorder) ServeHTTP(rw http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	r.asked = strings.TrimSpace(strings.Join([]string{q.Method, q.URL.RequestURI(), q.Header.Get("Content-Type"), string(body)}, " "))
	r.mu.Unlock()
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(r.status)
	_, _ = io.WriteString(rw, r.answer)
}

func (r *recorder) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// serve is a client of it.
func (r *recorder) serve(t *testing.T) *cluster.API {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	api, err := cluster.NewAPI(&rest.Config{Host: server.URL}, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// What each kind is asked for by.
func TestAPI(t *testing.T) {
	r := &recorder{status: http.StatusOK, answer: `{}`}
	api := r.serve(t)
	get, list := metav1.GetOptions{}, metav1.ListOptions{}
	for want, ask := range map[string]func(context.Context) error{
		"GET /api/v1/namespaces/o":                                       func(c context.Context) error { _, err := api.Namespaces().Get(c, "o", get); return err },
		"GET /api/v1/nodes/o":                                            func(c context.Context) error { _, err := api.Nodes().Get(c, "o", get); return err },
		"GET /api/v1/namespaces/n/secrets/o":                             func(c context.Context) error { _, err := api.Secrets("n").Get(c, "o", get); return err },
		"GET /api/v1/secrets":                                            func(c context.Context) error { _, err := api.Secrets("").List(c, list); return err },
		"GET /api/v1/namespaces/n/configmaps/o":                          func(c context.Context) error { _, err := api.ConfigMaps("n").Get(c, "o", get); return err },
		"GET /api/v1/namespaces/n/services/o":                            func(c context.Context) error { _, err := api.Services("n").Get(c, "o", get); return err },
		"GET /api/v1/namespaces/n/pods/o":                                func(c context.Context) error { _, err := api.Pods("n").Get(c, "o", get); return err },
		"GET /api/v1/namespaces/n/serviceaccounts/o":                     func(c context.Context) error { _, err := api.ServiceAccounts("n").Get(c, "o", get); return err },
		"GET /apis/apps/v1/deployments":                                  func(c context.Context) error { _, err := api.Deployments("").List(c, list); return err },
		"GET /apis/apps/v1/namespaces/n/deployments/o":                   func(c context.Context) error { _, err := api.Deployments("n").Get(c, "o", get); return err },
		"GET /apis/apps/v1/namespaces/n/deployments/o/scale":             func(c context.Context) error { _, err := api.Scales("n").Get(c, "o", get); return err },
		"GET /apis/discovery.k8s.io/v1/namespaces/n/endpointslices/o":    func(c context.Context) error { _, err := api.EndpointSlices("n").Get(c, "o", get); return err },
		"GET /apis/coordination.k8s.io/v1/namespaces/n/leases/o":         func(c context.Context) error { _, err := api.Leases("n").Get(c, "o", get); return err },
		"GET /apis/networking.k8s.io/v1/namespaces/n/networkpolicies":    func(c context.Context) error { _, err := api.NetworkPolicies("n").List(c, list); return err },
		"GET /apis/autoscaling/v2/namespaces/n/horizontalpodautoscalers": func(c context.Context) error { _, err := api.HorizontalPodAutoscalers("n").List(c, list); return err },
		"GET /.well-known/openid-configuration": func(c context.Context) error {
			return api.REST().Get().AbsPath("/.well-known/openid-configuration").Do(c).Error()
		},
		"GET /api/v1/namespaces/n/pods?labelSelector=a%3Db&limit=7": func(c context.Context) error {
			_, err := api.Pods("n").List(c, metav1.ListOptions{LabelSelector: "a=b", Limit: 7})
			return err
		},
		"GET /api/v1/namespaces/n/pods?timeout=9s&timeoutSeconds=9": func(c context.Context) error {
			_, err := api.Pods("n").List(c, metav1.ListOptions{TimeoutSeconds: ptr.To[int64](9)})
			return err
		},
		"GET /apis/apps/v1/namespaces/n/deployments/o?resourceVersion=12": func(c context.Context) error {
			_, err := api.Deployments("n").Get(c, "o", metav1.GetOptions{ResourceVersion: "12"})
			return err
		},
		`DELETE /api/v1/namespaces/n/pods/o application/json {"kind":"DeleteOptions","apiVersion":"v1","preconditions":{"uid":"u"}}`: func(c context.Context) error {
			return api.Pods("n").Delete(c, "o", metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions("u")})
		},
		`PATCH /api/v1/namespaces/n/pods/o?fieldManager=us application/merge-patch+json {"metadata":{}}`: func(c context.Context) error {
			_, err := api.Pods("n").Patch(c, "o", types.MergePatchType, []byte(`{"metadata":{}}`), metav1.PatchOptions{FieldManager: "us"})
			return err
		},
	} {
		if err := ask(t.Context()); err != nil && !runtime.IsMissingKind(err) { // of the answer, which is for all
			t.Errorf("%s: %v", want, err)
		}
		if got := r.last(); got != want {
			t.Errorf("asked %q\n want %q", got, want)
		}
	}
}

// What is written says of which kind it is, in the version of its own group.
func TestAPIWrites(t *testing.T) {
	r := &recorder{status: http.StatusOK, answer: `{}`}
	api := r.serve(t)
	named := metav1.ObjectMeta{Name: "o"}
	for want, ask := range map[string]func(context.Context) error{
		"POST /apis/apps/v1/namespaces/n/deployments?dryRun=All Deployment apps/v1": func(c context.Context) error {
			_, err := api.Deployments("n").Create(c, &appsv1.Deployment{ObjectMeta: named}, metav1.CreateOptions{DryRun: []string{"All"}})
			return err
		},
		"PUT /api/v1/namespaces/n/secrets/o Secret v1": func(c context.Context) error {
			_, err := api.Secrets("n").Update(c, &corev1.Secret{ObjectMeta: named}, metav1.UpdateOptions{})
			return err
		},
		"PUT /apis/apps/v1/namespaces/n/deployments/o/scale Scale autoscaling/v1": func(c context.Context) error {
			_, err := api.Scales("n").Update(c, &autoscalingv1.Scale{ObjectMeta: named}, metav1.UpdateOptions{})
			return err
		},
		"POST /apis/authentication.k8s.io/v1/tokenreviews TokenReview authentication.k8s.io/v1": func(c context.Context) error {
			_, err := api.TokenReviews().Create(c, &authenticationv1.TokenReview{}, metav1.CreateOptions{})
			return err
		},
		"POST /apis/authorization.k8s.io/v1/subjectaccessreviews SubjectAccessReview authorization.k8s.io/v1": func(c context.Context) error {
			_, err := api.SubjectAccessReviews().Create(c, &authorizationv1.SubjectAccessReview{}, metav1.CreateOptions{})
			return err
		},
		"POST /apis/authorization.k8s.io/v1/namespaces/n/localsubjectaccessreviews LocalSubjectAccessReview authorization.k8s.io/v1": func(c context.Context) error {
			_, err := api.LocalSubjectAccessReviews("n").Create(c, &authorizationv1.LocalSubjectAccessReview{}, metav1.CreateOptions{})
			return err
		},
	} {
		if err := ask(t.Context()); err != nil && !runtime.IsMissingKind(err) { // of the answer, which is for all
			t.Errorf("%s: %v", want, err)
		}
		request, body, _ := strings.Cut(r.last(), " application/json ")
		var kind metav1.TypeMeta
		if err := json.Unmarshal([]byte(body), &kind); err != nil {
			t.Fatal(err)
		}
		if got := request + " " + kind.Kind + " " + kind.APIVersion; got != want {
			t.Errorf("asked %q\n want %q", got, want)
		}
	}
}

// isOther says whether an error is that the answer was of another kind.
func isOther(err error) bool { return err != nil && strings.Contains(err.Error(), "a proxy before it") }

// Answers of an API server that are errors are those of apierrors; names that would
// lead elsewhere, and answers that are no objects, are refused.
func TestAPIErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		answer string
		object string
		is     func(error) bool
	}{
		"not found":     {404, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`, "o", apierrors.IsNotFound},
		"bare":          {404, `no such page`, "o", apierrors.IsNotFound},
		"forbidden":     {403, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`, "o", apierrors.IsForbidden},
		"conflict":      {409, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Conflict","code":409}`, "o", apierrors.IsConflict},
		"nonsense":      {200, `{"metadata":[]}`, "o", func(err error) bool { return err != nil }},
		"unknown kind":  {200, `{"kind":"Teapot","apiVersion":"v1"}`, "o", func(err error) bool { return err != nil }},
		"no kind":       {200, `{}`, "o", runtime.IsMissingKind},
		"another kind":  {200, `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"o"}}`, "o", isOther},
		"a list":        {200, `{"kind":"SecretList","apiVersion":"v1"}`, "o", isOther},
		"all is well":   {200, `{"kind":"Status","apiVersion":"v1","status":"Success"}`, "o", isOther},
		"all is not":    {200, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`, "o", apierrors.IsForbidden},
		"a page":        {200, `<html>Please log in</html>`, "o", func(err error) bool { return err != nil }},
		"no name":       {200, `{}`, "", func(err error) bool { return err != nil }},
		"a way upwards": {200, `{}`, "../../../nodes/o", func(err error) bool { return err != nil }},
	} {
		r := &recorder{status: tt.status, answer: tt.answer}
		if _, err := r.serve(t).Secrets("n").Get(t.Context(), tt.object, metav1.GetOptions{}); !tt.is(err) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := r.serve(t).Secrets("n").List(t.Context(), metav1.ListOptions{}); tt.object != "" && name != "a list" && err == nil {
			t.Errorf("%s: is a list", name)
		}
	}
}

// A real API server is asked the same, and a watch hears of what is done.
func TestAPIOfAServer(t *testing.T) {
	c := clustertest.Connect(t)
	ctx := soon(t)
	maps := c.API.ConfigMaps(c.Namespace)
	list, err := maps.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	watch, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion, FieldSelector: "metadata.name=o"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	made, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "o"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made.Data = map[string]string{"k": "v"}
	if _, err := maps.Update(ctx, made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Update(ctx, made, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("an old version was taken: %v", err)
	}
	if got, err := maps.Patch(ctx, "o", types.MergePatchType, []byte(`{"data":{"k":"w"}}`), metav1.PatchOptions{}); err != nil || got.Data["k"] != "w" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := maps.Get(ctx, "o", metav1.GetOptions{}); err != nil || got.Data["k"] != "w" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := maps.Delete(ctx, "o", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []apiwatch.EventType{apiwatch.Added, apiwatch.Modified, apiwatch.Modified, apiwatch.Deleted} {
		select {
		case event := <-watch.ResultChan():
			if object, ok := event.Object.(*corev1.ConfigMap); event.Type != want || !ok || object.Name != "o" {
				t.Fatalf("event %+v, want %s", event, want)
			}
		case <-ctx.Done():
			t.Fatal("nothing is heard")
		}
	}
}
