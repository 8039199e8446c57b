package e2e

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/turn/credential"
)

// mediaPort of workers (webrtc.singlePort).
const mediaPort = 8443

// workerToken is one that a worker's service account may have, meant for coordinators.
func (i *installation) workerToken(t *testing.T) string {
	t.Helper()
	pods := i.pods(t, "worker")
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences:      []string{"cloudretro"},
		BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pods[0].Name, UID: pods[0].UID},
	}}
	got, err := clustertest.Clientset(i.Cluster).CoreV1().ServiceAccounts(i.Namespace).CreateToken(t.Context(), "worker", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Status.Token
}

// letIn says whether a coordinator takes a worker with this token.
func letIn(t *testing.T, url, token string) bool {
	t.Helper()
	ws, c := challenged(t, &Member{URL: url}, "/ws/worker")
	defer func() { _ = ws.Close() }()
	r := introduction(c, "", signal.RoleWorker)
	r.ID, r.MAC, r.Token = signal.NewWorkerID(signal.PodPart(signal.TokenPod(token))), "", token
	ws.say(signal.TypeRegister, "", r)
	for {
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		_, data, err := ws.ReadMessage()
		if websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
			return false
		}
		if err != nil {
			t.Fatalf("neither let in nor refused: %v", err)
		}
		var e signal.Envelope
		if json.Unmarshal(data, &e) == nil && e.Type != signal.TypeError {
			return true
		}
	}
}

