package cluster_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// patience is for what the API server does within a moment.
const patience = time.Minute

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// listen is c with a log of its own.
func listen(c *cluster.Cluster) (*cluster.Cluster, *clustertest.Log) {
	own, log := *c, &clustertest.Log{}
	own.Logger = log.Logger()
	return &own, log
}

func put(t *testing.T, c *cluster.Cluster, name string, data map[string]string) {
	t.Helper()
	_, err := clustertest.Clientset(c).CoreV1().Secrets(c.Namespace).Create(soon(t), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func change(t *testing.T, c *cluster.Cluster, name, value string) {
	t.Helper()
	secrets := clustertest.Clientset(c).CoreV1().Secrets(c.Namespace)
	s, err := secrets.Get(soon(t), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Data = map[string][]byte{cluster.SecretKey: []byte(value)}
	if _, err := secrets.Update(soon(t), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestSecretIsMadeOnce: of many that start at once all have the same value.
func TestSecretIsMadeOnce(t *testing.T) {
	c := clustertest.Connect(t)
	ctx := soon(t)
	const starts = 20
	values, begin := make([]string, starts), make(chan struct{})
	var group sync.WaitGroup
	for i := range starts {
		group.Go(func() {
			<-begin
			lines, err := c.Secret(ctx, cluster.SecretWorker, true)
			if err != nil || len(lines) != 1 {
				t.Errorf("%d lines, %v", len(lines), err)
				return
			}
			values[i] = lines[0]
		})
	}
	close(begin)
	group.Wait()
	if len(values[0]) != 64 || len(slices.Compact(values)) != 1 {
		t.Fatalf("values %q", values)
	}
	again, err := c.Secret(ctx, cluster.SecretWorker, false)
	if err != nil || again[0] != values[0] {
		t.Errorf("later %q, %v", again, err)
	}
	s, err := clustertest.Clientset(c).CoreV1().Secrets(c.Namespace).Get(ctx, cluster.SecretWorker, metav1.GetOptions{})
	if err != nil || s.Type != corev1.SecretTypeOpaque || s.Immutable == nil || *s.Immutable || s.Labels["app.kubernetes.io/name"] != "cloudretro" {
		t.Errorf("%+v, %v", s, err)
	}
	if other, err := c.Secret(ctx, cluster.SecretSession, true); err != nil || other[0] == values[0] {
		t.Errorf("another Secret has %q, %v", other, err)
	}
}

// TestSecretIsNotOverwritten: what somebody else has put there is read, or said
// to be wrong with a remedy.
func TestSecretIsNotOverwritten(t *testing.T) {
	c := clustertest.Connect(t)
	long := strings.Repeat("x", 20)
	for _, tt := range []struct {
		name, secret string
		data         map[string]string
		want         []string // nil: refused
		says         string
	}{
		{"several lines", cluster.SecretTURN, map[string]string{"secret": "\n" + long + "new\r\n  " + long + "old \n\n"}, []string{long + "new", long + "old"}, ""},
		{"several of what has one", cluster.SecretWorker, map[string]string{"secret": long + "\n" + long}, nil, "has 2 lines"},
		{"empty", cluster.SecretWorker, nil, nil, "no key"},
		{"another key", cluster.SecretWorker, map[string]string{"password": long}, nil, "no key"},
		{"an empty value", cluster.SecretWorker, map[string]string{"secret": " \n"}, nil, "is empty"},
		{"short", cluster.SecretTURN, map[string]string{"secret": long + "\nshort"}, nil, "only 5 characters"},
		{"binary", cluster.SecretTURN, map[string]string{"secret": long + "\x00"}, nil, "not printable"},
		{"long", cluster.SecretTURN, map[string]string{"secret": strings.Repeat("x", 1025)}, nil, "too long"},
		{"endless", cluster.SecretTURN, map[string]string{"secret": strings.Repeat("x", 500_000)}, nil, "more than"},
		{"many", cluster.SecretTURN, map[string]string{"secret": strings.Repeat(long+"\n", 17)}, nil, "more than 16 lines"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			put(t, c, tt.secret, tt.data)
			lines, err := c.Secret(soon(t), tt.secret, true)
			if !slices.Equal(lines, tt.want) || (err == nil) != (tt.want != nil) {
				t.Fatalf("%q, %v", lines, err)
			}
			if err != nil {
				for _, word := range []string{tt.says, c.Namespace + "/" + tt.secret, "openssl"} {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("%v does not say %q", err, word)
					}
				}
			}
			s, err := clustertest.Clientset(c).CoreV1().Secrets(c.Namespace).Get(soon(t), tt.secret, metav1.GetOptions{})
			if err != nil || string(s.Data["secret"]) != tt.data["secret"] {
				t.Errorf("there is %q now, %v", s.Data, err)
			}
			if err := clustertest.Clientset(c).CoreV1().Secrets(c.Namespace).Delete(soon(t), tt.secret, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestSecretIsWaitedFor by those that do not make it.
func TestSecretIsWaitedFor(t *testing.T) {
	c, log := listen(clustertest.Connect(t))
	got := make(chan []string, 1)
	ctx := soon(t)
	go func() {
		lines, err := c.Secret(ctx, cluster.SecretTURN, false)
		if err != nil {
			t.Error(err)
		}
		got <- lines
	}()
	log.Await(t, cluster.SecretTURN)
	made, err := c.Secret(soon(t), cluster.SecretTURN, true)
	if err != nil {
		t.Fatal(err)
	}
	if lines := <-got; !slices.Equal(lines, made) {
		t.Errorf("%q, not %q", lines, made)
	}
	if n := log.Count("waits for a Secret"); n != 1 {
		t.Errorf("said %d times", n)
	}
	ended, cancel := context.WithCancel(t.Context())
	time.AfterFunc(firstLook, cancel)
	if _, err := c.Secret(ended, cluster.SecretSession, false); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), cluster.SecretSession) {
		t.Errorf("after its end: %v", err)
	}
}

// firstLook is time for the API server to answer once.
const firstLook = 100 * time.Millisecond

// TestSecretOfNobodyThere: the API server away is said, and ended by ctx.
func TestSecretOfNobodyThere(t *testing.T) {
	c, log := listen(away(t))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.Secret(ctx, cluster.SecretWorker, true)
		done <- err
	}()
	log.Await(t, "connection refused")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Secret = %v", err)
	}
}

// grant gives a service account verbs on secrets, of all names or one.
func grant(t *testing.T, c *cluster.Cluster, account, secret string, verbs ...string) {
	t.Helper()
	rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: verbs}
	if secret != "" {
		rule.ResourceNames = []string{secret}
	}
	role, err := clustertest.Clientset(c).RbacV1().Roles(c.Namespace).Create(soon(t), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{GenerateName: account + "-"}, Rules: []rbacv1.PolicyRule{rule},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = clustertest.Clientset(c).RbacV1().RoleBindings(c.Namespace).Create(soon(t), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: account, Namespace: c.Namespace}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// granted waits until the API server knows of a right.
func granted(t *testing.T, c *cluster.Cluster, try func(kubernetes.Interface) error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx := soon(t); ; {
		err := try(clustertest.Clientset(c))
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

// TestSecretWithRights: those of deploy/kubernetes are enough, and what is
// missing without them is named.
func TestSecretWithRights(t *testing.T) {
	admin := clustertest.Connect(t)
	gate := clustertest.As(t, admin, "turn")
	lacking := func(c *cluster.Cluster, create bool, right string) {
		t.Helper()
		_, err := c.Secret(soon(t), cluster.SecretTURN, create)
		for _, word := range []string{"right to " + right, cluster.SecretTURN, admin.Namespace, "deploy/kubernetes"} {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%v does not say %q", err, word)
			}
		}
	}
	lacking(gate, false, "get secrets")
	grant(t, admin, "turn", cluster.SecretTURN, "get", "list", "watch")
	get := func(client kubernetes.Interface) error {
		_, err := client.CoreV1().Secrets(admin.Namespace).List(soon(t), metav1.ListOptions{FieldSelector: "metadata.name=" + cluster.SecretTURN})
		return err
	}
	granted(t, gate, get)
	lacking(gate, true, "create secrets")
	coordinator := clustertest.As(t, admin, "coordinator")
	grant(t, admin, "coordinator", "", "create")
	grant(t, admin, "coordinator", cluster.SecretTURN, "get", "list", "watch")
	granted(t, coordinator, get)
	granted(t, coordinator, func(client kubernetes.Interface) error {
		_, err := client.CoreV1().Secrets(admin.Namespace).Create(soon(t), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{GenerateName: "x-"}}, metav1.CreateOptions{})
		return err
	})
	made, err := coordinator.Secret(soon(t), cluster.SecretTURN, true)
	if err != nil {
		t.Fatal(err)
	}
	if read, err := gate.Secret(soon(t), cluster.SecretTURN, false); err != nil || !slices.Equal(read, made) {
		t.Errorf("%q, %v", read, err)
	}
	w := watch(t, gate)
	w.takes(t, made...)
}

// watcher is a WatchSecret that runs until the end of the test.
type watcher struct{ taken chan []string }

func watch(t *testing.T, c *cluster.Cluster) watcher {
	w := watcher{make(chan []string, 16)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.WatchSecret(ctx, cluster.SecretTURN, func(lines []string) { w.taken <- lines }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("WatchSecret = %v", err)
		}
	})
	return w
}

func (w watcher) takes(t *testing.T, want ...string) {
	t.Helper()
	select {
	case lines := <-w.taken:
		if !slices.Equal(lines, want) {
			t.Errorf("took %q, want %q", lines, want)
		}
	case <-soon(t).Done():
		t.Fatalf("%q is not taken", want)
	}
}

// TestRotation reaches who watches; what is wrong or gone changes nothing.
func TestRotation(t *testing.T) {
	c, log := listen(clustertest.Connect(t))
	old, fresh := strings.Repeat("o", 20), strings.Repeat("n", 20)
	put(t, c, cluster.SecretTURN, map[string]string{"secret": old})
	put(t, c, cluster.SecretSession, map[string]string{"secret": fresh}) // of no interest
	w := watch(t, c)
	w.takes(t, old)
	change(t, c, cluster.SecretTURN, fresh+"\n"+old)
	w.takes(t, fresh, old)
	change(t, c, cluster.SecretTURN, "short")
	log.Await(t, "not taken")
	change(t, c, cluster.SecretTURN, fresh+"\n"+old+"\n")
	change(t, c, cluster.SecretTURN, fresh)
	w.takes(t, fresh) // the same lines as before were nothing new
	if err := clustertest.Clientset(c).CoreV1().Secrets(c.Namespace).Delete(soon(t), cluster.SecretTURN, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	log.Await(t, "deleted")
	put(t, c, cluster.SecretTURN, map[string]string{"secret": old})
	w.takes(t, old)
}

// TestWatchWithoutRights says once what is missing.
func TestWatchWithoutRights(t *testing.T) {
	admin := clustertest.Connect(t)
	c, log := listen(clustertest.As(t, admin, "nobody"))
	put(t, admin, cluster.SecretTURN, map[string]string{"secret": strings.Repeat("x", 20)})
	w := watch(t, c)
	log.Await(t, "right to list and watch is missing")
	grant(t, admin, "nobody", cluster.SecretTURN, "list", "watch")
	w.takes(t, strings.Repeat("x", 20))
	if n := log.Count("right to list and watch"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// away is a cluster whose API server is not there.
func away(t *testing.T) *cluster.Cluster {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	text := `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}],
contexts: [{name: c, context: {cluster: c, namespace: arcade}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Connect(cluster.Config{Kubeconfig: file})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
