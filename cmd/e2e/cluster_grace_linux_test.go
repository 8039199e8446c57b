package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// shortGrace is worker.rooms.drainGrace for the test, and of what the pod has a
// minute more in the manifests.
const shortGrace = 20 * time.Second

// graceful shortens the grace of games and pods.
const graceful = `patches:
- target: {kind: Deployment, name: worker}
  patch: |
    - {op: replace, path: /spec/template/spec/terminationGracePeriodSeconds, value: 60}
    - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: CLOUDRETRO_WORKER_ROOMS_DRAINGRACE, value: %s}}
`

// TestClusterGrace restarts the workers during a game: it goes on for the grace
// time and no longer. The player is told before, and how it ended.
func TestClusterGrace(t *testing.T) {
	i := prepare(t, "node-port", fmt.Sprintf(graceful, shortGrace))
	b := outside(t, i.nodes...)
	i.apply(t)
	url := i.url(t)
	i.rolledOut(t, coldStart)
	answered(t, i.gate(t))
	p := i.play(t, b, url+"/play/test-card")
	plays(t, p)
	old := i.serving(t, "worker", "cloudretro_worker_rooms ")
	// Each sentence that is shown, and when; what is gone from the screen is not lost.
	eval[bool](t, p, `(probe.said = {}, setInterval(() => {
		for (const text of [document.querySelector('.note')?.innerText, cloudretro.error && Object.values(cloudretro.error).flat().join(' ')]) {
			if (text) probe.said[text] ??= performance.now();
		}
	}, 50), true)`)
	since := eval[float64](t, p, "performance.now()")
	begin := time.Now()
	kubectl(t, "-n", i.Namespace, "rollout", "restart", "deployment/worker")
	until(t, p, "Object.keys(probe.said).some((text) => text.includes('can go on for'))", 30*time.Second)
	told := time.Since(begin)
	i.rolledOut(t, coldStart)
	plays(t, p)
	notDisturbed(t, p, since)
	for _, pod := range i.pods(t, "worker") {
		if slices.Contains(old, pod.Name) && pod.DeletionTimestamp == nil {
			t.Errorf("%s is not on its way out", pod.Name)
		}
	}
	until(t, p, "cloudretro.state === 'error'", 2*shortGrace)
	t.Logf("told after %.1f s, and it ended after %.1f s of %v; said was %s", told.Seconds(), time.Since(begin).Seconds(), shortGrace, eval[string](t, p, "JSON.stringify(probe.said)"))
	if played := eval[float64](t, p, "probe.frames.at(-1).now") - since; played < 1000*(shortGrace-2*time.Second).Seconds() {
		t.Errorf("the game went on for %.0f ms of %v", played, shortGrace)
	}
	if shown := eval[string](t, p, "document.querySelector('[role=alertdialog]').innerText"); !strings.Contains(shown, "worker") && !strings.Contains(shown, "machine") {
		t.Errorf("the end is told as %q", shown)
	}
	t.Logf("the pod was gone %.1f s later", i.ended(t, time.Minute, old).Seconds())
	if !t.Run("anew", func(t *testing.T) {
		eval[bool](t, p, "(document.querySelector('[role=alertdialog] button, [role=alertdialog] a').click(), true)")
		until(t, p, "cloudretro.state === 'playing'", 30*time.Second)
	}) {
		return
	}
	if playing := i.serving(t, "worker", "cloudretro_worker_rooms "); slices.Contains(playing, old[0]) {
		t.Errorf("the game runs at %v again", playing)
	}
}
