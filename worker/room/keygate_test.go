package room

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestKeyGate drives the gate with a script: at each time a request, or a
// delivered key frame; want are the times at which the encoder is asked.
func TestKeyGate(t *testing.T) {
	type step struct {
		at   int // ms
		what byte
	}
	tests := []struct {
		name  string
		steps []step
		want  []int
	}{
		{"at once", []step{{0, 'r'}}, []int{0}},
		{"coalesced", []step{{0, 'r'}, {1, 'r'}, {5, 'r'}, {16, 'k'}}, []int{0}},
		{"early ones are served late", []step{{0, 'r'}, {16, 'k'}, {20, 'r'}, {100, 'r'}}, []int{0, 266}},
		{"spacing counts from the key frame", []step{{0, 'k'}, {249, 'r'}}, []int{250}},
		{"free again", []step{{0, 'r'}, {16, 'k'}, {266, 'r'}, {280, 'k'}}, []int{0, 266}},
		{"a key frame serves who waits", []step{{0, 'k'}, {10, 'r'}, {20, 'k'}}, nil},
		{"a lost request is asked again", []step{{0, 'r'}, {100, 'r'}, {300, 'r'}}, []int{0, 300}},
		{"nobody took the first one", []step{{0, 'n'}, {100, 'r'}, {116, 'k'}, {120, 'r'}}, []int{100, 366}},
		{"nobody took the asked one", []step{{0, 'r'}, {16, 'n'}, {20, 'r'}}, []int{0, 20}},
		{"flood", func() (s []step) {
			for at := range 1000 {
				s = append(s, step{at, 'r'})
				if at%266 == 16 { // what the encoder makes of it
					s = append(s, step{at, 'k'})
				}
			}
			return s
		}(), []int{0, 266, 532, 798, 1064}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var got []int
				g := newKeyGate(func() { got = append(got, int(time.Since(start).Milliseconds())) })
				for _, s := range tt.steps {
					time.Sleep(time.Until(start.Add(time.Duration(s.at) * time.Millisecond)))
					if s.what == 'r' {
						g.Request()
					} else {
						g.Delivered(s.what == 'k')
					}
				}
				time.Sleep(time.Second)
				g.Close()
				g.Request()
				g.Delivered(true)
				time.Sleep(time.Second)
				if len(got) != len(tt.want) {
					t.Fatalf("asked at %v, want %v", got, tt.want)
				}
				for i := range got {
					if got[i] != tt.want[i] {
						t.Fatalf("asked at %v, want %v", got, tt.want)
					}
				}
			})
		})
	}
}
