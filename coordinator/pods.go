package coordinator

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// WorkerPod is a pod of Kubernetes with the worker in it, as that one has
// announced itself.
type WorkerPod struct {
	Pod   string // its name, in the namespace of the coordinator
	State string // signal.StateReady, StateDraining or StateOverloaded
	// Sessions are browsers; Rooms and Places are games, that run and that could
	// run at once. Free places are neither taken nor held.
	Sessions, Rooms, Places, Free int
}

// WorkerPods are those of the workers that are connected to this coordinator, by
// name. A worker that proved itself with a token is in the pod that the token
// says; of one that proved the secret its name is believed, if it could be that
// of a pod and no token names that pod. It may be called concurrently.
func (c *Coordinator) WorkerPods() []WorkerPod {
	now := time.Now()
	c.registry.mu.Lock()
	defer c.registry.mu.Unlock()
	links := map[string]*workerLink{}
	for _, w := range c.registry.workers {
		if pod := w.inPod(); pod != "" && w.speaksFor(pod, links[pod]) {
			links[pod] = w
		}
	}
	pods := make([]WorkerPod, 0, len(links))
	for pod, w := range links {
		load := w.loadNow(now)
		pods = append(pods, WorkerPod{pod, load.State, load.Sessions, len(w.rooms), load.Places, load.Free})
	}
	slices.SortFunc(pods, func(a, b WorkerPod) int { return strings.Compare(a.Pod, b.Pod) })
	return pods
}

// inPod is the pod that a worker is in, "" if it is in none.
func (w *workerLink) inPod() string {
	if w.pod == "" && len(validation.IsDNS1123Subdomain(w.name)) == 0 {
		return w.name
	}
	return w.pod
}

// speaksFor says whether of two workers of one pod w is to be believed: the one
// with a token, else the one that came last, since a container may start again
// before the end of the old one is noticed.
func (w *workerLink) speaksFor(pod string, other *workerLink) bool {
	if other == nil || (w.pod == pod) != (other.pod == pod) {
		return other == nil || w.pod == pod
	}
	return w.since.After(other.since)
}
