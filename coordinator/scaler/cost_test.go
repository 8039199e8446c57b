package scaler

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMarks(t *testing.T) {
	tests := []struct {
		name string
		pod  Pod
		want marks
		kept bool
	}{
		{"idle", Pod{State: "ready", Places: 4, Free: 4}, marks{"0", "true"}, false},
		{"browsers that have no game yet", Pod{State: "ready", Sessions: 2}, marks{"2", "false"}, true},
		{"many of them", Pod{State: "ready", Sessions: 5000}, marks{"99", "false"}, true},
		{"a game", Pod{State: "ready", Rooms: 1, Sessions: 1}, marks{"101", "false"}, true},
		{"a game whose player comes back", Pod{State: "ready", Rooms: 1}, marks{"100", "false"}, true},
		{"more players", Pod{State: "overloaded", Rooms: 1, Sessions: 8}, marks{"108", "false"}, true},
		{"drains with a game", Pod{State: "draining", Rooms: 1, Sessions: 1}, marks{"101", "false"}, true},
		{"drained", Pod{State: "draining"}, marks{"-1", "true"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := marksOf(tt.pod)
			if got != tt.want || got.kept() != tt.kept {
				t.Errorf("got %+v, kept %v, want %+v, %v", got, got.kept(), tt.want, tt.kept)
			}
		})
	}
	for _, foreign := range []string{"", "many", "-5", "99999999999999999999"} {
		if (marks{cost: foreign}).kept() {
			t.Errorf("cost %q keeps a pod", foreign)
		}
	}
}

func TestPatch(t *testing.T) {
	data, err := marks{"101", "false"}.patch("u-1")
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	if err := json.Unmarshal(data, &pod); err != nil || pod.UID != "u-1" || written(&pod) != (marks{"101", "false"}) {
		t.Errorf("%v: %s", err, data)
	}
}

func TestSlim(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "u", Labels: map[string]string{"a": "b"}, ManagedFields: []metav1.ManagedFieldsEntry{{}}},
		Spec:       corev1.PodSpec{NodeName: "n"},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	got, err := slim(pod)
	small, ok := got.(*corev1.Pod)
	if err != nil || !ok || small.Name != "p" || small.UID != "u" || small.Labels["a"] != "b" || !ready(small) || over(small) ||
		small.ManagedFields != nil || small.Spec.NodeName != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := slim("no pod"); got != "no pod" || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}
