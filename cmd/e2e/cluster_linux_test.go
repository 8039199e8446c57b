package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// What tests with a cluster may be told. CLOUDRETRO_IMAGE must be on the nodes, or
// where they can pull it.
const (
	imageVariable   = "CLOUDRETRO_IMAGE"
	kubectlVariable = "KUBECTL"
	apiOnlyVariable = "CLOUDRETRO_CLUSTER_API_ONLY"
)

// Labels of what is installed.
const (
	ourName   = "app.kubernetes.io/name=cloudretro"
	component = "app.kubernetes.io/component"
)

// roles as the Deployments and Services of an installation are called.
var roles = []string{"coordinator", "worker", "turn"}

// installation is CloudRetro in a namespace of its own, as kubectl apply -k makes it.
type installation struct {
	*cluster.Cluster
	folder string // of its kustomization
	image  string
	begin  time.Time // of the apply
	nodes  []netip.Addr
}

// prepare makes a namespace, and in a folder a kustomization that puts an overlay
// into it ("" = the base). What changes says follows in the kustomization.
func prepare(t *testing.T, overlay, changes string) *installation {
	t.Helper()
	if os.Getenv(apiOnlyVariable) != "" {
		t.Skipf("SKIPPED: %s is set; this needs nodes", apiOnlyVariable)
	}
	i := &installation{Cluster: clustertest.Connect(t), folder: t.TempDir(), image: os.Getenv(imageVariable)}
	if i.image == "" {
		i.image = "cloudretro:latest"
	}
	i.nodes = nodeAddresses(t, i.Cluster)
	source, err := filepath.Abs("../../deploy/kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	if overlay != "" {
		source = filepath.Join(source, "overlays", overlay)
	}
	relative, err := filepath.Rel(i.folder, source)
	if err != nil {
		t.Fatal(err)
	}
	name, tag, _ := strings.Cut(i.image, ":")
	text := fmt.Sprintf("kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1beta1\nnamespace: %s\nresources: [%q]\nimages: [{name: cloudretro, newName: %q, newTag: %q}]\n%s",
		i.Namespace, relative, name, tag, changes)
	i.change(t, text)
	t.Cleanup(func() { i.remove(t) })
	return i
}

// change adds to the kustomization.
func (i *installation) change(t *testing.T, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(i.folder, "kustomization.yaml"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// install is prepare and apply.
func install(t *testing.T, overlay, changes string) *installation {
	t.Helper()
	i := prepare(t, overlay, changes)
	i.apply(t)
	return i
}

// apply does what a user does.
func (i *installation) apply(t *testing.T) {
	t.Helper()
	i.begin = time.Now()
	kubectl(t, "apply", "-k", i.folder)
}

// remove ends the pods without their grace; the namespace goes after it.
func (i *installation) remove(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if t.Failed() {
		i.diagnose(t)
	}
	now, all := int64(1), metav1.ListOptions{LabelSelector: ourName}
	foreground := metav1.DeletePropagationBackground
	err := errors.Join(
		clustertest.Clientset(i.Cluster).AppsV1().Deployments(i.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &foreground}, all),
		clustertest.Clientset(i.Cluster).AppsV1().ReplicaSets(i.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &foreground}, all),
		clustertest.Clientset(i.Cluster).CoreV1().Pods(i.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, all))
	if err != nil {
		t.Errorf("delete the pods: %v", err)
	}
}

// keep writes a screenshot to where it is left after the test.
func (i *installation) keep(t *testing.T, p *Page) error {
	shot, err := p.Screenshot()
	if err != nil {
		return err
	}
	file := filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d.png", t.Name(), time.Now().UnixMilli()))
	t.Logf("screenshot: %s", file)
	return os.WriteFile(file, shot, 0o600)
}

// diagnose logs what is known of a failure.
func (i *installation) diagnose(t *testing.T) {
	for _, args := range [][]string{
		{"get", "pods,services,endpointslices,deployments", "-o", "wide"},
		{"get", "events", "--sort-by=.lastTimestamp"},
		{"logs", "-l", ourName, "--all-containers", "--prefix", "--timestamps", "--tail=60", "--max-log-requests=30"},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		out, err := kubectlCommand(ctx, append([]string{"-n", i.Namespace}, args...)...).CombinedOutput()
		cancel()
		t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	pods, err := clustertest.Clientset(i.Cluster).CoreV1().Pods(i.Namespace).List(ctx, metav1.ListOptions{LabelSelector: ourName + "," + component + "=turn"})
	if err != nil {
		t.Logf("gates: %v", err)
		return
	}
	for _, p := range pods.Items { // whom they refused, and why
		for line := range strings.Lines(i.metrics(ctx, p.Name)) {
			if strings.HasPrefix(line, "cloudretro_turn_") && !strings.HasSuffix(line, " 0\n") {
				t.Logf("%s: %s", p.Name, strings.TrimSpace(line))
			}
		}
	}
}

// nodeAddresses are those at which nodes are reached.
func nodeAddresses(t *testing.T, c *cluster.Cluster) []netip.Addr {
	t.Helper()
	list, err := clustertest.Clientset(c).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var found []netip.Addr
	for _, n := range list.Items {
		for _, a := range n.Status.Addresses {
			if addr, err := netip.ParseAddr(a.Address); err == nil && addr.Is4() && a.Type == corev1.NodeInternalIP {
				found = append(found, addr)
			}
		}
	}
	if len(found) == 0 {
		t.Skip("SKIPPED: the cluster has no nodes; only what needs an API server alone is tested")
	}
	return found
}

// kubectlCommand is the user's program: that of KUBECTL, or of PATH.
func kubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	program := strings.Fields(os.Getenv(kubectlVariable))
	if len(program) == 0 {
		program = []string{"kubectl"}
	}
	args = slices.Concat(program, args)
	return exec.CommandContext(ctx, args[0], args[1:]...)
}

// kubectl runs it, and answers what it printed.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := kubectlCommand(ctx, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// within waits until a condition holds, and fails with the last reason why it did not.
func within(t *testing.T, limit time.Duration, what string, ok func(ctx context.Context) error) time.Duration {
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var why error
	for {
		err := ok(ctx)
		if err == nil {
			return time.Since(begin)
		}
		if ctx.Err() == nil || why == nil {
			why = err
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %v", what, limit, why)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
