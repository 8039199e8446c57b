package e2e

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestCoreKilled kills, then stops, one of two core processes: that room's
// picture goes on by itself over the same connection, the other does not notice.
func TestCoreKilled(t *testing.T) {
	for _, tc := range []struct {
		name   string
		signal syscall.Signal
		limit  float64 // ms without a picture
	}{
		{"killed", syscall.SIGKILL, 1000},
		{"hung", syscall.SIGSTOP, 3000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := stage(t, Options{})
			victim := open(t, s.URL+"/play/test-card")
			first := s.Cores()
			other := open(t, s.URL+"/play/test-card")
			if len(first) != 1 || len(s.Cores()) != 2 {
				t.Fatalf("core processes %v then %v, want one then two", first, s.Cores())
			}
			until(t, victim, "probe.frames.length > 150", 10*time.Second) // a snapshot is taken every second
			start := eval[float64](t, victim, "performance.now()")
			otherStart := eval[float64](t, other, "performance.now()")
			if err := syscall.Kill(first[0], tc.signal); err != nil {
				t.Fatal(err)
			}
			until(t, victim, fmt.Sprintf("probe.frames.filter((f) => f.now > %f + 100).length > 30", start), 8*time.Second)
			gap, otherGap := longestGap(t, victim, start), longestGap(t, other, otherStart)
			t.Logf("longest gap of the room: %.0f ms; of the other: %.0f ms", gap, otherGap)
			if gap > tc.limit {
				t.Errorf("the picture stood still for %.0f ms, want at most %.0f", gap, tc.limit)
			}
			if otherGap > 200 {
				t.Errorf("the other room's picture stood still for %.0f ms", otherGap)
			}
			if n := eval[float64](t, victim, "probe.pcs.length"); n != 1 {
				t.Errorf("%v peer connections, want the same one", n)
			}
			if now := s.Cores(); len(now) != 2 || slices.Contains(now, first[0]) {
				t.Errorf("core processes %v, want two without %d", now, first[0])
			}
			until(t, victim, "probe.counters().then((c) => (probe.audio ??= c.audio, c.audio > probe.audio + 50))", 3*time.Second)
		})
	}
}
