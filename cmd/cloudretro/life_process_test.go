package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// A worker that is told to end is ready until its last game has ended, which goes
// on meanwhile; then it ends with code 0.
func TestWorkerIsReadyUntilItsLastGameEnds(t *testing.T) {
	if err := engineAvailable(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	ops := freePort(t)
	door := startProcess(t, quiet("--role=coordinator", "--set", guestSecret, "--set", guestKey)...)
	page := address(t, door)
	w := startProcess(t, quiet("--role=worker", "--set", guestSecret, "--set", "library.basePath=", "--set", "ops.address="+ops,
		"--set", "worker.rooms.drainGrace=5m", "--set", "worker.rooms.grace=0s", "--set", "worker.network.coordinatorAddress="+page)...)
	awaitText(t, ops, "/readyz", "200 OK")
	awaitText(t, ops, "/livez", "200 OK")
	awaitGames(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+page)
	c := newCrowd(t, page)
	g := c.come(0)
	c.play(g)
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitText(t, ops, "/metrics", `cloudretro_worker_state{state="draining"} 1`)
	for range 5 {
		peertest.Wait(t, "a picture", g.browser.Pictures)
	}
	awaitText(t, ops, "/readyz", "200 OK")
	if !strings.Contains(w.log(), "worker drains") {
		t.Errorf("it does not say what it waits for:\n%s", w.log())
	}
	g.say(t, signal.TypeLeave, nil)
	if err := w.cmd.Wait(); err != nil {
		t.Errorf("ended with %v\n%s", err, w.log())
	}
	if !strings.Contains(w.log(), "worker has drained") {
		t.Errorf("it does not say so:\n%s", w.log())
	}
}

// A coordinator that is told to end takes pages for its grace, then sends them away.
func TestCoordinatorTakesPagesForItsGrace(t *testing.T) {
	ops := freePort(t)
	p := startProcess(t, quiet("--role=coordinator", "--set", guestSecret, "--set", guestKey, "--set", "ops.address="+ops,
		"--set", "coordinator.server.drainGrace=3s")...)
	page := address(t, p)
	awaitText(t, ops, "/readyz", "no worker has joined yet")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end to begin", func() bool { return strings.Contains(p.log(), "coordinator drains") })
	c := newCrowd(t, page)
	c.come(0)
	c.until("its end", func() bool { return len(c.lost) == 1 })
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("ended with %v\n%s", err, p.log())
	}
}
