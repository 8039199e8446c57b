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

	// Where a rate is known:
	Ahead   time.Duration // a picture begins once the path has at most this much left to carry; 20 ms, about a picture's time
	Longest time.Duration // a picture that has begun is finished within this, even if the rate says more; 250 ms
}

// Headroom is how much faster than the rate of the path a picture leaves, as a
// fraction, so that the queue before the narrowest link does not run empty. In the
// long run no more leaves than the rate.
const (
	headroomNum = 5
	headroomDen = 4
)

// Pacer is the plan of one stream to one viewer. It is a value for one goroutine.
type Pacer struct {
	cfg   Config
	left  int           // packets of the picture that did not leave yet
	chunk int           // packets that leave together
	gap   time.Duration // from one chunk to the next
	at    time.Duration // when the next chunk may leave

	rate    int64         // of the path, as Begin was told last; 0 = not known
	debt    int64         // bytes that left and that the path did not carry yet, at that rate
	settled time.Duration // when debt was right
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
	if cfg.Ahead <= 0 {
		cfg.Ahead = 20 * time.Millisecond
	}
	if cfg.Longest <= 0 {
		cfg.Longest = 250 * time.Millisecond
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
	p.settle(now, rate)
	p.at = now
	if rate <= 0 || packets <= 0 {
		return
	}
	p.at += max(0, took(p.debt, rate)-p.cfg.Ahead)
	fast := max(rate/headroomDen*headroomNum, 1)
	p.gap = min(took(int64(bytes), fast), p.cfg.Longest) * time.Duration(p.chunk) / time.Duration(packets)
	if packets > p.cfg.Burst && p.gap < p.cfg.Tick {
		p.hasten()
	}
}

// Spent notes that so many bytes left for the viewer, of this stream or another.
func (p *Pacer) Spent(bytes int) { p.debt += int64(bytes) }

// settle takes away what the path carried since. A rate that was not known tells
// nothing about what left before.
func (p *Pacer) settle(now time.Duration, rate int64) {
	if p.rate <= 0 || rate <= 0 {
		p.debt = 0
	} else if gone := now - p.settled; gone > 0 {
		p.debt = max(0, p.debt-int64(gone.Seconds()*float64(rate)/8))
	}
	p.rate, p.settled = rate, now
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
// more than a gap gets two chunks, so that a late timer does not add up; the third
// is half a gap away at least, however late it is.
func (p *Pacer) Due(now time.Duration) int {
	if p.left == 0 || now < p.at {
		return 0
	}
	n := min(p.chunk, p.left)
	p.at += p.gap
	if p.at <= now {
		n = min(2*p.chunk, p.left)
		p.at = max(p.at+p.gap, now+p.gap/2)
	}
	p.left -= n
	return n
}

// Left is how many packets of the picture did not leave yet.
func (p *Pacer) Left() int { return p.left }

// Next is when the next packets are due; it means something while Left is not 0.
func (p *Pacer) Next() time.Duration { return p.at }

// took is how long so many bytes take.
func took(bytes, rate int64) time.Duration {
	return time.Duration(min(float64(bytes)*8/float64(rate)*float64(time.Second), float64(time.Minute)))
}

func ceil(a, b int) int { return (a + b - 1) / b }
