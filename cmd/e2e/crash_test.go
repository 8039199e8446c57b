package e2e

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestCoreKilled kills, then stops, one of two core processes: that room's
// picture goes on by itself over the same connection, the other does not notice.
func TestCoreKilled(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "hung": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			s := stage(t, Options{})
			victim := open(t, s.URL+"/play/test-card")
			first := s.Cores()
			other := open(t, s.URL+"/play/test-card")
			both := s.Cores()
			if len(first) != 1 || len(both) != 2 {
				t.Fatalf("core processes %v then %v, want one then two", first, both)
			}
			until(t, victim, "probe.frames.length > 150", 10*time.Second) // a snapshot is taken every second
			otherStart := eval[float64](t, other, "performance.now()")
			const path = "/a=ice-ufrag:(.*)/.exec(probe.pc.localDescription.sdp)[1]"
			before := eval[string](t, victim, path)
			gap, err := victim.Hurt(first[0], signal)
			if err != nil {
				t.Fatal(err)
			}
			otherGap := longestGap(t, other, otherStart)
			t.Logf("longest gap of the room: %.0f ms; of the other: %.0f ms", gap, otherGap)
			if n := eval[float64](t, victim, "probe.pcs.length"); n != 1 {
				t.Errorf("%v peer connections, want the same one", n)
			}
			if eval[string](t, victim, path) != before {
				t.Error("the page took a room without pictures for a dead path, and began ICE anew")
			}
			survivor := slices.DeleteFunc(both, func(pid int) bool { return pid == first[0] })[0]
			if now := s.Cores(); len(now) != 2 || slices.Contains(now, first[0]) || !slices.Contains(now, survivor) {
				t.Errorf("core processes %v, want %d and a new one in place of %d", now, survivor, first[0])
			}
			until(t, victim, "probe.counters().then((c) => (probe.audio ??= c.audio, c.audio > probe.audio + 50))", 3*time.Second)
		})
	}
}
