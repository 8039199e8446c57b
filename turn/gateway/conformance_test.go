package gateway_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// TestConformance runs the conformance suite of the Gateway API, which is a module
// of its own, against a controller and its gates in this process. The report is
// printed.
func TestConformance(t *testing.T) {
	w := newWorld(t)
	w.start("one")
	t.Cleanup(func() {
		for _, namespace := range []string{"infra", "app-backend", "web-backend"} { // the suite's, which are the same for everybody
			err := clustertest.Clientset(w.Cluster).CoreV1().Namespaces().Delete(context.Background(), "gateway-conformance-"+namespace, metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				t.Error(err)
			}
		}
	})
	folder, report := filepath.Join("testdata", "conformance"), filepath.Join(t.TempDir(), "report.yaml")
	binary := filepath.Join(t.TempDir(), "conformance.test")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-C", folder, "-c", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the suite: %v\n%s", err, out)
	}
	for _, args := range [][]string{
		{"-test.run", "TestConformance", "-report-file", report},
		// Subtests with datagrams, which the gates do not forward without TURN.
		{"-test.run", "TestStatuses", "-test.skip", "TestStatuses/.*/.*(UDP_echo|UDP_request|[Tt]raffic|reach|datagram).*"},
	} {
		cmd := exec.CommandContext(t.Context(), binary, append(args, "-test.v", "-gateway-class", w.name)...)
		cmd.Env = append(os.Environ(), clustertest.Kubeconfig+"="+os.Getenv(clustertest.Kubeconfig))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", args[1], err, out)
			continue
		}
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "--- SKIP") && strings.Contains(line, "--- ") || strings.Contains(line, "skipped: ") {
				t.Log(strings.TrimRight(line, "\n"))
			}
		}
	}
	if text, err := os.ReadFile(report); err != nil {
		t.Error(err)
	} else {
		t.Logf("report:\n%s", text)
	}
}
