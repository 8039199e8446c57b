package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// settled is how long nodes may need to forget the pods that end.
const settled = 40 * time.Second

// deletionCost is how a ReplicaSet is told which pods to take last.
const deletionCost = corev1.PodDeletionCost

// metrics are those of a pod, through the API server.
func (i *installation) metrics(ctx context.Context, pod string) string {
	text, _ := clustertest.Clientset(i.Cluster).CoreV1().Pods(i.Namespace).ProxyGet("http", pod, "9090", "/metrics", nil).DoRaw(ctx)
	return string(text)
}

// serving is the pods of a role whose metrics have a line that begins so, and a
// value other than 0.
func (i *installation) serving(t *testing.T, role, metric string) []string {
	t.Helper()
	var found []string
	within(t, 30*time.Second, "a "+role+" with "+metric, func(ctx context.Context) error {
		found = nil
		for _, p := range i.pods(t, role) {
			for line := range strings.Lines(i.metrics(ctx, p.Name)) {
				if value, ok := strings.CutPrefix(strings.TrimSpace(line), metric); ok && strings.TrimSpace(value) != "0" {
					found = append(found, p.Name)
				}
			}
		}
		if len(found) == 0 {
			return errors.New("there is none")
		}
		return nil
	})
	return slices.Compact(found)
}

// living are the names of a role's pods that are not on their way out.
func (i *installation) living(t *testing.T, role string) []string {
	t.Helper()
	var names []string
	for _, p := range i.pods(t, role) {
		if p.DeletionTimestamp == nil {
			names = append(names, p.Name)
		}
	}
	return names
}

// scale sets the number of pods of a role, and waits until they are ready.
func (i *installation) scale(t *testing.T, role string, replicas int) {
	t.Helper()
	kubectl(t, "-n", i.Namespace, "scale", "deployment/"+role, fmt.Sprintf("--replicas=%d", replicas))
	i.rolledOut(t, coldStart)
}

// restart rolls all Deployments out anew.
func (i *installation) restart(t *testing.T) time.Duration {
	t.Helper()
	kubectl(t, "-n", i.Namespace, "rollout", "restart", "deployment", "-l", ourName)
	return i.rolledOut(t, 3*time.Minute)
}

// ended waits until the pods of these names are gone.
func (i *installation) ended(t *testing.T, limit time.Duration, names []string) time.Duration {
	t.Helper()
	return within(t, limit, "the end of old pods", func(context.Context) error {
		for _, p := range i.pods(t, "") {
			if slices.Contains(names, p.Name) {
				return fmt.Errorf("%s still runs", p.Name)
			}
		}
		return nil
	})
}

// TestClusterRestarts plays while everything around the game is replaced.
func TestClusterRestarts(t *testing.T) {
	i := prepare(t, "node-port", "")
	b := outside(t, i.nodes...)
	i.apply(t)
	url := i.url(t)
	i.rolledOut(t, coldStart)
	var old []string
	for _, role := range roles {
		old = append(old, i.living(t, role)...)
	}
	took := i.restart(t)
	t.Logf("rollout of all Deployments without sessions: %.1f s, old pods gone %.1f s later", took.Seconds(), i.ended(t, time.Minute, old).Seconds())

	p := i.play(t, b, url+"/play/test-card")
	plays(t, p)
	if !t.Run("coordinator deleted", func(t *testing.T) { i.deleteCoordinator(t, p) }) {
		return
	}
	q := i.play(t, b, url+"/play/test-card")
	if !t.Run("scaled in", func(t *testing.T) { i.scaleWorkers(t, p, q) }) {
		return
	}
	t.Run("rollout", func(t *testing.T) { i.rolloutWhilePlaying(t, b, url, p, q) })
}

// deleteCoordinator takes the coordinator away that serves a page, of three.
func (i *installation) deleteCoordinator(t *testing.T, p *Page) {
	i.scale(t, "coordinator", 3)
	since := eval[float64](t, p, "performance.now()")
	serving := i.serving(t, "coordinator", `cloudretro_coordinator_sockets{kind="page"}`)
	kubectl(t, append([]string{"-n", i.Namespace, "delete", "pod", "--wait=false"}, serving...)...)
	i.ended(t, time.Minute, serving)
	until(t, p, "cloudretro.socket === 'ready' && cloudretro.state === 'playing'", 30*time.Second)
	plays(t, p)
	notDisturbed(t, p, since)
}

// scaleWorkers adds workers and takes them away again: not those that play.
func (i *installation) scaleWorkers(t *testing.T, pages ...*Page) {
	since := make([]float64, len(pages))
	for n, p := range pages {
		since[n] = eval[float64](t, p, "performance.now()")
	}
	playing := i.serving(t, "worker", "cloudretro_worker_rooms ")
	i.scale(t, "worker", 5)
	within(t, 30*time.Second, "annotation "+deletionCost, func(context.Context) error {
		for _, p := range i.pods(t, "worker") {
			if cost := p.Annotations[deletionCost]; slices.Contains(playing, p.Name) && (cost == "" || cost == "0") {
				return fmt.Errorf("%s has %q", p.Name, cost)
			}
		}
		return nil
	})
	i.scale(t, "worker", 2)
	left := i.living(t, "worker")
	t.Logf("of five workers %v play, and %v were left", playing, left)
	for _, name := range playing {
		if !slices.Contains(left, name) {
			t.Errorf("%s, where a game is played, was taken away", name)
		}
	}
	for n, p := range pages {
		plays(t, p)
		notDisturbed(t, p, since[n])
	}
}

// rolloutWhilePlaying restarts everything; the games go on at pods on their way out.
func (i *installation) rolloutWhilePlaying(t *testing.T, b *Browser, url string, pages ...*Page) {
	since := make([]float64, len(pages))
	for n, p := range pages {
		since[n] = eval[float64](t, p, "performance.now()")
	}
	workers, gates := i.serving(t, "worker", "cloudretro_worker_rooms "), i.serving(t, "turn", "cloudretro_turn_allocations")
	t.Logf("rollout of all Deployments beside %d games: %.1f s", len(pages), i.restart(t).Seconds())
	for role, names := range map[string][]string{"worker": workers, "turn": gates} {
		for _, p := range i.pods(t, role) {
			if slices.Contains(names, p.Name) && p.DeletionTimestamp == nil {
				t.Errorf("%s is not on its way out", p.Name)
			}
		}
	}
	// Through a new gate to a worker that ends.
	room := eval[string](t, pages[0], "cloudretro.room")
	friend := i.play(t, b, url+"/room/"+room)
	if got := eval[string](t, friend, "cloudretro.room"); got != room {
		t.Errorf("the friend is in room %s, want %s", got, room)
	}
	overUDP(t, friend)
	plays(t, friend)
	friend.Close()
	linger(t, pages[0], settled)
	for n, p := range pages {
		plays(t, p)
		until(t, p, "cloudretro.socket === 'ready' && cloudretro.state === 'playing'", 30*time.Second)
		notDisturbed(t, p, since[n])
		overUDP(t, p)
		p.Close()
	}
	t.Logf("old pods were gone %.1f s after the last player", i.ended(t, 3*time.Minute, append(workers, gates...)).Seconds())
}
