package e2e

import (
	"testing"
	"time"
)

// pair of candidates, as probe.js reports it.
type pair struct {
	Local, Relay, URL, Remote string
	Address                   string // of the other side
	Port                      float64
}

// TestRoles plays with one process per role, directly and through the gate.
func TestRoles(t *testing.T) {
	for _, split := range []bool{false, true} {
		name := map[bool]string{false: "together", true: "split"}[split]
		t.Run(name, func(t *testing.T) {
			s := stage(t, Options{Split: split})
			direct := open(t, s.URL+"/play/test-card")
			if got := eval[pair](t, direct, "probe.pair()"); got.Local == "relay" {
				t.Errorf("direct play is relayed: %+v", got)
			}
			relayed := open(t, s.URL+"/play/test-card?relay=1")
			if got := eval[pair](t, relayed, "probe.pair()"); got.Local != "relay" || got.Relay != "udp" {
				t.Errorf("with ?relay=1 the pair is %+v, want a relay over udp", got)
			}
			hold(t, relayed, "KeyZ", "probe.mean() > 215", "probe.mean() < 180")
		})
	}
}

// TestSocketLost kills the coordinator in the middle of a game and starts it again.
func TestSocketLost(t *testing.T) {
	s := stage(t, Options{Split: true})
	p := open(t, s.URL+"/play/test-card")
	until(t, p, "probe.frames.length > 60", 5*time.Second)
	start := eval[float64](t, p, "performance.now()")
	coordinator := s.Process("coordinator")
	coordinator.Kill()
	until(t, p, "window.cloudretro.state === 'reconnecting'", 5*time.Second)
	hold(t, p, "KeyZ", "probe.mean() > 215", "probe.mean() < 180")
	if err := s.Restart(coordinator); err != nil {
		t.Fatal(err)
	}
	until(t, p, "window.cloudretro.state === 'playing'", 15*time.Second)
	hold(t, p, "KeyZ", "probe.mean() > 215", "probe.mean() < 180")
	calm(t, p, start)
	if n := eval[float64](t, p, "probe.pcs.length"); n != 1 {
		t.Errorf("%v peer connections, want the same one", n)
	}
}
