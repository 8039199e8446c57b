package scaler

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Annotations that say which pod is to go first: the ReplicaSet takes those of
// the lowest cost
// (https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost),
// and the cluster autoscaler moves none that is not safe to evict.
const (
	costAnnotation = "controller.kubernetes.io/pod-deletion-cost"
	safeAnnotation = "cluster-autoscaler.kubernetes.io/safe-to-evict"
)

// gameCost is that of a pod with a game, before its sessions: always more than
// that of one without.
const gameCost = 100

// rest is how long the annotations of a pod stay before they change again.
const rest = time.Second

// marks are the two annotations.
type marks struct{ cost, safe string }

// patched is what was written last to a pod.
type patched struct {
	uid types.UID
	at  time.Time
}

// marksOf is what the cluster is told of a worker.
func marksOf(w Pod) marks {
	cost := min(max(w.Sessions, 0), gameCost-1)
	switch {
	case w.Rooms > 0:
		cost = gameCost + max(w.Sessions, 0)
	case w.State == stateDraining && !w.busy():
		cost = -1 // of no use any more
	}
	return marks{strconv.Itoa(cost), strconv.FormatBool(!w.busy())}
}

// written are the annotations as they are.
func written(pod *corev1.Pod) marks {
	return marks{pod.Annotations[costAnnotation], pod.Annotations[safeAnnotation]}
}

// kept says whether the pod is marked as one that is to stay.
func (m marks) kept() bool {
	cost, err := strconv.Atoi(m.cost)
	return err == nil && cost > 0
}

// patch is a JSON merge patch (RFC 7396). With another pod's UID the API server
// refuses it.
func (m marks) patch(uid types.UID) ([]byte, error) {
	type metadata struct {
		UID         types.UID         `json:"uid"`
		Annotations map[string]string `json:"annotations"`
	}
	data, err := json.Marshal(map[string]metadata{"metadata": {uid, map[string]string{costAnnotation: m.cost, safeAnnotation: m.safe}}})
	if err != nil {
		return nil, fmt.Errorf("encode annotations: %w", err)
	}
	return data, nil
}

// annotate brings the pods up to date of whose workers something is known.
func (r *round) annotate(ctx context.Context, now time.Time, pods []*corev1.Pod, known map[string]*Pod) {
	there := make(map[string]patched, len(pods))
	defer func() { r.patched = there }()
	for i, pod := range pods {
		last := r.patched[pod.Name]
		if last.uid == pod.UID {
			there[pod.Name] = last
		}
		w := known[pod.Name]
		if w == nil || over(pod) {
			continue
		}
		want := marksOf(*w)
		if want == written(pod) || last.uid == pod.UID && now.Sub(last.at) < rest {
			continue
		}
		err := r.mark(ctx, pod, want)
		there[pod.Name] = patched{pod.UID, now}
		if r.answered(ctx, &r.marks, "annotations of a pod cannot be written; give the service account patch on pods", err); err != nil {
			r.carry(there, pods[i+1:])
			return // the next ones would fail as well, and each may take its time
		}
	}
}

// carry keeps what is known of pods that were not looked at.
func (r *round) carry(to map[string]patched, pods []*corev1.Pod) {
	for _, pod := range pods {
		if last, ok := r.patched[pod.Name]; ok {
			to[pod.Name] = last
		}
	}
}

// mark writes the annotations of one pod. That it is gone is no error.
func (r *round) mark(ctx context.Context, pod *corev1.Pod, want marks) error {
	data, err := want.patch(pod.UID)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, request)
	defer cancel()
	_, err = r.cluster.API.Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, data, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	r.note(func(st *Stats) {
		if err != nil {
			st.Failed++
			return
		}
		st.Annotated++
	})
	return err
}

// over says whether a pod has ended for good.
func over(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// ready says whether a pod is.
func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
