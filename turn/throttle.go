package turn

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// Bounds of what is answered to clients that have not proved who they are. A
// school behind one address, or all players behind a node of Kubernetes that
// hides theirs, can start at once; a flood from forged addresses is answered
// with less than it costs.
const (
	strangerRate  = 100    // answers a second to one address, in the long run
	strangerBurst = 1000   // answers to one address at once
	totalRate     = 10_000 // answers a second to all, and at once
	throttleCells = 1 << 16
)

// throttle bounds how many strangers are answered, in all and for each
// network. It is a table of a fixed size (512 KiB) that addresses are hashed
// into under a secret seed, so no number of addresses makes it grow; two that
// meet in one cell share its rate. Each cell is a token bucket in the form of
// the generic cell rate algorithm (ITU-T I.371): the time at which it is full
// again. It takes no lock and may be called concurrently.
type throttle struct {
	seed  maphash.Seed
	start time.Time
	total atomic.Int64 // nanoseconds since start
	cells [throttleCells]atomic.Int64
}

func newThrottle(now time.Time) *throttle {
	// A cell of value 0 is full at the start, which is an hour ago already.
	return &throttle{seed: maphash.MakeSeed(), start: now.Add(-time.Hour)}
}

// admit says whether a stranger at addr is answered at the time now.
func (t *throttle) admit(addr netip.Addr, now time.Time) bool {
	since := int64(now.Sub(t.start))
	cell := &t.cells[maphash.Comparable(t.seed, networkOf(addr))%throttleCells]
	return take(cell, since, int64(time.Second)/strangerRate, strangerBurst) &&
		take(&t.total, since, int64(time.Second)/totalRate, totalRate)
}

// take takes one of burst tokens, which come back one each interval.
func take(full *atomic.Int64, now, interval, burst int64) bool {
	for {
		old := full.Load()
		next := max(old, now) + interval
		if next > now+burst*interval {
			return false
		}
		if full.CompareAndSwap(old, next) {
			return true
		}
	}
}

// networkOf is who a client is counted as: its IPv4 address or its IPv6 network
// of 64 bits, as one customer has at least that many.
func networkOf(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		return netip.PrefixFrom(addr, 64).Masked().Addr()
	}
	return addr
}
