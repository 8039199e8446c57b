package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// unpluggedChild names the namespace of the worker to the part of
// TestWorkerUnplugged that runs beside the coordinator.
const unpluggedChild = "CLOUDRETRO_E2E_UNPLUGGED"

const (
	houseAddress = "10.78.0.1"
	farAddress   = "10.78.0.2"
)

// TestWorkerUnplugged takes the network of a worker away: its rooms are gone from
// what the coordinator knows within 10 s, and the page says what happened.
func TestWorkerUnplugged(t *testing.T) {
	if suite.browser == nil {
		t.Skip("SKIPPED: CLOUDRETRO_E2E is not set; make e2e sets it")
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root may make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	house, far := fmt.Sprintf("e2e-house-%d", os.Getpid()), fmt.Sprintf("e2e-far-%d", os.Getpid())
	for _, ns := range []string{house, far} {
		sh(t, "ip netns add "+ns)
		t.Cleanup(func() { sh(t, "ip netns del "+ns) })
		sh(t, "ip -n "+ns+" link set lo up")
	}
	sh(t, fmt.Sprintf("ip -n %s link add eth0 type veth peer name eth0 netns %s", house, far))
	for ns, addr := range map[string]string{house: houseAddress, far: farAddress} {
		sh(t, fmt.Sprintf("ip -n %s addr add %s/24 dev eth0", ns, addr))
		sh(t, fmt.Sprintf("ip -n %s link set eth0 up", ns))
	}
	env := append(os.Environ(),
		"CLOUDRETRO_COORDINATOR_SERVER_ADDRESS="+houseAddress+":8000", "CLOUDRETRO_OPS_ADDRESS=127.0.0.1:9090",
		"CLOUDRETRO_WORKER_NETWORK_COORDINATORADDRESS="+houseAddress+":8000",
		"CLOUDRETRO_SECRETS_WORKER=a-secret-for-the-tests-of-32-bytes",
	)
	startIn(t, house, "coordinator", env)
	startIn(t, far, "worker", env)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, "ip", "netns", "exec", house, os.Args[0], "-test.run=^TestBesideCoordinator$", "-test.v")
	child.Env = append(os.Environ(), unpluggedChild+"="+far, "CLOUDRETRO_BIN="+suite.bin, "CLOUDRETRO_E2E=1")
	out, err := child.CombinedOutput()
	t.Logf("beside the coordinator:\n%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: TestBesideCoordinator") {
		t.Errorf("beside the coordinator: %v", err)
	}
}

// TestBesideCoordinator is the browser's side of TestWorkerUnplugged.
func TestBesideCoordinator(t *testing.T) {
	far := os.Getenv(unpluggedChild)
	if far == "" {
		t.Skip("SKIPPED: it is a part of TestWorkerUnplugged")
	}
	m := &Member{URL: "http://" + houseAddress + ":8000", Ops: "127.0.0.1:9090"}
	if err := (&Stage{URL: m.URL}).awaitGames(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := open(t, m.URL+"/play/test-card")
	rooms := func(n int) func() bool {
		return func() bool { return strings.Contains(m.Metrics(), fmt.Sprintf("cloudretro_coordinator_rooms %d\n", n)) }
	}
	if err := await(rooms(1), patient); err != nil {
		t.Fatalf("the room is not known: %v\n%s", err, m.Metrics())
	}
	sh(t, "ip -n "+far+" link set eth0 down")
	begin := time.Now()
	if err := await(rooms(0), patient); err != nil {
		t.Fatalf("the room of a worker that was unplugged is still known: %v", err)
	}
	t.Logf("its rooms were gone after %.1f s", time.Since(begin).Seconds())
	if games, err := (&Stage{URL: m.URL}).Games(t.Context()); err != nil || len(games) != 0 {
		t.Errorf("games %v, %v; want none", games, err)
	}
	until(t, p, "cloudretro.state === 'error' && cloudretro.error.title", 60*time.Second)
	t.Logf("the page says: %s", eval[string](t, p, "document.querySelector('.panel').innerText"))
}
