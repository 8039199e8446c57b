package room

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestEndsBy: who is there hears of it, and who comes later, with the time that is left then.
func TestEndsBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		early := s.enter(Entry{Session: "a"})
		if said := early.screen.said(t, "message"); len(said) != 0 {
			t.Fatalf("told at first: %v", said)
		}
		end := time.Now().Add(30 * time.Minute)
		s.EndsBy(end)
		hears := func(g guest, what string) {
			t.Helper()
			synctest.Wait()
			said := g.screen.said(t, "message")
			if len(said) != 1 || !strings.Contains(said[0]["text"].(string), "another "+what+",") {
				t.Errorf("told %v, want %s", said, what)
			}
		}
		hears(early, "30 minutes")
		time.Sleep(20 * time.Minute) // of the bubble
		hears(s.enter(Entry{Session: "b"}), "10 minutes")
		time.Sleep(9 * time.Minute)
		s.EndsBy(end)
		hears(early, "minute")
		time.Sleep(time.Minute)
		s.EndsBy(end)
		hears(early, "moment")
	})
}
