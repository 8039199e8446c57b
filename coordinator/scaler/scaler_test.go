package scaler_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/coordinator/scaler"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	bound = time.Minute // how long a test waits for what must come
	cost  = "controller.kubernetes.io/pod-deletion-cost"
	safe  = "cluster-autoscaler.kubernetes.io/safe-to-evict"
)

// until waits for a condition.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	end, tick := time.After(bound), time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not within %v", what, bound)
		}
	}
}

// fleet are workers as coordinators know them.
type fleet struct {
	mu   sync.Mutex
	pods map[string]scaler.Pod
}

func (f *fleet) workers() []scaler.Pod {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.pods))
}

// put has a worker with two places announce how many games it has.
func (f *fleet) put(pod string, games int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pods == nil {
		f.pods = map[string]scaler.Pod{}
	}
	f.pods[pod] = scaler.Pod{Name: pod, State: "ready", Places: 2, Free: 2 - games, Rooms: games, Sessions: games}
}

// joined has the workers be those that are ready, with the games that they have.
func (f *fleet) joined(t *testing.T, c *cluster.Cluster) int {
	t.Helper()
	pods, err := clustertest.Clientset(c).CoreV1().Pods(c.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := map[string]scaler.Pod{}
	for _, p := range pods.Items {
		if p.DeletionTimestamp != nil || !slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			continue
		}
		now[p.Name] = scaler.Pod{Name: p.Name, State: "ready", Places: 2, Free: 2}
		if old, ok := f.pods[p.Name]; ok {
			now[p.Name] = old
		}
	}
	f.pods = now
	return len(now)
}

func (f *fleet) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.pods))
}

// start runs a scaler until the test ends, or it is told to.
func start(t *testing.T, c *cluster.Cluster, f *fleet, settings scaler.Settings, log *slog.Logger) (s *scaler.Scaler, end func()) {
	t.Helper()
	s = scaler.New(scaler.Config{Cluster: c, Workers: f.workers, Settings: settings, Logger: log})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	end = func() { cancel(); wg.Wait() }
	t.Cleanup(end)
	return s, end
}

func labelsOf(component string) map[string]string {
	return map[string]string{"app.kubernetes.io/name": "cloudretro", "app.kubernetes.io/component": component}
}

// paused is a pod that does nothing, on no node unless it is scheduled.
func paused(scheduler string) corev1.PodSpec {
	return corev1.PodSpec{
		SchedulerName: scheduler, TerminationGracePeriodSeconds: new(int64),
		Containers: []corev1.Container{{Name: "pause", Image: "docker.io/local/pause:1", ImagePullPolicy: corev1.PullNever}},
	}
}

