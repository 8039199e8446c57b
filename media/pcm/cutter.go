package pcm

import (
	"fmt"
	"time"

	"github.com/cloudretro/cloudretro/media"
)

// MaxBacklog bounds the memory of a Cutter.
const MaxBacklog = time.Second

// Cutter cuts a stream of samples at media.SampleRate into blocks of equal
// length. What nobody takes waits, up to the backlog; beyond it the oldest
// samples are dropped and counted, and the numbers of the blocks tell of the gap.
// It is used by one goroutine at a time.
type Cutter struct {
	buf     []int16 // two backlogs, so that moving the waiting values down is rare
	head    int     // first waiting value in buf
	tail    int     // behind the last one
	block   int     // values in a block
	backlog int     // values
	next    uint64  // number of the sample at head
	dropped uint64  // samples
}

// NewCutter makes a cutter for blocks of the given duration, such as an
// encoder's packet, of which up to backlog may wait. Both are whole samples, and
// the backlog holds at least one block.
func NewCutter(block, backlog time.Duration) (*Cutter, error) {
	blockValues, exact := values(block)
	if block <= 0 || block > MaxBacklog || !exact {
		return nil, fmt.Errorf("pcm: blocks of %v are not whole samples of at most %v", block, MaxBacklog)
	}
	backlogValues, exact := values(backlog)
	if backlog < block || backlog > MaxBacklog || !exact {
		return nil, fmt.Errorf("pcm: backlog of %v is not whole samples from %v to %v", backlog, block, MaxBacklog)
	}
	return &Cutter{buf: make([]int16, 2*backlogValues), block: blockValues, backlog: backlogValues}, nil
}

// values is how many values d lasts, and whether that is so to the sample.
func values(d time.Duration) (n int, exact bool) {
	if d < 0 || d > MaxBacklog {
		return 0, false
	}
	samples := d * media.SampleRate / time.Second
	return int(samples) * media.Channels, samples*time.Second == d*media.SampleRate
}

// Write adds samples. An odd last value is ignored. It drops the oldest samples
// that the backlog cannot hold.
func (c *Cutter) Write(pcm []int16) {
	pcm = pcm[:len(pcm)/media.Channels*media.Channels]
	if surplus := c.tail - c.head + len(pcm) - c.backlog; surplus > 0 {
		waiting := min(surplus, c.tail-c.head)
		c.head += waiting
		pcm = pcm[surplus-waiting:]
		c.next += uint64(surplus / media.Channels)
		c.dropped += uint64(surplus / media.Channels)
	}
	if len(pcm) > len(c.buf)-c.tail {
		c.tail = copy(c.buf, c.buf[c.head:c.tail])
		c.head = 0
	}
	c.tail += copy(c.buf[c.tail:], pcm)
}

// Next takes the oldest block. number is that of its first sample, counted from
// the first one ever written. ok is false if no whole block waits. The block is
// valid until the next Write.
func (c *Cutter) Next() (block []int16, number uint64, ok bool) {
	if c.tail-c.head < c.block {
		return nil, c.next, false
	}
	block = c.buf[c.head : c.head+c.block : c.head+c.block]
	number = c.next
	c.head += c.block
	c.next += uint64(c.block / media.Channels)
	return block, number, true
}

// Waiting is how many samples wait.
func (c *Cutter) Waiting() int { return (c.tail - c.head) / media.Channels }

// Dropped is how many samples were ever dropped.
func (c *Cutter) Dropped() uint64 { return c.dropped }
