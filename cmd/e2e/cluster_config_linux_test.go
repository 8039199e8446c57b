package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// TestClusterConfig edits the ConfigMap while a game runs: pages are told of it,
// and no container starts again.
func TestClusterConfig(t *testing.T) {
	const added = "stun:stun.example.org:3478"
	i := prepare(t, "node-port", "")
	b := outside(t, i.nodes...)
	i.apply(t)
	url := i.url(t)
	i.rolledOut(t, coldStart)
	p := i.play(t, b, url+"/play/test-card")
	plays(t, p)
	since := eval[float64](t, p, "performance.now()")
	before := i.containers(t)

	maps := clustertest.Clientset(i.Cluster).CoreV1().ConfigMaps(i.Namespace)
	m, err := maps.Get(t.Context(), "cloudretro", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m.Data["config.yaml"] += fmt.Sprintf("webrtc:\n  iceServers: [{urls: [%q]}]\n", added)
	if _, err := maps.Update(t.Context(), m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Kubelets look for changes every minute or so.
	took := within(t, 3*time.Minute, "pages are told of "+added, func(context.Context) error {
		for range 8 { // of whichever coordinator
			told := greeting(t, url).ICEServers
			if !slices.ContainsFunc(told, func(s signal.ICEServer) bool { return slices.Contains(s.URLs, added) }) {
				return fmt.Errorf("they are told of %+v", told)
			}
		}
		return nil
	})
	t.Logf("the edit of the ConfigMap is taken by all coordinators after %.1f s", took.Seconds())
	if after := i.containers(t); after != before {
		t.Errorf("containers were %s, and are %s", before, after)
	}
	plays(t, p)
	notDisturbed(t, p, since)
}

// containers are all that run, and how often they started.
func (i *installation) containers(t *testing.T) string {
	t.Helper()
	var all []string
	for _, p := range i.pods(t, "") {
		for _, c := range p.Status.ContainerStatuses {
			all = append(all, fmt.Sprintf("%s:%d", c.ContainerID, c.RestartCount))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
