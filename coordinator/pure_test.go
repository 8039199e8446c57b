package coordinator

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBucket(10, 3, now)
	for i, want := range []bool{true, true, true, false} {
		if got := b.take(1, now); got != want {
			t.Errorf("%d at once: %v", i+1, got)
		}
	}
	now = now.Add(100 * time.Millisecond)
	if !b.take(1, now) || b.take(1, now) {
		t.Error("a tenth of a second is not one")
	}
	if b.take(1, now.Add(-time.Hour)) {
		t.Error("a clock that goes back gives something")
	}
	now = now.Add(time.Hour)
	if b.take(4, now) || !b.take(3, now) {
		t.Error("the burst is not 3")
	}
}

func TestOriginsRefusesNonsense(t *testing.T) {
	for _, s := range []string{"", "play.example.org", "https://a/b", "ftp://a", "https://u@a", "https://a?x", "://"} {
		if _, err := newOrigins([]string{s}); err == nil {
			t.Errorf("%q is an origin", s)
		}
	}
	if _, err := newOrigins([]string{"*", "http://a:1", "https://b"}); err != nil {
		t.Error(err)
	}
}
