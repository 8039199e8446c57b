package scaler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientrest "k8s.io/client-go/rest"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// api is an API server that answers as a test says: what fails, and when, cannot
// be had of a real one.
type api struct {
	replicas int32
	fails    map[string]error // by verb and resource
	asked    map[string]int
}

// RoundTrip does what a request asks for, or fails.
func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	_, object, _ := strings.Cut(r.URL.Path, "/namespaces/arcade/")
	resource, name, _ := strings.Cut(object, "/")
	verb := map[string]string{http.MethodGet: "get", http.MethodPut: "update", http.MethodPatch: "patch"}[r.Method]
	if name == "" {
		verb = "list"
	}
	what := verb + " " + resource
	a.asked[what]++
	err := a.fails[what]
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return answer(r, int(status.Status().Code), status.Status()), nil
	}
	if err != nil {
		return nil, err
	}
	switch what {
	case "list horizontalpodautoscalers":
		return answer(r, http.StatusOK, autoscalingv2.HorizontalPodAutoscalerList{TypeMeta: metav1.TypeMeta{Kind: "HorizontalPodAutoscalerList", APIVersion: "autoscaling/v2"}}), nil
	case "patch pods":
		return answer(r, http.StatusOK, corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}}), nil
	case "update deployments":
		var scale autoscalingv1.Scale
		if err := json.NewDecoder(r.Body).Decode(&scale); err != nil {
			return nil, err
		}
		a.replicas = scale.Spec.Replicas
	}
	return answer(r, http.StatusOK, autoscalingv1.Scale{
		TypeMeta:   metav1.TypeMeta{Kind: "Scale", APIVersion: "autoscaling/v1"},
		ObjectMeta: metav1.ObjectMeta{Name: "worker"},
		Spec:       autoscalingv1.ScaleSpec{Replicas: a.replicas},
		Status:     autoscalingv1.ScaleStatus{Selector: componentLabel + "=" + component},
	}), nil
}

func answer(r *http.Request, status int, body any) *http.Response {
	data, _ := json.Marshal(body)
	return &http.Response{
		StatusCode: status, Request: r, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(data)),
	}
}

// leading is a scaler that leads, with three places that are to stay free, and
// its server.
func leading(t *testing.T, workers ...Pod) (*round, *api, *bytes.Buffer) {
	t.Helper()
	a := &api{replicas: 1, fails: map[string]error{}, asked: map[string]int{}}
	client, err := cluster.NewAPI(&clientrest.Config{Host: "http://api"}, &http.Client{Transport: a})
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	s := New(Config{
		Cluster: &cluster.Cluster{API: client, Namespace: "arcade"}, Workers: func() []Pod { return workers },
		Settings: Settings{FreeSeats: 3, Deployment: "worker", MinReplicas: 1, MaxReplicas: 9, ScaleInDelay: time.Minute},
		Logger:   slog.New(slog.NewTextHandler(log, nil)),
	})
	return newRound(s), a, log
}