func makePod(t *testing.T, c *cluster.Cluster, name, component string) {
	t.Helper()
	_, err := clustertest.Clientset(c).CoreV1().Pods(c.Namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labelsOf(component)}, Spec: paused("none"),
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// deploy makes the workers.
func deploy(t *testing.T, c *cluster.Cluster, replicas int32) {
	t.Helper()
	_, err := clustertest.Clientset(c).AppsV1().Deployments(c.Namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "worker"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labelsOf("worker")},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labelsOf("worker")}, Spec: paused("")},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func replicas(t *testing.T, c *cluster.Cluster) int {
	t.Helper()
	scale, err := clustertest.Clientset(c).AppsV1().Deployments(c.Namespace).GetScale(t.Context(), "worker", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return int(scale.Spec.Replicas)
}

// marked says whether a pod has these annotations, both "" for none.
func marked(t *testing.T, c *cluster.Cluster, pod, wantCost, wantSafe string) bool {
	t.Helper()
	p, err := clustertest.Clientset(c).CoreV1().Pods(c.Namespace).Get(t.Context(), pod, metav1.GetOptions{})
	return err == nil && p.Annotations[cost] == wantCost && p.Annotations[safe] == wantSafe
}

func TestAnnotatesWorkersAlone(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	makePod(t, c, "worker-1", "worker")
	makePod(t, c, "worker-2", "worker")
	makePod(t, c, "turn-1", "turn")
	f := &fleet{}
	f.put("worker-1", 0)
	f.put("turn-1", 1) // a worker that lies, or one outside
	f.put("nowhere", 1)
	s, end := start(t, c, f, scaler.Settings{}, nil)
	until(t, "an idle worker is marked", func() bool { return marked(t, c, "worker-1", "0", "true") })
	f.put("worker-1", 2)
	began := time.Now()
	until(t, "a game is marked", func() bool { return marked(t, c, "worker-1", "102", "false") })
	t.Logf("%v from the game to the annotation", time.Since(began).Round(10*time.Millisecond))
	f.put("worker-1", 0)
	until(t, "its end is marked", func() bool { return marked(t, c, "worker-1", "0", "true") })
	if !marked(t, c, "turn-1", "", "") || !marked(t, c, "worker-2", "", "") {
		t.Error("touched a pod of which nothing is known, or that is no worker's")
	}
	if st := s.Stats(); st.Leader != 1 || st.Annotated != 3 || st.Failed != 0 {
		t.Errorf("stats %+v", st)
	}
	end()
	if st := s.Stats(); st.Leader != 0 {
		t.Errorf("stats %+v after its end", st)
	}
	f.put("worker-2", 1)
	start(t, c, f, scaler.Settings{}, nil)
	until(t, "the next leader marks", func() bool { return marked(t, c, "worker-2", "101", "false") })
}

func TestKeepsPlacesFree(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	deploy(t, c, 1)
	f := &fleet{}
	s, _ := start(t, c, f, scaler.Settings{FreeSeats: 3, Deployment: "worker", MinReplicas: 1, MaxReplicas: 4, ScaleInDelay: time.Second}, nil)
	until(t, "two workers for three places", func() bool { return f.joined(t, c) == 2 && replicas(t, c) == 2 })
	plays := f.names()[1]
	f.put(plays, 2)
	until(t, "a third one", func() bool { return f.joined(t, c) == 3 && replicas(t, c) == 3 })
	until(t, "enough", func() bool { st := s.Stats(); return st.Free == 4 && st.Wanted == 3 && st.Replicas == 3 })
	s.SetSettings(scaler.Settings{FreeSeats: 1, Deployment: "worker", MinReplicas: 1, MaxReplicas: 4, ScaleInDelay: time.Second})
	until(t, "an idle one goes", func() bool { return f.joined(t, c) == 2 && replicas(t, c) == 2 })
	if !slices.Contains(f.names(), plays) {
		t.Errorf("%s, which has games, went; there are %v", plays, f.names())
	}
	f.put(plays, 1)
	until(t, "one is enough, the one that plays", func() bool { return f.joined(t, c) == 1 && replicas(t, c) == 1 })
	if !slices.Contains(f.names(), plays) {
		t.Errorf("%s, which has a game, went; there are %v", plays, f.names())
	}
}

// What others scale in takes idle pods as well.
func TestScalingInTakesIdlePods(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	deploy(t, c, 5)
	f := &fleet{}
	until(t, "five workers", func() bool { return f.joined(t, c) == 5 })
	play := f.names()[:2]
	start(t, c, f, scaler.Settings{}, nil)
	for _, pod := range play {
		f.put(pod, 1)
	}
	until(t, "games are marked", func() bool { return marked(t, c, play[0], "101", "false") && marked(t, c, play[1], "101", "false") })
	scale, err := clustertest.Clientset(c).AppsV1().Deployments(c.Namespace).GetScale(t.Context(), "worker", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	scale.Spec.Replicas = 2
	if _, err := clustertest.Clientset(c).AppsV1().Deployments(c.Namespace).UpdateScale(t.Context(), "worker", scale, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "two are left", func() bool { return f.joined(t, c) == 2 })
	if got := f.names(); !slices.Equal(got, play) {
		t.Errorf("left are %v, want those with games, %v", got, play)
	}
}

func TestOneOfTwoScales(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	deploy(t, c, 1)
	f := &fleet{}
	settings := scaler.Settings{FreeSeats: 3, Deployment: "worker", MinReplicas: 1, MaxReplicas: 4, ScaleInDelay: time.Minute}
	one, endOne := start(t, c, f, settings, nil)
	two, endTwo := start(t, c, f, settings, nil)
	until(t, "two workers", func() bool { return f.joined(t, c) == 2 })
	until(t, "both are marked", func() bool {
		return marked(t, c, f.names()[0], "0", "true") && marked(t, c, f.names()[1], "0", "true")
	})
	end, other := endOne, two
	if one.Stats().Leader == 0 {
		end, other = endTwo, one
	}
	if a, b := one.Stats(), two.Stats(); a.Leader+b.Leader != 1 || a.Scaled+b.Scaled != 1 || other.Stats().Annotated != 0 {
		t.Errorf("stats %+v and %+v", a, b)
	}
	end()
	f.put(f.names()[0], 2)
	until(t, "the other one scales", func() bool { return f.joined(t, c) == 3 && other.Stats().Scaled == 1 })
}

func TestLeavesItToAnAutoscaler(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	deploy(t, c, 1)
	one := int32(1)
	_, err := clustertest.Clientset(c).AutoscalingV1().HorizontalPodAutoscalers(c.Namespace).Create(t.Context(), &autoscalingv1.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "by-hand"},
		Spec: autoscalingv1.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv1.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "worker"},
			MinReplicas:    &one, MaxReplicas: 2,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f, log := &fleet{}, &clustertest.Log{}
	settings := scaler.Settings{FreeSeats: 9, Deployment: "worker", MinReplicas: 1, MaxReplicas: 9}
	s, _ := start(t, c, f, settings, log.Logger())
	until(t, "it is said", func() bool {
		return f.joined(t, c) == 1 && log.Count("autoscaler=by-hand") == 1
	})
	if n := replicas(t, c); n != 1 || s.Stats().Scaled != 0 {
		t.Errorf("scaled to %d, %+v", n, s.Stats())
	}
}

// What is missing is said once, and nothing ends.
func TestSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	makePod(t, c, "worker-1", "worker")
	f, log := &fleet{}, &clustertest.Log{}
	s, _ := start(t, c, f, scaler.Settings{FreeSeats: 1, Deployment: "nothing", MinReplicas: 1, MaxReplicas: 2}, log.Logger())
	until(t, "the missing Deployment is named", func() bool { return log.Count(`"nothing\" not found`) == 1 })
	f.put("worker-1", 1)
	until(t, "pods are marked all the same", func() bool { return marked(t, c, "worker-1", "101", "false") })
	if s.Stats().Failed == 0 {
		t.Error("not counted")
	}
	if n := log.Count("level=WARN"); n != 1 {
		t.Error(fmt.Sprintf("%d warnings:\n", n), log)
	}
}

