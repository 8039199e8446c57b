// Package clustertest gives tests a namespace in a real cluster.
package clustertest

import (
	"context"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// Variables that say that there is a cluster for tests (make cluster-test). A
// KUBECONFIG alone is not enough: it may lead to one that is in use.
const (
	Allowed    = "CLOUDRETRO_CLUSTER"
	Kubeconfig = "KUBECONFIG"
)

// Connect is a client for a namespace that is made for the test and deleted
// after it. Without a cluster the test is skipped, and says so.
func Connect(t testing.TB) *cluster.Cluster {
	t.Helper()
	c := client(t, metav1.NamespaceDefault)
	c.Namespace = Namespace(t, c)
	return c
}

// Namespace makes one more namespace, which is deleted after the test.
func Namespace(t testing.TB, c *cluster.Cluster) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	made, err := Clientset(c).CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "cloudretro-test-"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("make a namespace: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := Clientset(c).CoreV1().Namespaces().Delete(ctx, made.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete namespace %s: %v", made.Name, err)
		}
	})
	return made.Name
}

func client(t testing.TB, namespace string) *cluster.Cluster {
	t.Helper()
	if os.Getenv(Allowed) == "" {
		t.Skipf("SKIPPED: needs a cluster: %s=1 and %s (make cluster-test)", Allowed, Kubeconfig)
	}
	file := os.Getenv(Kubeconfig)
	if file == "" {
		t.Skipf("SKIPPED: %s is empty; it must name the kubeconfig of a cluster for tests", Kubeconfig)
	}
	return connect(t, file, namespace)
}

// connect is a client that no connection outlives.
func connect(t testing.TB, kubeconfig, namespace string) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Connect(cluster.Config{Kubeconfig: kubeconfig, Namespace: namespace, Identity: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
