package estimate

import "time"

// window is what feedback told of some successive packets.
type window struct {
	begun         time.Duration
	from, to      edge // the newest packet before, and the newest
	shortest      time.Duration
	timed         bool // shortest is valid
	packets       int
	arrived, lost int // bytes
}

// edge is a packet between two windows.
type edge struct {
	sent, arrived time.Duration // by our clock, and by the receiver's
	total         uint32        // bytes sent up to it, modulo 2^32
	valid         bool
}

// sample is a window in figures.
type sample struct {
	queue          time.Duration // the shortest delay, less that of an empty path
	loss           float64
	sent, received int64 // bit/s
}

// arrive notes when a packet arrived. One that is not current was sent at another
// rate: the window begins behind it.
func (w *window) arrive(p edge, current bool) {
	if !current {
		if p.sent >= w.from.sent {
			w.from = p
		}
		return
	}
	if !w.from.valid {
		w.from = p
	}
	if !w.to.valid || p.sent >= w.to.sent {
		w.to = p
	}
	if delay := p.arrived - p.sent; !w.timed || delay < w.shortest {
		w.shortest, w.timed = delay, true
	}
}

func (w *window) count(size int) {
	w.packets++
	w.arrived += size
}

func (w *window) lose(size int) {
	w.packets++
	w.lost += size
}

// sample is what the window says of a path whose shortest delay is base. Packets
// of which no feedback came fared as the others did. Packets that came faster than
// they were sent had waited for the receiver: that is not the rate of the path.
func (w *window) sample(base time.Duration) sample {
	s := sample{queue: w.shortest - base, loss: float64(w.lost) / float64(max(1, w.arrived+w.lost))}
	took := w.to.sent - w.from.sent
	s.sent = rate(w.to.total-w.from.total, took)
	s.received = int64(float64(rate(w.to.total-w.from.total, max(took, w.to.arrived-w.from.arrived))) * (1 - s.loss))
	return s
}

// rate is bytes in a time, in bits per second.
func rate(bytes uint32, in time.Duration) int64 {
	if in <= 0 {
		return 0
	}
	return int64(float64(bytes) * 8 / in.Seconds())
}