// The rights that Run names are enough.
func TestRightsAreEnough(t *testing.T) {
	t.Parallel()
	c := clustertest.Connect(t)
	deploy(t, c, 1)
	own := clustertest.As(t, c, "coordinator")
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "scaler"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{scaler.Lease}, Verbs: []string{"get", "update"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list", "watch", "patch"}},
		{APIGroups: []string{"apps"}, Resources: []string{"deployments/scale"}, ResourceNames: []string{"worker"}, Verbs: []string{"get", "update"}},
		{APIGroups: []string{"autoscaling"}, Resources: []string{"horizontalpodautoscalers"}, Verbs: []string{"list"}},
	}}
	f, log := &fleet{}, &clustertest.Log{}
	own.Logger = log.Logger()
	s, _ := start(t, own, f, scaler.Settings{FreeSeats: 3, Deployment: "worker", MinReplicas: 1, MaxReplicas: 2}, own.Logger)
	until(t, "what is missing is said", func() bool { return log.Count("give the service account get, create and update on leases") == 1 })
	if _, err := clustertest.Clientset(c).RbacV1().Roles(c.Namespace).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := clustertest.Clientset(c).RbacV1().RoleBindings(c.Namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "scaler"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "scaler"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "coordinator", Namespace: c.Namespace}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it scales and marks", func() bool {
		return f.joined(t, c) == 2 && replicas(t, c) == 2 && marked(t, c, f.names()[0], "0", "true") && marked(t, c, f.names()[1], "0", "true")
	})
	if st := s.Stats(); st.Failed != 0 {
		t.Errorf("%+v\n%s", st, log)
	}
}
