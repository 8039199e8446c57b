package clustercheck

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names of Deployments, which are those of the roles.
const (
	coordinator = "coordinator"
	worker      = "worker"
	turn        = "turn"
)

const applyRemedy = "kubectl apply -k deploy/kubernetes, or one of its overlays"

// deployments looks at the three of them, and at why pods are not ready.
func (r *run) deployments(ctx context.Context) error {
	for _, name := range []string{coordinator, r.workers(), turn} {
		d, err := ask(ctx, r, func(ctx context.Context) (*appsv1.Deployment, error) {
			return r.Cluster.API.Deployments(r.namespace).Get(ctx, name, metav1.GetOptions{})
		})
		switch {
		case apierrors.IsNotFound(err) && name == turn:
			r.note(name, "there is no Deployment turn: browsers must reach the media of workers themselves (overlay host-port)",
				"where they cannot, "+applyRemedy)
		case apierrors.IsNotFound(err):
			r.fail(name, fmt.Sprintf("there is no Deployment %s in namespace %s", name, r.namespace), applyRemedy)
		case err != nil:
			r.trouble(name, "get deployments", err)
		default:
			r.deployment(ctx, d)
		}
	}
	return nil
}

// workers is the name of their Deployment.
func (r *run) workers() string {
	if r.Settings.FreeSeats > 0 && r.Settings.Workers != "" {
		return r.Settings.Workers
	}
	return worker
}

// deployment says how many of its pods are ready, and why the others are not.
func (r *run) deployment(ctx context.Context, d *appsv1.Deployment) {
	wanted := int32(1)
	if d.Spec.Replicas != nil {
		wanted = *d.Spec.Replicas
	}
	if wanted == 0 {
		r.fail(d.Name, fmt.Sprintf("Deployment %s is scaled to 0", d.Name), fmt.Sprintf("kubectl -n %s scale deployment %s --replicas=2", r.namespace, d.Name))
		return
	}
	if d.Status.ReadyReplicas >= wanted && d.Status.UpdatedReplicas >= wanted {
		r.pass(d.Name, "%d of %d pods are ready", d.Status.ReadyReplicas, wanted)
		return
	}
	faults := r.pods(ctx, d)
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			faults = append([]fault{refused(short(c.Message))}, faults...)
		}
	}
	ready := fmt.Sprintf("%d of %d pods are ready", d.Status.ReadyReplicas, wanted)
	for _, f := range faults {
		r.add(Finding{Name: d.Name, State: Failed, Found: ready, Cause: f.cause, Remedy: f.remedy})
	}
	switch {
	case len(faults) > 0:
	case d.Status.ReadyReplicas >= wanted:
		r.pass(d.Name, "%s; a rollout is under way: %d of them are new", ready, d.Status.UpdatedReplicas)
	default:
		r.add(Finding{
			Name: d.Name, State: Failed, Found: ready, Cause: "the others have only just been made, or are not to be seen",
			Remedy: fmt.Sprintf("wait a moment; then kubectl -n %s describe deployment %s", r.namespace, d.Name),
		})
	}
}

// fault is what keeps pods from being ready.
type fault struct{ cause, remedy string }

// refused says why the API server takes no pods.
func refused(message string) fault {
	f := fault{"no pods can be made: " + message, "the message says what refuses them"}
	switch {
	case strings.Contains(message, "PodSecurity"):
		f.remedy = "the namespace enforces a pod security standard that these pods break (host ports need privileged): apply the base as it is, or change the label " + enforced
	case strings.Contains(message, "exceeded quota"):
		f.remedy = "raise the ResourceQuota of the namespace, or ask for fewer replicas"
	case strings.Contains(message, "serviceaccount"):
		f.remedy = applyRemedy + ": it makes the ServiceAccount too"
	}
	return f
}

// pods are the reasons of those that are not ready, each once.
func (r *run) pods(ctx context.Context, d *appsv1.Deployment) []fault {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil // the API server takes none such
	}
	pods, err := ask(ctx, r, func(ctx context.Context) (*corev1.PodList, error) {
		return r.Cluster.API.Pods(r.namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String(), Limit: limit})
	})
	if err != nil {
		r.trouble(d.Name, "list pods", err)
		return nil
	}
	var faults []fault
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp != nil {
			continue
		}
		if f, ok := r.pod(&pod); ok && !slices.ContainsFunc(faults, func(o fault) bool { return o.remedy == f.remedy }) {
			faults = append(faults, f)
		}
	}
	return faults
}

// pod says why one is not ready; ok is false if it is.
func (r *run) pod(pod *corev1.Pod) (f fault, ok bool) {
	ready := false
	for _, c := range pod.Status.Conditions {
		switch {
		case c.Type == corev1.PodReady:
			ready = c.Status == corev1.ConditionTrue
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse:
			return fault{
				fmt.Sprintf("pod %s is on no node: %s", pod.Name, short(c.Message)),
				"add a node or make room (the message counts what each node lacks), or lower resources.requests",
			}, true
		}
	}
	if ready {
		return fault{}, false
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if f, ok := r.container(pod.Name, s); ok {
			return f, true
		}
	}
	if !slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.State.Running != nil }) {
		return fault{
			fmt.Sprintf("pod %s is being made: its node gets the image, or waits for what the pod mounts", pod.Name),
			fmt.Sprintf("wait a moment; then kubectl -n %s describe pod %s", r.namespace, pod.Name),
		}, true
	}
	return fault{
		fmt.Sprintf("pod %s runs and is not ready: it is starting, or its probe at /readyz says no", pod.Name),
		fmt.Sprintf("kubectl -n %s logs %s says what it waits for", r.namespace, pod.Name),
	}, true
}

// container says why one does not run; ok is false if it does, or is about to.
func (r *run) container(pod string, s corev1.ContainerStatus) (f fault, ok bool) {
	logs := fmt.Sprintf("kubectl -n %s logs %s --previous says why", r.namespace, pod)
	if ended := s.State.Terminated; ended != nil && ended.ExitCode != 0 {
		return fault{fmt.Sprintf("pod %s ended: %s", pod, exit(ended)), logs}, true
	}
	waiting := s.State.Waiting
	if waiting == nil {
		return fault{}, false
	}
	why := fmt.Sprintf("pod %s: %s: %s", pod, short(waiting.Reason), short(waiting.Message))
	switch waiting.Reason {
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ErrImageInspect":
		return fault{why, fmt.Sprintf("the image %s is neither on the node nor in its registry: load it onto every node, or set the image (kustomize: images) to one that can be pulled", short(s.Image))}, true
	case "CrashLoopBackOff":
		if last := s.LastTerminationState.Terminated; last != nil {
			why = fmt.Sprintf("pod %s: CrashLoopBackOff: it ended %d times, the last time with %s", pod, s.RestartCount, exit(last))
			if last.Reason == "OOMKilled" {
				return fault{why, "raise resources.limits.memory, or lower worker.rooms.max"}, true
			}
		}
		return fault{why, logs}, true
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return fault{why, "the message names what the pod refers to and is not there; " + applyRemedy}, true
	}
	return fault{}, false
}

// exit is the end of a container in words.
func exit(t *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("exit code %d", t.ExitCode)
	if t.Reason != "" && t.Reason != "Error" {
		text += " (" + short(t.Reason) + ")"
	}
	if t.Message != "" {
		text += ": " + short(t.Message)
	}
	return text
}
