package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/turn"
)

// fleetBehind is an installation of two processes whose pages know of one gate,
// which is none of its own.
func fleetBehind(t *testing.T, gate string) *Fleet {
	t.Helper()
	return fleet(t, FleetOptions{Coordinators: 1, Workers: 1, CoordinatorConfig: map[string]string{
		"CLOUDRETRO_WEBRTC_ICESERVERS": fmt.Sprintf(`[{"urls":["turn:%s?transport=udp"],"username":%q,"credential":%q}]`, gate, gateUser, gatePassword),
	}})
}

// TestWorkerKnownLate has a gate learn of a worker only after it has refused a page
// that is sent there, as it may be in Kubernetes, where coordinators and gates do
// not hear of a worker at once: the page tries again and plays.
func TestWorkerKnownLate(t *testing.T) {
	g := startGate(t, nil)
	f := fleetBehind(t, g.address[turn.UDP])
	p := visit(t, f.Coordinators[0].URL+"/play/test-card?relay=1")
	refused := func() uint64 {
		sum := uint64(0)
		for _, l := range g.Stats().Listeners {
			sum += l.Refused[turn.RefusedPeer]
		}
		return sum
	}
	eventually(t, "a refusal", func() bool { return refused() > 0 })
	until(t, p, "cloudretro.state === 'connecting' && probe.pc.connectionState === 'failed'", patient)
	media := eval[string](t, p, `/ (127\.0\.0\.1 \d+) typ host/.exec(probe.pc.remoteDescription.sdp)[1].replace(" ", ":")`)
	g.workers.set(t, g, netip.MustParseAddrPort(media))
	known := time.Now()
	if err := p.AwaitPicture(); err != nil {
		t.Fatal(err)
	}
	t.Logf("a picture %d ms after the gate knew the worker; it had refused %d times", time.Since(known).Milliseconds(), refused())
	if got := eval[pair](t, p, "probe.pair()"); got.Local != "relay" {
		t.Errorf("the pair is %+v, want a relay", got)
	}
	if n := eval[float64](t, p, "probe.pcs.length"); n != 1 {
		t.Errorf("%v peer connections, want the same one", n)
	}
	hold(t, p, "KeyZ", presses, rests)
}

// TestGateReachedLate has the first flows to a gate lead nowhere, as those do that
// begin before a node knows the Service's port: the page begins others, and plays.
func TestGateReachedLate(t *testing.T) {
	f := newFlows(t, openGate(t))
	f.hear(false)
	p := visit(t, fleetBehind(t, f.address().String()).Coordinators[0].URL+"/play/test-card?relay=1")
	eventually(t, "a flow to the gate", func() bool { return f.count() > 0 })
	f.hear(true)
	if err := p.AwaitPicture(); err != nil {
		t.Fatal(err)
	}
	if n := eval[float64](t, p, "probe.pcs.length"); n != 1 {
		t.Errorf("%v peer connections, want the same one", n)
	}
	hold(t, p, "KeyZ", presses, rests)
}

// openGate is the UDP listener of a gate that relays to all of this machine.
func openGate(t *testing.T) netip.AddrPort {
	t.Helper()
	return netip.MustParseAddrPort(startOpenGate(t).address[turn.UDP])
}

func startOpenGate(t *testing.T) *gate {
	t.Helper()
	return startGate(t, func(cfg *turn.Config) {
		cfg.Peers = []turn.Peer{{Prefix: netip.MustParsePrefix("127.0.0.1/32")}}
	})
}

// TestFlowCut ends the UDP flow between a page and its gate in the middle of a
// game, as a NAT does that forgets it, or kube-proxy: only a new one leads there.
func TestFlowCut(t *testing.T) {
	f := newFlows(t, openGate(t))
	p := open(t, fleetBehind(t, f.address().String()).Coordinators[0].URL+"/play/test-card?relay=1")
	until(t, p, "probe.frames.length > 60 && cloudretro.state === 'playing'", patient)
	for range 3 {
		since := eval[float64](t, p, "performance.now()")
		f.cut()
		until(t, p, "cloudretro.state === 'reconnecting'", patient)
		if state := eval[string](t, p, "probe.pc.connectionState"); state != "connected" {
			t.Errorf("the page waited until the browser found the path %s", state)
		}
		until(t, p, "cloudretro.state === 'playing'", patient)
		until(t, p, fmt.Sprintf("performance.now() - probe.frames.at(-1).now < 200 && probe.frames.filter((f) => f.now > %f).length > 60", since), patient)
		t.Logf("longest time without a new picture: %.0f ms", longestGap(t, p, since))
		hold(t, p, "KeyZ", presses, rests)
	}
	if n := eval[float64](t, p, "probe.pcs.length"); n != 1 {
		t.Errorf("%v peer connections, want the same one", n)
	}
}

// TestWorkerStalls holds a worker for longer than pages are patient with silence:
// what they begin meanwhile does the game no harm when it is back.
func TestWorkerStalls(t *testing.T) {
	f := fleet(t, FleetOptions{Coordinators: 1, Workers: 1})
	p := open(t, f.Coordinators[0].URL+"/play/test-card")
	until(t, p, "probe.frames.length > 60 && cloudretro.state === 'playing'", patient)
	worker := f.Workers[0].Pid()
	if err := syscall.Kill(worker, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	reconnecting := p.Until("cloudretro.state === 'reconnecting'", patient)
	if err := errors.Join(reconnecting, syscall.Kill(worker, syscall.SIGCONT)); err != nil {
		t.Fatal(err)
	}
	since := eval[float64](t, p, "performance.now()")
	until(t, p, fmt.Sprintf("cloudretro.state === 'playing' && probe.pc.signalingState === 'stable' && probe.frames.filter((f) => f.now > %f).length > 120", since), patient)
	hold(t, p, "KeyZ", presses, rests)
	if n := eval[float64](t, p, "probe.pcs.length"); n != 1 {
		t.Errorf("%v peer connections, want the same one", n)
	}
}