// podOf is a pod of a worker that is ready.
func podOf(name, uid string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "arcade", UID: types.UID(uid), Labels: map[string]string{componentLabel: component}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

var deployments = schema.GroupResource{Group: "apps", Resource: "deployments"}

// A server that does not scale is left alone for a while, is counted, and is
// told of once until it does again.
func TestScaleFails(t *testing.T) {
	r, a, log := leading(t, Pod{Name: "w", State: "ready", Places: 1, Free: 1})
	pods, now := []any{podOf("w", "1")}, time.Now()
	walk := func(after time.Duration) {
		now = now.Add(after)
		r.walk(t.Context(), now, pods)
	}
	a.fails["get deployments"] = errors.New("no etcd")
	for range 3 {
		walk(time.Second)
	}
	if n := a.asked["get deployments"]; n != 1 || r.Stats().Failed != 1 {
		t.Errorf("asked %d times, %+v", n, r.Stats())
	}
	walk(pause)
	if n := strings.Count(log.String(), "not scaled"); n != 1 || r.Stats().Failed != 2 {
		t.Errorf("said %d times, %+v:\n%s", n, r.Stats(), log)
	}
	delete(a.fails, "get deployments")
	walk(pause)
	if a.replicas != 3 || r.Stats().Scaled != 1 || !strings.Contains(log.String(), "does again") {
		t.Errorf("%d replicas, %+v:\n%s", a.replicas, r.Stats(), log)
	}
}

// Somebody else who was quicker is no failure: what is there now is looked at.
func TestScaleConflict(t *testing.T) {
	r, a, log := leading(t, Pod{Name: "w", State: "ready", Places: 1, Free: 1})
	pods, now := []any{podOf("w", "1")}, time.Now()
	a.fails["update deployments"] = apierrors.NewConflict(deployments, "worker", errors.New("changed"))
	r.walk(t.Context(), now, pods)
	delete(a.fails, "update deployments")
	a.replicas = 2
	r.walk(t.Context(), now.Add(period), pods)
	if st := r.Stats(); a.replicas != 3 || st.Failed != 0 || st.Scaled != 1 || strings.Contains(log.String(), "not scaled") {
		t.Errorf("%d replicas, %+v:\n%s", a.replicas, st, log)
	}
}

// Who may not know of autoscalers scales; who does not get to know waits.
func TestScaleBesideAutoscalersUnknown(t *testing.T) {
	const list = "list horizontalpodautoscalers"
	for _, tt := range []struct {
		err  error
		want int32
	}{
		{apierrors.NewForbidden(deployments, "", errors.New("no role")), 3},
		{apierrors.NewServiceUnavailable("soon"), 1},
	} {
		r, a, _ := leading(t, Pod{Name: "w", State: "ready", Places: 1, Free: 1})
		a.fails[list] = tt.err
		r.walk(t.Context(), time.Now(), []any{podOf("w", "1")})
		if a.replicas != tt.want {
			t.Errorf("%v: %d replicas, want %d", tt.err, a.replicas, tt.want)
		}
	}
}

// A pod is written to once a second at the most, one that took its name at once;
// after a failure the others wait for the next walk.
func TestAnnotateIsPatient(t *testing.T) {
	r, a, log := leading(t, Pod{Name: "v", State: "ready", Rooms: 1}, Pod{Name: "w", State: "ready", Rooms: 1})
	r.SetSettings(Settings{})
	now := time.Now()
	steps := []struct {
		after time.Duration
		uid   string // of w
		fails error
		want  int // patches since the start
	}{
		{0, "2", apierrors.NewForbidden(deployments, "", errors.New("no role")), 1},
		{period, "2", nil, 2},     // w; v rests
		{period, "2", nil, 3},     // v
		{period / 2, "2", nil, 3}, // both rest
		{0, "3", nil, 4},          // a new w
		{2 * rest, "3", nil, 6},   // neither shows what was written
		{2 * rest, "3", apierrors.NewNotFound(deployments, "v"), 8}, // gone is no failure
	}
	for i, step := range steps {
		now = now.Add(step.after)
		a.fails["patch pods"] = step.fails
		r.walk(t.Context(), now, []any{podOf("v", "1"), podOf("w", step.uid), "no pod"})
		if n := a.asked["patch pods"]; n != step.want {
			t.Errorf("step %d: %d patches, want %d", i, n, step.want)
		}
	}
	if st := r.Stats(); st.Failed != 1 || st.Annotated != 5 {
		t.Errorf("%+v", st)
	}
	if n := strings.Count(log.String(), "cannot be written"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log)
	}
}

// What fails since the term is over is nobody's business.
func TestTroubleAfterTheEnd(t *testing.T) {
	r, _, log := leading(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r.answered(ended, &r.marks, "x", ended.Err())
	r.answered(t.Context(), &r.marks, "x", nil)
	if log.Len() != 0 {
		t.Errorf("said:\n%s", log)
	}
}
