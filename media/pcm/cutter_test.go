package pcm

import (
	"math/rand/v2"
	"testing"
	"time"
)

// count makes the samples number from..to-1: left is the low, right the high half of the number.
func count(from, to int) []int16 {
	var pcm []int16
	for i := from; i < to; i++ {
		pcm = append(pcm, int16(i), int16(i>>16))
	}
	return pcm
}

// numbered checks that block is the samples from number on.
func numbered(t *testing.T, block []int16, number uint64) {
	t.Helper()
	for i := 0; i < len(block); i += 2 {
		if got := uint64(uint16(block[i])) | uint64(block[i+1])<<16; got != number+uint64(i/2) {
			t.Fatalf("value of sample %d where %d should be", got, number+uint64(i/2))
		}
	}
}

func newCutter(t testing.TB, block, backlog time.Duration) *Cutter {
	t.Helper()
	c, err := NewCutter(block, backlog)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewCutterRefuses(t *testing.T) {
	tests := []struct {
		name           string
		block, backlog time.Duration
	}{
		{"no block", 0, time.Second},
		{"negative", -time.Millisecond, time.Second},
		{"broken sample", 10*time.Millisecond + 1, time.Second},
		{"backlog below a block", 10 * time.Millisecond, 5 * time.Millisecond},
		{"backlog too long", 10 * time.Millisecond, 2 * time.Second},
		{"block too long", time.Hour, time.Hour},
		{"broken backlog", 10 * time.Millisecond, 11*time.Millisecond + 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if c, err := NewCutter(tt.block, tt.backlog); err == nil || c != nil {
				t.Errorf("NewCutter = %v, %v, want an error", c, err)
			}
		})
	}
}

func TestCutterCutsBlocks(t *testing.T) {
	for _, size := range []int{1, 479, 480, 481, 799, 800, 801} {
		c := newCutter(t, 10*time.Millisecond, 100*time.Millisecond)
		written, want := 0, uint64(0)
		for range 500 {
			c.Write(count(written, written+size))
			written += size
			for {
				block, number, ok := c.Next()
				if !ok {
					break
				}
				if len(block) != 960 || number != want {
					t.Fatalf("%d at a time: block of %d values at %d, want 960 at %d", size, len(block), number, want)
				}
				numbered(t, block, number)
				want += 480
			}
		}
		if c.Dropped() != 0 || int(want)+c.Waiting() != written {
			t.Errorf("%d at a time: %d taken, %d wait, %d dropped of %d", size, want, c.Waiting(), c.Dropped(), written)
		}
	}
}

func TestCutterDropsTheOldest(t *testing.T) {
	c := newCutter(t, 10*time.Millisecond, 20*time.Millisecond)
	c.Write(count(0, 960)) // full
	c.Write(count(960, 1060))
	if c.Dropped() != 100 || c.Waiting() != 960 {
		t.Fatalf("%d dropped, %d wait, want 100, 960", c.Dropped(), c.Waiting())
	}
	block, number, ok := c.Next()
	if !ok || number != 100 {
		t.Fatalf("block at %d, %v, want 100", number, ok)
	}
	numbered(t, block, 100)
	c.Write(count(1060, 11060)) // ten times the backlog
	block, number, ok = c.Next()
	if !ok || number != 11060-960 {
		t.Fatalf("block at %d, %v, want %d", number, ok, 11060-960)
	}
	numbered(t, block, number)
	if c.Dropped() != 11060-960-480 {
		t.Errorf("%d dropped, want %d", c.Dropped(), 11060-960-480)
	}
}

func TestCutterIgnoresHalfASample(t *testing.T) {
	c := newCutter(t, 10*time.Millisecond, 20*time.Millisecond)
	c.Write(append(count(0, 100), 1))
	c.Write([]int16{1})
	c.Write(nil)
	c.Write(count(100, 480))
	block, number, ok := c.Next()
	if !ok || number != 0 {
		t.Fatalf("block at %d, %v", number, ok)
	}
	numbered(t, block, 0)
}

// Whatever is written and taken in whatever order: samples stay in order, and
// each is taken, waits or was counted as dropped.
func TestCutterKeepsAccount(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 3))
		c := newCutter(t, 5*time.Millisecond, 15*time.Millisecond)
		written, taken := 0, 0
		for range 300 {
			n := random.IntN(1200)
			c.Write(count(written, written+n))
			written += n
			for range random.IntN(4) {
				block, number, ok := c.Next()
				if !ok {
					break
				}
				numbered(t, block, number)
				taken += len(block) / 2
			}
			if c.Waiting() > 720 || taken+c.Waiting()+int(c.Dropped()) != written {
				t.Fatalf("seed %d: %d taken, %d wait, %d dropped of %d", seed, taken, c.Waiting(), c.Dropped(), written)
			}
		}
	}
}

func TestCutterDoesNotAllocate(t *testing.T) {
	c := newCutter(t, 10*time.Millisecond, 100*time.Millisecond)
	pcm := count(0, 800)
	allocs := testing.AllocsPerRun(200, func() {
		c.Write(pcm)
		for ok := true; ok; {
			_, _, ok = c.Next()
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func BenchmarkCutter(b *testing.B) {
	c := newCutter(b, 10*time.Millisecond, 100*time.Millisecond)
	pcm := count(0, 800)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(pcm)
		for ok := true; ok; {
			_, _, ok = c.Next()
		}
	}
}
