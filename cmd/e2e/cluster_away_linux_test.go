package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Commands that take the API server away and give it back, where the cluster is
// the test's own (.ci/cluster). Without them pods reach it through a door that
// the test shuts.
const (
	stopVariable  = "CLOUDRETRO_CLUSTER_STOP_API"
	startVariable = "CLOUDRETRO_CLUSTER_START_API"
)

// throughDoor has pods of a role find the API server at this machine, under a name
// that its certificate has.
const throughDoor = `- target: {kind: Deployment, name: "@role@"}
  patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: "@role@"}
    spec:
      template:
        spec:
          hostAliases: [{ip: "@address@", hostnames: [kubernetes.default.svc]}]
          containers:
            - name: "@role@"
              env:
                - {name: KUBERNETES_SERVICE_HOST, value: kubernetes.default.svc}
                - {name: KUBERNETES_SERVICE_PORT, value: "@port@"}
`

// apiServer is what can be taken away.
type apiServer struct{ stop, start func() error }

// shell runs a command that .ci/cluster gave.
func shell(line string) func() error {
	return func() error {
		out, err := exec.Command("sh", "-c", line).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, out)
		}
		return nil
	}
}

// door puts the API server of an installation behind something that can be shut.
func (i *installation) door(t *testing.T) apiServer {
	t.Helper()
	if stop, start := os.Getenv(stopVariable), os.Getenv(startVariable); stop != "" && start != "" {
		return apiServer{shell(stop), shell(start)}
	}
	t.Logf("%s is not set: the API server stays, and pods lose the way to it", stopVariable)
	server, err := url.Parse(i.REST.Host)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp4", i.nodes[0].String()+":9") // sends nothing; says which of our addresses nodes see
	if err != nil {
		t.Fatal(err)
	}
	own, _, _ := net.SplitHostPort(conn.LocalAddr().String())
	_ = conn.Close()
	front, err := NewFront([]string{server.Host}, net.JoinHostPort(own, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close() })
	at := strings.TrimPrefix(front.URL(), "http://")
	_, port, _ := net.SplitHostPort(at)
	var patches strings.Builder
	patches.WriteString("patches:\n")
	for _, role := range roles {
		patches.WriteString(strings.NewReplacer("@role@", role, "@address@", own, "@port@", port).Replace(throughDoor))
	}
	i.change(t, patches.String())
	return apiServer{
		stop:  func() error { front.Close(); return nil },
		start: func() error { front, err = NewFront([]string{server.Host}, at); return err },
	}
}

// TestClusterAPIServerAway takes the API server away for a minute: games, joins
// and new rooms go on from what is known, and what is new is found afterwards.
func TestClusterAPIServerAway(t *testing.T) {
	i := prepare(t, "node-port", "")
	server := i.door(t)
	b := outside(t, i.nodes...)
	i.apply(t)
	page := i.url(t)
	i.rolledOut(t, coldStart)
	p := i.play(t, b, page+"/play/test-card")
	plays(t, p)
	since := eval[float64](t, p, "performance.now()")
	room := eval[string](t, p, "cloudretro.room")

	if err := server.stop(); err != nil {
		t.Fatal(err)
	}
	back := sync.OnceValue(server.start)
	t.Cleanup(func() { _ = back() })
	away := time.Now()
	for _, after := range []time.Duration{0, time.Minute} {
		linger(t, p, max(0, after-time.Since(away)))
		friend := i.play(t, b, page+"/room/"+room)
		if got := eval[string](t, friend, "cloudretro.room"); got != room {
			t.Errorf("the friend is in room %s, want %s", got, room)
		}
		fresh := i.play(t, b, page+"/play/test-card")
		plays(t, fresh)
		for _, one := range []*Page{friend, fresh} {
			if got := eval[pair](t, one, "probe.pair()"); got.Local != "relay" {
				t.Errorf("the pair is %+v, want a relay", got)
			}
			one.Close()
		}
		t.Logf("a friend joined and a new room opened within %.1f s without an API server", time.Since(away).Seconds())
	}
	plays(t, p)
	if err := back(); err != nil {
		t.Fatal(err)
	}
	notDisturbed(t, p, since)
	returned := eval[float64](t, p, "performance.now()")
	begin := time.Now()
	i.scale(t, "worker", 3)
	within(t, 2*time.Minute, "the third worker", func(context.Context) error {
		for range 8 {
			if n, err := workersOf(page); err != nil || n != 3 {
				return errors.Join(err, fmt.Errorf("%d workers", n))
			}
		}
		return nil
	})
	t.Logf("a worker that was added afterwards is known %.1f s after it was asked for", time.Since(begin).Seconds())
	// An API server that comes back may take nodes that it has not heard of for not
	// ready, for a moment: kube-proxy then forgets flows, and pages repair their path.
	within(t, 30*time.Second, "pictures", func(context.Context) error {
		flow, err := p.Watch(time.Second)
		if err == nil && flow.Pictures < 20 {
			err = fmt.Errorf("%.0f pictures in %.1f s", flow.Pictures, flow.Seconds)
		}
		return err
	})
	t.Logf("longest time without a new picture, since it is back: %.0f ms", longestGap(t, p, returned))
	plays(t, p)
}
