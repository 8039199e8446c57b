package scaler

import (
	"context"
	"errors"
	"fmt"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Times of the scale subresource: how old what is known of it may be while
// nothing is to be done, and how long nothing is tried after it could not be.
const (
	stale = 10 * time.Second
	pause = 10 * time.Second
)

// errForeign says that something else scales the Deployment.
var errForeign = errors.New("a HorizontalPodAutoscaler scales it")

// deployment is what is known of the one that is scaled.
type deployment struct {
	name     string
	replicas int
	pods     labels.Selector
	read     time.Time // zero = nothing is known
	not      time.Time // nothing is tried before
	foreign  string    // the autoscaler that was warned of

	memory  memory
	unknown map[types.UID]time.Time // pods that are ready and not joined, since when
}

func newDeployment() deployment { return deployment{unknown: map[types.UID]time.Time{}} }

// keepFree scales, if that is asked for.
func (r *round) keepFree(ctx context.Context, now time.Time, pods []*corev1.Pod, known map[string]*Pod) {
	settings := *r.settings.Load()
	d := &r.scale
	if d.name != settings.Deployment || settings.FreeSeats == 0 {
		*d = newDeployment()
		d.name = settings.Deployment
	}
	if settings.FreeSeats == 0 {
		r.note(func(st *Stats) { st.Replicas, st.Wanted, st.Free = 0, 0, 0 })
		return
	}
	if now.Before(d.not) {
		return
	}
	err := r.adjust(ctx, now, settings, pods, known)
	if errors.Is(err, errForeign) {
		d.not = now.Add(pause)
		return
	}
	if apierrors.IsConflict(err) {
		d.read, err = time.Time{}, nil // somebody else was quicker: look again at the next tick
	}
	if err != nil {
		d.not = now.Add(pause)
		r.note(func(st *Stats) { st.Failed++ })
	}
	r.answered(ctx, &r.scales, "the Deployment of the workers is not scaled", err)
}

// adjust decides by what is known of the Deployment and, if that is to change,
// once more by what it is at that moment.
func (r *round) adjust(ctx context.Context, now time.Time, settings Settings, pods []*corev1.Pod, known map[string]*Pod) error {
	d := &r.scale
	if now.Sub(d.read) >= stale {
		if _, err := r.look(ctx, now); err != nil {
			return err
		}
	}
	v := d.view(now, pods, known)
	decided, next := decide(now, settings, d.memory, v)
	if decided.replicas != v.replicas {
		scale, err := r.look(ctx, now)
		if err != nil {
			return err
		}
		v.replicas = d.replicas
		decided, next = decide(now, settings, d.memory, v)
		if err := r.write(ctx, scale, decided); err != nil {
			return err
		}
		d.replicas = decided.replicas
	}
	d.memory = next
	r.note(func(st *Stats) { st.Replicas, st.Wanted, st.Free = d.replicas, decided.wanted, decided.free })
	return nil
}

// look reads the scale subresource.
func (r *round) look(ctx context.Context, now time.Time) (*autoscalingv1.Scale, error) {
	ctx, cancel := context.WithTimeout(ctx, request)
	defer cancel()
	d := &r.scale
	scale, err := r.cluster.API.Scales(r.cluster.Namespace).Get(ctx, d.name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the scale of Deployment %s: %w", d.name, err)
	}
	if d.pods, err = labels.Parse(scale.Status.Selector); err != nil {
		return nil, fmt.Errorf("selector of Deployment %s: %w", d.name, err)
	}
	d.replicas, d.read = int(scale.Spec.Replicas), now
	return scale, nil
}

// write scales, unless something else does.
func (r *round) write(ctx context.Context, scale *autoscalingv1.Scale, decided verdict) error {
	before := int(scale.Spec.Replicas)
	if decided.replicas == before {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, request)
	defer cancel()
	if err := r.alone(ctx); err != nil {
		return err
	}
	scale.Spec.Replicas = int32(decided.replicas)
	if _, err := r.cluster.API.Scales(r.cluster.Namespace).Update(ctx, scale, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("scale Deployment %s from %d to %d: %w", r.scale.name, before, decided.replicas, err)
	}
	r.note(func(st *Stats) { st.Scaled++ })
	r.log.Info("workers scaled", "deployment", r.scale.name, "from", before, "to", decided.replicas, "free", decided.free)
	return nil
}

// alone is errForeign if a HorizontalPodAutoscaler scales the same Deployment,
// and warns of it once. Who may not know of them takes it that there is none.
func (r *round) alone(ctx context.Context) error {
	list, err := r.cluster.API.HorizontalPodAutoscalers(r.cluster.Namespace).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list HorizontalPodAutoscalers: %w", err)
	}
	for _, h := range list.Items {
		if h.Spec.ScaleTargetRef.Kind != "Deployment" || h.Spec.ScaleTargetRef.Name != r.scale.name {
			continue
		}
		if r.scale.foreign != h.Name {
			r.scale.foreign = h.Name
			r.log.Warn("not scaled, as a HorizontalPodAutoscaler does that; delete it, or set kubernetes.scaler.freeSeats to 0",
				"deployment", r.scale.name, "autoscaler", h.Name)
		}
		return errForeign
	}
	r.scale.foreign = ""
	return nil
}

// view is the Deployment's pods with what their workers announced.
func (d *deployment) view(now time.Time, pods []*corev1.Pod, known map[string]*Pod) view {
	v := view{replicas: d.replicas}
	unknown := map[types.UID]time.Time{}
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil || over(pod) || !d.pods.Matches(labels.Set(pod.Labels)) {
			continue
		}
		p := seen{ready: ready(pod), worker: known[pod.Name], kept: written(pod).kept()}
		if p.ready && p.worker == nil {
			if p.unknown = d.unknown[pod.UID]; p.unknown.IsZero() {
				p.unknown = now
			}
			unknown[pod.UID] = p.unknown
		}
		v.pods = append(v.pods, p)
	}
	d.unknown = unknown
	return v
}
