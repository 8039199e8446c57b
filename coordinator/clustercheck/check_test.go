package clustercheck_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/coordinator/clustercheck"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bound is how long a cluster may take to come to what is to be found.
const bound = 2 * time.Minute

func settings() clustercheck.Settings {
	return clustercheck.Settings{
		CoordinatorService: "coordinator", WorkerService: "worker", TurnService: "turn", Secrets: true, Audience: "cloudretro",
		Workers: "worker", ControllerName: "cloudretro.dev/turn",
	}
}

// parseAs is a Parse that takes whatever is no "broken".
func parseAs(s clustercheck.Settings) func([]byte) (clustercheck.Settings, error) {
	return func(yaml []byte) (clustercheck.Settings, error) {
		if strings.Contains(string(yaml), "broken") {
			return s, errors.New("config.yaml:1: broken: unknown key")
		}
		return s, nil
	}
}

func check(t *testing.T, c *cluster.Cluster, s clustercheck.Settings) clustercheck.Report {
	t.Helper()
	return clustercheck.Run(t.Context(), clustercheck.Config{Cluster: c, Namespace: c.Namespace, Settings: s, Parse: parseAs(s)}, nil)
}

// finding is what is to be among those of a report: parts of its texts.
type finding struct {
	name  string
	state clustercheck.State
	parts []string
}

func (f finding) in(r clustercheck.Report) bool {
	for _, one := range r.Findings {
		text := one.Found + " " + one.Cause + " " + one.Remedy
		all := one.Name == f.name && one.State == f.state
		for _, part := range f.parts {
			all = all && strings.Contains(text, part)
		}
		if all {
			return true
		}
	}
	return false
}

func text(r clustercheck.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s: %s | %s | %s\n", f.State, f.Name, f.Found, f.Cause, f.Remedy)
	}
	return b.String()
}

// until checks again until all is found.
func until(t *testing.T, c *cluster.Cluster, s clustercheck.Settings, want ...finding) clustercheck.Report {
	t.Helper()
	end, tick := time.After(bound), time.NewTicker(500*time.Millisecond)
	defer tick.Stop()
	for {
		report, missing := check(t, c, s), ""
		for _, f := range want {
			if !f.in(report) {
				missing = fmt.Sprint(f)
			}
		}
		if missing == "" {
			return report
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not found within %v: %s, but\n%s", bound, missing, text(report))
		}
	}
}

func passed(name string, parts ...string) finding {
	return finding{name, clustercheck.Passed, parts}
}

func failed(name string, parts ...string) finding {
	return finding{name, clustercheck.Failed, parts}
}

func noted(name string, parts ...string) finding { return finding{name, clustercheck.Noted, parts} }

// makeSecrets does what the first coordinator does.
func makeSecrets(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for _, name := range []string{cluster.SecretWorker, cluster.SecretTURN, cluster.SecretSession} {
		if _, err := c.Secret(t.Context(), name, true); err != nil {
			t.Fatal(err)
		}
	}
}

