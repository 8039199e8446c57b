package clustercheck_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/coordinator/clustercheck"
)

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
				failed("secrets", "cloudretro-worker", "rollout restart"), failed("rights", "no ServiceAccount coordinator"),
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
			want: []finding{passed("page", "http://"), passed("relay", "turn:HOST-OF-THE-PAGE:", "transport=udp")},
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
					if _, err := clustertest.Clientset(c).CoreV1().Secrets(c.Namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
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
