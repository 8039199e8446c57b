package coordinator

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/cloudretro/cloudretro/coordinator/identity"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// maxOfPod is how many workers a pod may have: one, and those that were there
// before it started again and are not missed yet.
const maxOfPod = 4

// admit says what keeps a worker that proves nothing but its pod from joining. It
// runs foreign code, which may have learnt the id of another one from a page: it
// has an id of its own pod, or none, also while that other one is away. And one
// pod must not pass for a thousand, not even if they all come at once. Who is
// admitted counts until addWorker, which is to follow.
//
// A worker of a version that made its id otherwise is refused, too: to take it is
// to take anybody. Its games go on, as they do without any coordinator.
func (r *registry) admit(id string, pod identity.Identity) error {
	if !signal.WorkerOf(signal.PodPart(pod.UID), id) {
		return signal.Errorf(signal.CodeDenied, "the id %q is not one of pod %s, which the worker's token names: "+
			"run worker and coordinator in the same version, and mount a token of its own into each pod", id, pod.Pod)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	pods := maps.Clone(r.coming)
	for other, w := range r.workers {
		pods[other] = w.pod
	}
	delete(pods, id)
	others := 0
	for _, its := range pods {
		if its == pod.Pod {
			others++
		}
	}
	if others >= maxOfPod {
		return signal.Errorf(signal.CodeDenied, "%d workers of pod %s are here already; wait until those that ended are missed", others, pod.Pod)
	}
	r.coming[id] = pod.Pod
	return nil
}

// addressesAt are those of the media addresses that are at the host that speaks.
// A worker that proved its pod alone must not open gates to the rest of the
// cluster; those in the cluster know its addresses from EndpointSlices.
func addressesAt(remote string, addrs []string) []string {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(addrs, func(s string) bool {
		addr, err := netip.ParseAddrPort(s)
		return err != nil || addr.Addr().Unmap() != from.Addr().Unmap().WithZone("")
	})
}

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
