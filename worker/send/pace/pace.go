// Package pace plans when the packets of a picture leave. A small picture leaves
// at once. A large one leaves in chunks a tick apart, so that it neither fills the
// queue of the narrowest link on its way nor delays what shares that link.
//
// It is pure: time is an argument, nothing waits and nothing is allocated.
package pace

import "time"

// Config bounds a Pacer; zero fields have the defaults.
type Config struct {
	Burst  int           // packets of a picture that leave at once; 12
	Chunk  int           // most packets of a chunk, unless Within asks for more; 16
	Tick   time.Duration // least time between chunks; 1 ms, what a Go timer can do
	Within time.Duration // the last chunk leaves this long after the first if the rate allows; 4 ms
}

// Headroom is how much faster than the estimated rate of the path chunks may
// leave, as a fraction: an estimate is of what was used, and a queue that a burst
// makes must drain before the next picture.
const (
	headroomNum = 3
	headroomDen = 2
)

// Pacer is the plan of one stream to one viewer. It is a value for one goroutine.
type Pacer struct {
	cfg   Config
	left  int           // packets of the picture that did not leave yet
	chunk int           // packets that leave together
	gap   time.Duration // from one chunk to the next
	at    time.Duration // when the next chunk may leave
	rated bool          // at comes from a rate: it holds for the next picture, too
}

// New returns a Pacer that has nothing to send.
func New(cfg Config) Pacer {
	if cfg.Burst <= 0 {
		cfg.Burst = 12
	}
	if cfg.Chunk <= 0 {
		cfg.Chunk = 16
	}
	if cfg.Tick <= 0 {
		cfg.Tick = time.Millisecond
	}
	if cfg.Within <= 0 {
		cfg.Within = 4 * time.Millisecond
	}
	return Pacer{cfg: cfg}
}

// Begin plans a picture of so many packets and bytes that is there now. rate is
// what the path is thought to carry, in bits per second; 0 = no limit is known.
// What was left of the picture before is forgotten.
func (p *Pacer) Begin(now time.Duration, packets, bytes int, rate int64) {
	p.left, p.chunk, p.gap = packets, packets, p.cfg.Tick
	if packets > p.cfg.Burst {
		chunks := ceil(packets, p.cfg.Chunk)
		if most := int(p.cfg.Within/p.cfg.Tick) + 1; rate <= 0 && chunks > most {
			chunks = most
		}
		p.chunk = ceil(packets, chunks)
	}
	if !p.rated || p.at < now {
		p.at = now
	}
	p.rated = rate > 0 && packets > 0
	if p.rated {
		p.gap = drain(bytes, rate) * time.Duration(p.chunk) / time.Duration(packets)
		if packets > p.cfg.Burst && p.gap < p.cfg.Tick {
			p.hasten()
		}
	}
}

// hasten makes chunks a tick long, and fewer where they would not be done in time:
// the rate allows it.
func (p *Pacer) hasten() {
	gap, most := p.gap, int(p.cfg.Within/p.cfg.Tick)+1
	chunk := max(p.chunk, ceil(p.left, most))
	if gap > 0 {
		chunk = min(chunk, max(p.chunk, int(time.Duration(p.chunk)*p.cfg.Tick/gap)))
	}
	p.chunk, p.gap = chunk, p.cfg.Tick
}

// Due is how many packets leave now, and counts them as gone. Who comes late by
// more than a gap gets two chunks, so that a late timer does not add up.
func (p *Pacer) Due(now time.Duration) int {
	if p.left == 0 || now < p.at {
		return 0
	}
	n := min(p.chunk, p.left)
	if late := now - p.at; late >= p.gap {
		n = min(2*p.chunk, p.left)
		p.at = now + p.gap - min(late-p.gap, p.gap) // at most one gap is caught up
		if p.rated {
			p.at = now + p.gap
		}
	} else {
		p.at += p.gap
	}
	p.left -= n
	return n
}

// Left is how many packets of the picture did not leave yet.
func (p *Pacer) Left() int { return p.left }

// Next is when the next packets are due; it means something while Left is not 0.
func (p *Pacer) Next() time.Duration { return p.at }

// drain is how long so many bytes take.
func drain(bytes int, rate int64) time.Duration {
	rate = max(rate/headroomDen*headroomNum, 1)
	return time.Duration(min(int64(bytes)*8*int64(time.Second)/rate, int64(time.Minute)))
}

func ceil(a, b int) int { return (a + b - 1) / b }