// address has a cloud give a Service one.
func address(t *testing.T, c *cluster.Cluster, service, ip string) {
	t.Helper()
	patch := fmt.Sprintf(`{"status":{"loadBalancer":{"ingress":[{"ip":%q}]}}}`, ip)
	_, err := clustertest.Clientset(c).CoreV1().Services(c.Namespace).Patch(t.Context(), service, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
}

func label(t *testing.T, c *cluster.Cluster, level string) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":%q}}}`, level)
	if _, err := clustertest.Clientset(c).CoreV1().Namespaces().Patch(t.Context(), c.Namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWell(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	label(t, c, "restricted")
	install(t, c, []string{"coordinator", "worker", "turn"}, nil)
	makeSecrets(t, c)
	address(t, c, "coordinator", "192.0.2.1")
	address(t, c, "turn", "192.0.2.2")
	report := until(t, c, settings(),
		passed("api server", "Kubernetes v1."), passed("namespace", c.Namespace), passed("pod security", "restricted"),
		passed("config"), passed("coordinator", "1 of 1"), passed("worker", "1 of 1"), passed("turn", "1 of 1"),
		passed("page", "http://192.0.2.1:8000"), passed("relay", "turn:192.0.2.2:3478?transport=udp", "turn:192.0.2.2:3478?transport=tcp"),
		passed("endpoints", "coordinator: 1 ready, port http"), passed("endpoints", "worker: 1 ready, port media"),
		passed("secrets", "3 are there"), passed("rights", "coordinator"), passed("rights", "worker"), passed("rights", "turn"),
		noted("tokens", "public keys", "system:auth-delegator"), noted("network", "NetworkPolicies", "honours"))
	if f, ok := report.Failed(); ok {
		t.Errorf("failed: %+v", f)
	}
}

func TestPodSecurityIsSaid(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	until(t, c, settings(), noted("pod security", "no standard", "kubectl label namespace "+c.Namespace))
	label(t, c, "baseline")
	until(t, c, settings(), noted("pod security", `"baseline"`))
}

func TestNamespaceIsMissing(t *testing.T) {
	t.Parallel()
	c := *clustertest.Connect(t)
	c.Namespace += "-not"
	report := check(t, &c, settings())
	if !failed("namespace", "there is no namespace "+c.Namespace, "--namespace").in(report) || len(report.Findings) != 2 {
		t.Error(text(report))
	}
}

// Who has few rights is told which are missing; nothing fails for that.
func TestFewRights(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	nobody := *c
	nobody.REST = rest.CopyConfig(c.REST)
	nobody.REST.Impersonate = rest.ImpersonationConfig{UserName: "cloudretro-test-nobody", Groups: []string{"system:authenticated"}}
	var err error
	if nobody.HTTP, err = rest.HTTPClientFor(nobody.REST); err != nil {
		t.Fatal(err)
	}
	if nobody.API, err = cluster.NewAPI(nobody.REST, nobody.HTTP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { utilnet.CloseIdleConnectionsFor(nobody.HTTP.Transport) }) // the others are those of c as well
	s := settings()
	s.Gateway = true
	report := check(t, &nobody, s)
	for name, right := range map[string]string{
		"namespace": "get namespaces", "config": "get configmaps", "coordinator": "get deployments", "page": "get services", "relay": "get services",
		"endpoints": "list endpointslices", "secrets": "get secrets", "rights": "create localsubjectaccessreviews", "tokens": "create subjectaccessreviews",
		"autoscaling": "list horizontalpodautoscalers", "network": "list networkpolicies", "classes": "list gatewayclasses",
	} {
		if !noted(name, "the right to "+right, "is missing").in(report) {
			t.Errorf("%s does not name %q", name, right)
		}
	}
	for _, f := range report.Findings {
		if f.State == clustercheck.Failed && f.Name != "gateway api" { // whose kinds a cluster may be without
			t.Errorf("failed: %+v", f)
		}
	}
	if t.Failed() {
		t.Log(text(report))
	}
}

// at is a client of an API server at a URL.
func at(t *testing.T, url, token string) *cluster.Cluster {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c,
clusters: [{name: c, cluster: {server: %q, insecure-skip-tls-verify: true}}], users: [{name: u, user: {token: %q}}],
contexts: [{name: c, context: {cluster: c, user: u}}]}`, url, token)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Connect(cluster.Config{Kubeconfig: file, Namespace: "n"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestNoCluster(t *testing.T) {
	hang := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(hang) })
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>a router")) }))
	t.Cleanup(other.Close)
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	t.Cleanup(empty.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	for name, tt := range map[string]struct {
		url  string
		want finding
	}{
		"nobody listens":    {closed.URL, failed("api server", closed.URL, "refused", "start the cluster")},
		"nothing comes":     {silent.URL, failed("api server", "in time", "firewalls")},
		"something else":    {other.URL, failed("api server", "a router", "--kubeconfig")},
		"says no version":   {empty.URL, failed("api server", "no version")},
		"no such name":      {"https://no-such-cluster.invalid:6443", failed("api server", "name in the kubeconfig")},
		"speaks without it": {strings.Replace(other.URL, "http:", "https:", 1), failed("api server", "--kubeconfig")},
	} {
		t.Run(name, func(t *testing.T) {
			c := at(t, tt.url, "")
			report := clustercheck.Run(t.Context(), clustercheck.Config{Cluster: c, Timeout: time.Second, Parse: parseAs(settings())}, nil)
			if len(report.Findings) != 1 || !tt.want.in(report) {
				t.Error(text(report))
			}
			_ = c.Close()
		})
	}
}

func TestCredentialIsRefused(t *testing.T) {
	c := clustertest.Connect(t)
	report := check(t, at(t, c.REST.Host, "wrong"), settings())
	if !failed("api server", "does not know who this is", "log in").in(report) {
		t.Error(text(report))
	}
}
