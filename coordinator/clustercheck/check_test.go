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
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
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
	_, err := c.Client.CoreV1().Services(c.Namespace).Patch(t.Context(), service, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil {
		t.Fatal(err)
	}
}

func label(t *testing.T, c *cluster.Cluster, level string) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":%q}}}`, level)
	if _, err := c.Client.CoreV1().Namespaces().Patch(t.Context(), c.Namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
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

// Each case has one fault.
func TestFaults(t *testing.T) {
	tests := []struct {
		name    string
		running []string
		keep    func(*testing.T, object) bool
		after   func(*testing.T, *cluster.Cluster)
		change  func(*clustercheck.Settings)
		want    []finding
	}{
		{
			name: "nothing is installed", keep: func(*testing.T, object) bool { return false },
			want: []finding{
				failed("config", "no ConfigMap cloudretro", "kubectl apply -k"), failed("coordinator", "no Deployment coordinator", "kubectl apply -k"),
				failed("worker", "no Deployment worker"), noted("turn", "no Deployment turn", "host-port"), failed("page", "no Service coordinator"),
				noted("relay", "no Service turn"), failed("endpoints", "workers find no coordinator"), failed("endpoints", "gates relay to nobody"),
				failed("secrets", "cloudretro-worker", "openssl rand"), failed("rights", "no ServiceAccount coordinator"),
				noted("network", "no NetworkPolicies", "metadata"),
			},
		},
		{
			name: "image missing", running: []string{"worker"},
			keep: func(t *testing.T, o object) bool {
				if is(o, "Deployment", "worker") {
					container(t, o, func(c map[string]any) { c["image"] = "docker.io/local/no-such:1" })
				}
				return true
			},
			want: []finding{failed("worker", "0 of 1", "ErrImageNeverPull", "load it onto every node"), failed("endpoints", "worker", "no ready endpoint")},
		},
		{
			name: "no registry", running: []string{"worker"},
			keep: func(t *testing.T, o object) bool {
				if is(o, "Deployment", "worker") {
					container(t, o, func(c map[string]any) { c["image"], c["imagePullPolicy"] = "127.0.0.1:1/no-such:1", "Always" })
				}
				return true
			},
			want: []finding{failed("worker", "0 of 1", "ImagePull", "127.0.0.1:1/no-such:1")},
		},
		{
			name: "no room", running: []string{"coordinator"},
			keep: func(t *testing.T, o object) bool {
				if is(o, "Deployment", "coordinator") {
					put(t, o, map[string]any{"nowhere": "at-all"}, "spec", "template", "spec", "nodeSelector")
				}
				return true
			},
			want: []finding{failed("coordinator", "is on no node", "node affinity", "add a node")},
		},
		{
			name: "crashes", running: []string{"turn"},
			keep: func(t *testing.T, o object) bool {
				if is(o, "Deployment", "turn") {
					container(t, o, func(c map[string]any) { c["command"] = []any{"/no-such-program"} })
				}
				return true
			},
			want: []finding{failed("turn", "0 of 1", "CrashLoopBackOff", "exit code", "logs")},
		},
		{
			name: "pod security", running: []string{"worker"},
			keep: func(t *testing.T, o object) bool {
				if is(o, "Deployment", "worker") {
					put(t, o, true, "spec", "template", "spec", "hostNetwork")
				}
				return true
			},
			want: []finding{failed("worker", "no pods can be made", "PodSecurity", "enforce")},
		},
		{
			name: "ConfigMap missing", running: []string{"worker"},
			keep: func(_ *testing.T, o object) bool { return o.GetKind() != "ConfigMap" },
			want: []finding{failed("config", "no ConfigMap"), failed("worker", "0 of 1")},
		},
		{
			name: "scaled away", want: []finding{failed("coordinator", "scaled to 0", "--replicas=2"), failed("endpoints", "Service coordinator has no ready endpoint")},
		},
		{
			name: "no load balancer",
			want: []finding{failed("page", "pending", "node port", "http://", "overlays/node-port"), failed("relay", "pending", "overlays/node-port")},
		},
		{
			name: "no load balancer and no node ports",
			keep: func(t *testing.T, o object) bool {
				if is(o, "Service", "coordinator") {
					put(t, o, false, "spec", "allocateLoadBalancerNodePorts")
				}
				return true
			},
			want: []finding{failed("page", "pending", "MetalLB")},
		},
		{
			name: "node ports",
			keep: func(t *testing.T, o object) bool {
				if is(o, "Service", "coordinator") || is(o, "Service", "turn") {
					put(t, o, "NodePort", "spec", "type")
					put(t, o, "Cluster", "spec", "externalTrafficPolicy")
				}
				return true
			},
			want: []finding{passed("page", "http://"), passed("relay", "turn::", "transport=udp")},
		},
		{
			name: "inside alone",
			keep: func(t *testing.T, o object) bool {
				if is(o, "Service", "coordinator") {
					put(t, o, "ClusterIP", "spec", "type")
					delete(o.Object["spec"].(map[string]any), "externalTrafficPolicy")
				}
				return !is(o, "Service", "turn")
			},
			want: []finding{noted("page", "ClusterIP", "port-forward"), noted("relay", "no Service turn")},
		},
		{
			name: "ports have other names", running: []string{"worker"},
			keep: func(t *testing.T, o object) bool {
				if is(o, "Service", "worker") || is(o, "Service", "coordinator") {
					put(t, o, []any{map[string]any{"name": "other", "port": int64(8000), "protocol": "TCP"}}, "spec", "ports")
				}
				return true
			},
			want: []finding{failed("page", "no port named http"), failed("endpoints", "no port named media", "gates relay to nobody")},
		},
		{
			name: "Secrets malformed",
			after: func(t *testing.T, c *cluster.Cluster) {
				for name, data := range map[string]map[string][]byte{
					cluster.SecretWorker: {"other": []byte("x")}, cluster.SecretTURN: {"secret": []byte("short")}, cluster.SecretSession: {"secret": []byte(strings.Repeat("s", 32))},
				} {
					secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
					if _, err := c.Client.CoreV1().Secrets(c.Namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
						t.Fatal(err)
					}
				}
			},
			want: []finding{
				failed("secrets", "cloudretro-worker", `no key "secret"`, "delete secret"), failed("secrets", "cloudretro-turn", "delete secret"), passed("secrets", "1 are there"),
			},
		},
		{
			name: "no Secrets are read", change: func(s *clustercheck.Settings) { s.Secrets = false },
			want: []finding{noted("secrets", "kubernetes.secrets")},
		},
		{
			name: "config.yaml is wrong",
			keep: func(t *testing.T, o object) bool {
				if o.GetKind() == "ConfigMap" {
					put(t, o, "broken: 1", "data", "config.yaml")
				}
				return true
			},
			want: []finding{failed("config", "broken: unknown key", "edit configmap")},
		},
		{
			name: "config.yaml is missing",
			keep: func(t *testing.T, o object) bool {
				if o.GetKind() == "ConfigMap" {
					put(t, o, map[string]any{"other": ""}, "data")
				}
				return true
			},
			want: []finding{failed("config", "no key config.yaml")},
		},
		{
			name: "rights are missing", keep: func(_ *testing.T, o object) bool { return !is(o, "RoleBinding", "coordinator") },
			want: []finding{failed("rights", "coordinator may not", "patch pods", "get leases cloudretro-scaler", "get secrets cloudretro-turn", "Role and RoleBinding"), passed("rights", "worker")},
		},
		{
			name: "a worker may too much",
			keep: func(t *testing.T, o object) bool {
				if is(o, "RoleBinding", "worker") {
					put(t, o, map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}, "roleRef")
				}
				return true
			},
			want: []finding{failed("rights", "worker may", "get secrets cloudretro-worker", "must not")},
		},
		{
			name: "the scaler may not scale", keep: func(_ *testing.T, o object) bool { return o.GetKind() != "RoleBinding" },
			change: func(s *clustercheck.Settings) { s.FreeSeats = 3 },
			want: []finding{
				failed("rights", "get deployments/scale worker", "list horizontalpodautoscalers"),
				failed("autoscaling", "HorizontalPodAutoscaler worker scales the workers", "delete hpa worker"),
			},
		},
		{
			name: "no metrics", want: []finding{noted("autoscaling", "custom.metrics.k8s.io", "worker", "Prometheus"), noted("autoscaling", " metrics.k8s.io", "coordinator", "metrics-server")},
		},
		{
			name: "no tokens", change: func(s *clustercheck.Settings) { s.Audience, s.TurnService = "", "" },
			want: []finding{noted("tokens", "shared secret"), noted("relay", "kubernetes.turnService")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := clustertest.Connect(t)
			if tt.name == "pod security" {
				label(t, c, "restricted")
			}
			install(t, c, tt.running, func(o object) bool { return tt.keep == nil || tt.keep(t, o) })
			if tt.after != nil {
				tt.after(t, c)
			}
			s := settings()
			if tt.change != nil {
				tt.change(&s)
			}
			until(t, c, s, tt.want...)
		})
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
	if nobody.Client, err = kubernetes.NewForConfigAndClient(nobody.REST, nobody.HTTP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nobody.Close() })
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
	if f, ok := report.Failed(); ok {
		t.Errorf("failed: %+v", f)
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
