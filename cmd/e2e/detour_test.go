package e2e

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/cloudretro/cloudretro/turn"
)

// overUDP waits until a page has its pictures by a relay that it reaches over UDP.
func overUDP(t *testing.T, p *Page) {
	t.Helper()
	until(t, p, "probe.pair().then((p) => p?.local === 'relay' && p.relay === 'udp')", patient)
}

// onlyUDP holds for a page that looks for relays over UDP alone.
const onlyUDP = "!probe.pc.getConfiguration().iceServers.some((s) => [s.urls].flat().some((u) => u.includes('tcp')))"

// visitBoth plays where gates are reached over UDP at one address and over TCP at
// another, through relays alone.
func visitBoth(t *testing.T, udp, tcp string) *Page {
	t.Helper()
	f := fleet(t, FleetOptions{Coordinators: 1, Workers: 1, CoordinatorConfig: map[string]string{
		"CLOUDRETRO_WEBRTC_ICESERVERS": fmt.Sprintf(`[{"urls":["turn:%s?transport=udp","turn:%s?transport=tcp"],"username":%q,"credential":%q}]`,
			udp, tcp, gateUser, gatePassword),
	}})
	p := visit(t, f.Coordinators[0].URL+"/play/test-card?relay=1")
	if err := p.AwaitPicture(); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRelayBecomesUDP loses what a page sends over UDP until it plays over TCP: it
// goes over to UDP, and does so again when it has lost its path.
func TestRelayBecomesUDP(t *testing.T) {
	g := startOpenGate(t)
	f := newFlows(t, netip.MustParseAddrPort(g.address[turn.UDP]))
	f.lose(true)
	p := visitBoth(t, f.address().String(), g.address[turn.TCP])
	if got := eval[pair](t, p, "probe.pair()"); got.Relay != "tcp" {
		t.Fatalf("the pair is %+v, want a relay over tcp", got)
	}
	f.lose(false)
	since := eval[float64](t, p, "performance.now()")
	overUDP(t, p)
	t.Logf("longest time without a new picture: %.0f ms", longestGap(t, p, since))
	hold(t, p, "KeyZ", presses, rests)
	f.cut()
	until(t, p, "cloudretro.state === 'reconnecting'", patient)
	until(t, p, "cloudretro.state === 'playing'", patient)
	overUDP(t, p)
	hold(t, p, "KeyZ", presses, rests)
	if n := eval[float64](t, p, "probe.pcs.length"); n != 1 {
		t.Errorf("%v peer connections, want the same one", n)
	}
}

// TestUDPCarriesNothing has a gate that gives relays over UDP, which lead to no
// worker: a page that plays over TCP tries them, and plays on as it did.
func TestUDPCarriesNothing(t *testing.T) {
	p := visitBoth(t, startGate(t, nil).address[turn.UDP], startOpenGate(t).address[turn.TCP])
	until(t, p, onlyUDP, patient)
	until(t, p, "!("+onlyUDP+") && probe.pc.signalingState === 'stable'", patient)
	hold(t, p, "KeyZ", presses, rests)
	if got := eval[pair](t, p, "probe.pair()"); got.Relay != "tcp" {
		t.Errorf("the pair is %+v, want a relay over tcp", got)
	}
}
