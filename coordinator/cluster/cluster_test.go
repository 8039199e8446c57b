package cluster_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConnectReaches(t *testing.T) {
	c := clustertest.Connect(t)
	got, err := clustertest.Clientset(c).CoreV1().Namespaces().Get(context.Background(), c.Namespace, metav1.GetOptions{})
	if err != nil || got.Name != c.Namespace {
		t.Fatalf("namespace %v, %v", got, err)
	}
}

func TestConnectSaysWhatIsMissing(t *testing.T) {
	if _, err := cluster.Connect(cluster.Config{}); !errors.Is(err, cluster.ErrNoCluster) {
		t.Errorf("outside a pod, without a file: %v", err)
	}
	file := filepath.Join(t.TempDir(), "config")
	if _, err := cluster.Connect(cluster.Config{Kubeconfig: file}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Connect(cluster.Config{Kubeconfig: file}); err == nil || !strings.Contains(err.Error(), "kubeconfig") {
		t.Errorf("with a broken file: %v", err)
	}
}

func TestConnectTakesTheNamespaceOfTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	text := `{apiVersion: v1, kind: Config, current-context: c,
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], users: [{name: u}],
contexts: [{name: c, context: {cluster: c, user: u, namespace: arcade}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Connect(cluster.Config{Kubeconfig: file})
	if err != nil || c.Namespace != "arcade" || c.Identity == "" {
		t.Fatalf("%+v, %v", c, err)
	}
	c, err = cluster.Connect(cluster.Config{Kubeconfig: file, Namespace: "other", Identity: "me"})
	if err != nil || c.Namespace != "other" || c.Identity != "me" {
		t.Fatalf("%+v, %v", c, err)
	}
}
