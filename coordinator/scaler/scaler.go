// Package scaler tells the cluster which worker pods have games, so that scaling
// in takes those that have none, and keeps places of workers free by scaling
// their Deployment. One process of many does it, the one that holds the Lease.
package scaler

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// Lease is the name of the Lease that says who scales.
const Lease = "cloudretro-scaler"

// Component is the label, and its value, that pods of workers carry. Others are
// never touched.
const (
	componentLabel = "app.kubernetes.io/component"
	component      = "worker"
)

// stateDraining is the one state in which a worker takes no new games for good.
const stateDraining = "draining"

// period is how often what workers announced is compared with the cluster.
const period = 500 * time.Millisecond

// request is how long the API server may take for one answer.
const request = 5 * time.Second

// Pod is a worker, as it announced itself, by the pod that it is in.
type Pod struct {
	Name  string
	State string // as signal.Load has it
	// Sessions are browsers; Rooms and Places are games, that run and that could
	// run at once. Free places are neither taken nor held.
	Sessions, Rooms, Places, Free int
}

// Settings are how many places are kept free. They may change while it runs.
type Settings struct {
	FreeSeats    int           // games that could start at once; 0 = nothing is scaled
	Deployment   string        // of the workers
	MinReplicas  int           // at least 1
	MaxReplicas  int           // at least MinReplicas
	ScaleInDelay time.Duration // for how long fewer must have been enough
}

// Config is what New takes.
type Config struct {
	// Cluster whose pods and Deployment are written.
	Cluster *cluster.Cluster
	// Workers are those that are connected; it may be called by any goroutine.
	Workers func() []Pod
	// Settings at first.
	Settings Settings
	// Logger receives what is done and what fails; nil means silence.
	Logger *slog.Logger
}

// Stats is a scaler in numbers. Those below Leader are 0 in processes that do not
// lead, and those of places and replicas if nothing is scaled.
type Stats struct {
	Leader    int    // 1 if this process leads
	Replicas  int    // that the Deployment is asked for
	Wanted    int    // replicas that are enough
	Free      int    // places
	Annotated uint64 // annotations of pods written by this process
	Scaled    uint64 // how often this process scaled
	Failed    uint64 // requests that the API server refused or did not answer
}

// Scaler is made by New and run by Run. Its methods may be called concurrently.
type Scaler struct {
	cluster  *cluster.Cluster
	workers  func() []Pod
	log      *slog.Logger
	settings atomic.Pointer[Settings]

	mu    sync.Mutex
	stats Stats
}

// New starts nothing.
func New(cfg Config) *Scaler {
	s := &Scaler{cluster: cfg.Cluster, workers: cfg.Workers, log: cfg.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.SetSettings(cfg.Settings)
	return s
}

// SetSettings changes what is kept free, at once.
func (s *Scaler) SetSettings(settings Settings) { s.settings.Store(&settings) }

// Stats are the numbers of now.
func (s *Scaler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// note changes the numbers.
func (s *Scaler) note(change func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
}

// Run stands for election and does the work while it leads, until ctx ends. That
// the API server is away ends nothing. Needs these rights in the namespace:
// get, create and update on leases; list, watch and patch on pods; to scale also
// get and update on deployments/scale and list on horizontalpodautoscalers.
func (s *Scaler) Run(ctx context.Context) error { return s.cluster.Lead(ctx, Lease, s.lead) }

// lead does the work until ctx ends.
func (s *Scaler) lead(ctx context.Context) error {
	api := s.cluster.API
	pods := cluster.Informer(api, api.Pods(s.cluster.Namespace), &corev1.Pod{}, s.log.With("pods", component), func(o *metav1.ListOptions) {
		o.LabelSelector = labels.Set{componentLabel: component}.String()
	})
	_ = pods.SetTransform(slim) // fails only for an informer that runs already
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { pods.RunWithContext(ctx) })
	s.note(func(st *Stats) { st.Leader = 1 })
	defer s.note(func(st *Stats) { st.Leader, st.Replicas, st.Wanted, st.Free = 0, 0, 0, 0 })
	select {
	case <-pods.HasSyncedChecker().Done():
	case <-ctx.Done():
		return nil
	}
	r := newRound(s)
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		r.walk(ctx, time.Now(), pods.GetStore().List())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// slim keeps of a pod what is looked at here.
func slim(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
			Labels: pod.Labels, Annotations: pod.Annotations, DeletionTimestamp: pod.DeletionTimestamp,
		},
		Status: corev1.PodStatus{Phase: pod.Status.Phase, Conditions: pod.Status.Conditions},
	}, nil
}

// round is the work of one term as leader. It belongs to one goroutine.
type round struct {
	*Scaler
	patched map[string]patched // by name of the pod
	marks   cluster.Trouble    // of annotations
	scales  cluster.Trouble
	scale   deployment
}

func newRound(s *Scaler) *round {
	return &round{Scaler: s, patched: map[string]patched{}, scale: newDeployment()}
}

// answered notes an answer of the API server; what is what it means that it was an
// error.
func (r *round) answered(ctx context.Context, t *cluster.Trouble, what string, err error) {
	switch {
	case err != nil && t.New(ctx, err):
		r.log.Warn("the API server does not do what it is asked for", "what", what, "cause", err)
	case err == nil && ctx.Err() == nil && t.Over():
		r.log.Info("the API server does again what it is asked for")
	}
}

// walk compares what workers announced with the cluster, once.
func (r *round) walk(ctx context.Context, now time.Time, objects []any) {
	known := map[string]*Pod{}
	for _, w := range r.workers() {
		known[w.Name] = &w
	}
	pods := make([]*corev1.Pod, 0, len(objects))
	for _, o := range objects {
		if pod, ok := o.(*corev1.Pod); ok && pod.Labels[componentLabel] == component {
			pods = append(pods, pod)
		}
	}
	r.annotate(ctx, now, pods, known)
	r.keepFree(ctx, now, pods, known)
}
