package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// onePlace is a worker that holds one game.
const onePlace = `patches:
- target: {kind: Deployment, name: worker}
  patch: |
    - {op: replace, path: /spec/replicas, value: 1}
    - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: CLOUDRETRO_WORKER_ROOMS_MAX, value: "1"}}
`

// TestClusterFirstGame waits in line for workers that are added. Each has a game
// as soon as it has joined, when the cluster has hardly heard of its pod: gates
// must know it by then.
func TestClusterFirstGame(t *testing.T) {
	i := prepare(t, "node-port", onePlace)
	b := outside(t, i.nodes...)
	i.apply(t)
	url := i.url(t)
	i.rolledOut(t, coldStart)
	answered(t, i.gate(t))
	i.play(t, b, url+"/play/test-card")
	for workers := 2; workers <= 4; workers++ {
		p, err := b.Open(url + "/play/test-card")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		t.Cleanup(func() { i.picture(t, p) })
		until(t, p, "window.cloudretro?.queue?.position === 1", 30*time.Second)
		kubectl(t, "-n", i.Namespace, "scale", "deployment/worker", fmt.Sprintf("--replicas=%d", workers))
		until(t, p, "probe.frames.length > 0 && window.cloudretro?.room", time.Minute)
		got := eval[pair](t, p, "probe.pair()")
		t.Logf("the pair is %+v", got)
		// A gate's refusal ends a pair for good; that the page asks again is for other faults.
		ways := eval[string](t, p, "probe.ways()")
		if refused := fmt.Sprintf("- host  %s:%d", got.Address, mediaPort); strings.Contains(ways, "iceconnection: failed") || slices.ContainsFunc(strings.Split(ways, "\n"), func(line string) bool {
			return strings.HasPrefix(line, "pair failed: relay") && strings.Contains(line, refused)
		}) {
			t.Errorf("gates did not know the worker yet:\n%s", ways)
		}
	}
}

// TestClusterLateGates opens a game where no gate runs yet: the page looks for a
// path until there is one.
func TestClusterLateGates(t *testing.T) {
	i := prepare(t, "node-port", "")
	b := outside(t, i.nodes...)
	i.apply(t)
	url := i.url(t)
	i.rolledOut(t, coldStart)
	old := i.living(t, "turn")
	i.scale(t, "turn", 0)
	i.ended(t, time.Minute, old)
	p, err := b.Open(url + "/play/test-card")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	t.Cleanup(func() { i.picture(t, p) })
	until(t, p, "probe.pc?.iceConnectionState === 'checking'", 30*time.Second)
	begin := time.Now()
	kubectl(t, "-n", i.Namespace, "scale", "deployment/turn", "--replicas=2")
	until(t, p, "probe.frames.length > 0 && window.cloudretro?.room", time.Minute)
	t.Logf("the first picture %.1f s after gates were wanted, by %+v", time.Since(begin).Seconds(), eval[pair](t, p, "probe.pair()"))
}
