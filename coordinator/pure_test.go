package coordinator

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestPlace(t *testing.T) {
	for name, test := range map[string]struct {
		in   []load
		want []string
	}{
		"nobody":        {nil, nil},
		"by share":      {[]load{{"a", 2, 0, 4}, {"b", 1, 0, 4}, {"c", 2, 0, 16}}, []string{"c", "b", "a"}},
		"being started": {[]load{{"a", 0, 2, 4}, {"b", 1, 0, 4}}, []string{"b", "a"}},
		"by number":     {[]load{{"a", 2, 0, 4}, {"b", 1, 0, 2}}, []string{"b", "a"}},
		"by id":         {[]load{{"b", 0, 0, 4}, {"a", 0, 0, 8}}, []string{"a", "b"}},
		"full last":     {[]load{{"a", 4, 0, 4}, {"b", 3, 0, 4}, {"c", 0, 0, 0}}, []string{"b", "c", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				rand.Shuffle(len(test.in), func(i, j int) { test.in[i], test.in[j] = test.in[j], test.in[i] })
				var got []string
				for _, l := range place(test.in) {
					got = append(got, l.worker)
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("%v, want %v", got, test.want)
				}
			}
		})
	}
}

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