// TestClusterConfines looks for what the installation should not be able to do.
func TestClusterConfines(t *testing.T) {
	i := install(t, "node-port", "")
	url := i.url(t)
	i.rolledOut(t, coldStart)
	t.Run("relay", func(t *testing.T) { i.relayConfines(t) })
	t.Run("pod security", func(t *testing.T) {
		ns, err := clustertest.Clientset(i.Cluster).CoreV1().Namespaces().Get(t.Context(), i.Namespace, metav1.GetOptions{})
		if err != nil || ns.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Errorf("the namespace has labels %v, %v", ns.Labels, err)
		}
		for _, p := range i.pods(t, "") { // as the API server would judge them today
			p.ObjectMeta = metav1.ObjectMeta{Name: "again", Labels: p.Labels}
			p.Spec.NodeName, p.Spec.TopologySpreadConstraints = "", nil
			if _, err := clustertest.Clientset(i.Cluster).CoreV1().Pods(i.Namespace).Create(t.Context(), &p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("rights", func(t *testing.T) { i.rights(t) })
	t.Run("network policies", func(t *testing.T) {
		list, err := clustertest.Clientset(i.Cluster).NetworkingV1().NetworkPolicies(i.Namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range list.Items {
			names = append(names, p.Name)
		}
		t.Logf("policies %v", names)
		if !slices.Contains(names, "deny-all") {
			t.Errorf("policies %v: nothing is denied", names)
		}
	})
	t.Run("token for others", func(t *testing.T) {
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"cloudretro"}}}
		got, err := clustertest.Clientset(i.Cluster).CoreV1().ServiceAccounts(i.Namespace).CreateToken(t.Context(), "turn", request, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if letIn(t, url, got.Status.Token) {
			t.Error("the token of a gate's service account is taken for a worker's")
		}
	})
}

// credential is a good one for gates.
func (i *installation) credential(t *testing.T) signal.ICEServer {
	t.Helper()
	secret, err := clustertest.Clientset(i.Cluster).CoreV1().Secrets(i.Namespace).Get(t.Context(), "cloudretro-turn", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	newest, _, _ := strings.Cut(string(secret.Data["secret"]), "\n")
	user, password, err := credential.Mint(newest, "scan", time.Minute, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return signal.ICEServer{Username: user, Credential: password}
}

// relayConfines scans with a good credential all that the gate must not relay to.
func (i *installation) relayConfines(t *testing.T) {
	r := allocate(t, i.gate(t), i.credential(t))
	if r.refused != 0 {
		t.Fatalf("no relay with a good credential: code %d", r.refused)
	}
	workers, others := i.addresses(t)
	for _, w := range workers {
		if code := r.bind(netip.AddrPortFrom(w, mediaPort)); code != 0 {
			t.Errorf("the media port of worker %s is refused: %d", w, code)
		}
		for _, port := range []uint16{22, 53, 80, 443, 6443, 8000, 8442, 8444, 9000, 9090, 10250, 65535} {
			if code := r.bind(netip.AddrPortFrom(w, port)); code != 403 {
				t.Errorf("port %d of worker %s: code %d, want 403", port, w, code)
			}
		}
	}
	for _, a := range others {
		if code := r.permit(netip.AddrPortFrom(a, mediaPort)); code == 0 {
			t.Errorf("a permission for %s is granted", a)
		}
		if code := r.bind(netip.AddrPortFrom(a, mediaPort)); code == 0 {
			t.Errorf("a channel to %s is granted", a)
		}
	}
	t.Logf("%d workers are reached at port %d; %d other addresses are not", len(workers), mediaPort, len(others))
}

// addresses are those of the workers' pods, and all others that the cluster has,
// or that lead out of it.
func (i *installation) addresses(t *testing.T) (workers, others []netip.Addr) {
	t.Helper()
	for _, p := range i.pods(t, "worker") {
		workers = append(workers, netip.MustParseAddr(p.Status.PodIP))
	}
	found := []string{
		"169.254.169.254", "169.254.170.2", "100.100.100.200", "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1", "8.8.8.8",
	}
	pods, errPods := clustertest.Clientset(i.Cluster).CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	services, errServices := clustertest.Clientset(i.Cluster).CoreV1().Services("").List(t.Context(), metav1.ListOptions{})
	if errPods != nil || errServices != nil {
		t.Fatal(errPods, errServices)
	}
	for _, p := range pods.Items {
		found = append(found, p.Status.PodIP, p.Status.HostIP)
	}
	for _, s := range services.Items {
		found = append(found, s.Spec.ClusterIP)
	}
	for _, w := range workers { // and the pods' network around them
		a := w.As4()
		for last := range byte(255) {
			a[3] = last
			found = append(found, netip.AddrFrom4(a).String())
		}
	}
	for _, text := range found {
		if a, err := netip.ParseAddr(text); err == nil && a.Is4() && !slices.Contains(workers, a) {
			others = append(others, a)
		}
	}
	slices.SortFunc(others, netip.Addr.Compare)
	return workers, slices.Compact(others)
}

// rights logs what each service account may, and checks what it must not.
func (i *installation) rights(t *testing.T) {
	for _, role := range roles {
		user := "system:serviceaccount:" + i.Namespace + ":" + role
		t.Logf("%s may:\n%s", role, kubectl(t, "-n", i.Namespace, "auth", "can-i", "--list", "--as="+user))
		denied := []authorizationv1.ResourceAttributes{
			{Verb: "list", Resource: "secrets"},
			{Verb: "get", Resource: "secrets", Namespace: "kube-system"},
			{Verb: "create", Resource: "pods"},
			{Verb: "delete", Resource: "pods"},
			{Verb: "create", Resource: "pods", Subresource: "exec"},
			{Verb: "create", Resource: "serviceaccounts", Subresource: "token"},
			{Verb: "get", Resource: "nodes"},
			{Verb: "update", Resource: "roles", Group: "rbac.authorization.k8s.io"},
			{Verb: "update", Resource: "configmaps"},
		}
		if role != "coordinator" {
			denied = append(denied, authorizationv1.ResourceAttributes{Verb: "get", Resource: "secrets", Name: "cloudretro-session"},
				authorizationv1.ResourceAttributes{Verb: "create", Resource: "secrets"}, authorizationv1.ResourceAttributes{Verb: "patch", Resource: "pods"})
		}
		if role == "worker" {
			denied = append(denied, authorizationv1.ResourceAttributes{Verb: "get", Resource: "secrets", Name: "cloudretro-turn"},
				authorizationv1.ResourceAttributes{Verb: "get", Resource: "secrets", Name: "cloudretro-worker"})
		}
		for _, what := range denied {
			if what.Namespace == "" {
				what.Namespace = i.Namespace
			}
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: user, ResourceAttributes: &what,
				Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + i.Namespace, "system:authenticated"},
			}}
			got, err := clustertest.Clientset(i.Cluster).AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
			if err != nil || got.Status.Allowed {
				t.Errorf("%s may %s %s/%s %s: %v", role, what.Verb, what.Resource, what.Subresource, what.Name, err)
			}
		}
	}
}
