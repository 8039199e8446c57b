package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// coldStart bounds how long an installation may take on a busy machine.
const coldStart = 2 * time.Minute

// nodePort is the one at which nodes have a port of a Service.
func (i *installation) nodePort(t *testing.T, service, port string) int32 {
	t.Helper()
	s, err := clustertest.Clientset(i.Cluster).CoreV1().Services(i.Namespace).Get(t.Context(), service, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Spec.Ports {
		if p.Name == port && p.NodePort != 0 {
			return p.NodePort
		}
	}
	t.Fatalf("service %s has no node port for %s: %+v", service, port, s.Spec.Ports)
	return 0
}

// url is that of the page at the first node, once it lists games.
func (i *installation) url(t *testing.T) string {
	t.Helper()
	s := &Stage{URL: fmt.Sprintf("http://%s:%d", i.nodes[0], i.nodePort(t, "coordinator", "http"))}
	within(t, coldStart, "games at "+s.URL, func(ctx context.Context) error {
		i.pulled(t)
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		games, err := s.Games(short)
		if err == nil && len(games) == 0 {
			err = errors.New("the list is empty")
		}
		return err
	})
	return s.URL
}

// pulled fails when a node cannot get the image, which waiting would not mend.
func (i *installation) pulled(t *testing.T) {
	t.Helper()
	for _, p := range i.pods(t, "") {
		for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			if w := c.State.Waiting; w != nil && slices.Contains([]string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}, w.Reason) {
				t.Fatalf("node %s cannot get the image %s (%s); load it on the nodes, or name one that they can pull in %s\n%s",
					p.Spec.NodeName, c.Image, w.Reason, imageVariable, w.Message)
			}
		}
	}
}

// pods of a role ("" = of all) that have not ended.
func (i *installation) pods(t *testing.T, role string) []corev1.Pod {
	t.Helper()
	selector := ourName
	if role != "" {
		selector += "," + component + "=" + role
	}
	list, err := clustertest.Clientset(i.Cluster).CoreV1().Pods(i.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// rolledOut waits until each Deployment consists of new pods that are ready; old
// ones may still be ending.
func (i *installation) rolledOut(t *testing.T, limit time.Duration) time.Duration {
	t.Helper()
	return within(t, limit, "rollout", func(ctx context.Context) error {
		list, err := clustertest.Clientset(i.Cluster).AppsV1().Deployments(i.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, d := range list.Items {
			want := *d.Spec.Replicas
			if s := d.Status; s.ObservedGeneration < d.Generation || s.UpdatedReplicas != want || s.ReadyReplicas != want || s.Replicas != want {
				return fmt.Errorf("%s: %d wanted, %d are there, %d of them new, %d ready", d.Name, want, s.Replicas, s.UpdatedReplicas, s.ReadyReplicas)
			}
		}
		return nil
	})
}

// play opens a game in a browser and waits for its first picture.
func (i *installation) play(t *testing.T, b *Browser, url string) *Page {
	t.Helper()
	p, err := b.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	t.Cleanup(func() { i.picture(t, p) })
	until(t, p, "probe.frames.length > 0 && window.cloudretro?.room", time.Minute)
	return p
}

// picture logs what a page shows and which ways it tried, if the test failed.
func (i *installation) picture(t *testing.T, p *Page) {
	if !t.Failed() {
		return
	}
	text, _ := Eval[string](p, "JSON.stringify({state: window.cloudretro?.state, error: window.cloudretro?.error, errors: window.cloudretro?.errors, ice: probe.pc?.getConfiguration().iceServers.map((s) => s.urls), text: document.body?.innerText?.slice(0, 300)})")
	t.Logf("the page: %s", text)
	if ways, err := Eval[string](p, "probe.ways()"); err != nil {
		t.Logf("its ways to the worker: %v", err)
	} else {
		t.Logf("its ways to the worker:\n%s", ways)
	}
	if err := i.keep(t, p); err != nil {
		t.Logf("screenshot: %v", err)
	}
}

// plays checks that the picture moves and that a key changes it, on the test card.
func plays(t *testing.T, p *Page) {
	t.Helper()
	flow, err := p.Watch(3 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if flow.Pictures < 20*flow.Seconds { // of 60 a second; the machine is shared
		t.Errorf("%.0f pictures in %.1f s", flow.Pictures, flow.Seconds)
	}
	hold(t, p, "KeyZ", presses, rests)
}

// TestClusterNodePort applies the overlay to an empty namespace, and nothing else:
// a browser outside the pods' network plays the built-in game through the gate.
func TestClusterNodePort(t *testing.T) {
	i := prepare(t, "node-port", "")
	b := outside(t, i.nodes...)
	i.apply(t)
	url := i.url(t)
	t.Logf("games are listed after %.1f s", time.Since(i.begin).Seconds())
	game, err := (&Stage{URL: url}).GameOf(t.Context(), "nes")
	if err != nil {
		t.Fatal(err)
	}
	p := i.play(t, b, url+"/play/"+game.ID)
	t.Logf("from kubectl apply to the first picture of %s: %.1f s", game.Title, time.Since(i.begin).Seconds())
	t.Logf("the first pair is %+v", eval[pair](t, p, "probe.pair()"))
	overUDP(t, p)
	eval[bool](t, p, pictureJS)
	until(t, p, "probe.frames.length > 120", 20*time.Second)
	eval[bool](t, p, "(probe.before = probe.luma(), true)")
	hold(t, p, "KeyZ", "probe.difference(probe.luma(), probe.before) > 12", "probe.difference(probe.luma(), probe.before) < 8")
	plays(t, i.play(t, b, url+"/play/test-card"))
}

// TestClusterHostPort plays directly, at the port of the worker's node.
func TestClusterHostPort(t *testing.T) {
	i := prepare(t, "host-port", "")
	b := outside(t, i.nodes...)
	i.apply(t)
	p := i.play(t, b, i.url(t)+"/play/test-card")
	t.Logf("from kubectl apply to the first picture: %.1f s", time.Since(i.begin).Seconds())
	got := eval[pair](t, p, "probe.pair()")
	t.Logf("the pair is %+v", got)
	node, err := netip.ParseAddr(got.Address)
	if err != nil || got.Local == "relay" || !slices.Contains(i.nodes, node) {
		t.Errorf("the pair is %+v, want a direct one to a node of %v", got, i.nodes)
	}
	if ice := eval[string](t, p, "JSON.stringify(probe.pc.getConfiguration().iceServers)"); strings.Contains(ice, "turn:") {
		t.Errorf("there is no gate, but the page is told of %s", ice)
	}
	plays(t, p)
}
