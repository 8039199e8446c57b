package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	authentication "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// TestNobodyCopiesASecret: a coordinator that has made its secrets takes a worker
// that has none, by the token of its pod.
func TestNobodyCopiesASecret(t *testing.T) {
	if err := engineAvailable(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	c := clustertest.Connect(t)
	clustertest.Account(t, c, "worker")
	pod, err := clustertest.Clientset(c).CoreV1().Pods(c.Namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "worker-1"},
		Spec: corev1.PodSpec{
			ServiceAccountName: "worker", NodeSelector: map[string]string{"cloudretro.dev/nowhere": "yes"},
			Containers: []corev1.Container{{Name: "worker", Image: "cloudretro:latest"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token")
	token := clustertest.Token(t, c, "worker", func(s *authentication.TokenRequestSpec) {
		s.Audiences = []string{"cloudretro"}
		s.BoundObjectRef = &authentication.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}
	})
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	sets := []string{
		"kubernetes.enabled=true", "kubernetes.kubeconfig=" + os.Getenv(clustertest.Kubeconfig), "kubernetes.namespace=" + c.Namespace,
		"kubernetes.token.audience=cloudretro", "kubernetes.token.file=" + file, "coordinator.server.address=127.0.0.1:0", "ops.address=",
		"library.basePath=", "webrtc.singlePort=0", "worker.server.address=127.0.0.1:0",
	}
	made := func(r roles, more ...string) *house {
		h, err := build(t.Context(), defaults(t, append(sets, more...)...), r, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.cluster.Close() })
		return h
	}
	door := made(roles{coordinator: true})
	worker := made(roles{worker: true}, "worker.network.coordinatorAddress="+door.local)
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- supervise(ctx, append(door.parts, worker.parts...), soon, door.log) }()
	defer func() {
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	if own := worker.cfg.Secrets; own.Worker != "" || own.Session != "" || len(own.Turn) > 0 {
		t.Errorf("the worker knows %+v", own)
	}
	eventually(t, "the coordinator to take the worker", func() bool {
		return gathered(t, worker.metrics)["cloudretro_worker_coordinators"] == 1
	})
}
