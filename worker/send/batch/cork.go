package batch

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

const (
	corkBytes = 128 << 10 // what one corked address holds
	corkSpare = 64        // queues kept for the next Cork
)

// corks are the addresses between Cork and Uncork.
type corks struct {
	held  atomic.Int32 // len(queues), so that WriteTo need not lock while nothing is corked
	mu    sync.Mutex
	queue map[netip.AddrPort]*cork
	spare []*cork
}

// cork is the queue of one address. Its memory is sent and used again.
type cork struct {
	mu     sync.Mutex
	depth  int // guarded by corks.mu
	packed []byte
	runs   []run
	writer *Writer
	err    error // of a queue that had to be sent because it was full
}

// Cork makes WriteTo hold RTP to this address, so that it leaves in segmented
// runs at Uncork: pion writes datagram by datagram. Everything else (STUN, DTLS,
// RTCP) is sent at once. 128 KiB are held; what comes then sends them first.
// Calls nest: the last Uncork sends.
func (c *Conn) Cork(to netip.AddrPort) {
	to = unmap(to)
	k := &c.corks
	k.mu.Lock()
	defer k.mu.Unlock()
	q := k.queue[to]
	if q == nil {
		q = k.take(c)
		if k.queue == nil {
			k.queue = make(map[netip.AddrPort]*cork)
		}
		k.queue[to] = q
		k.held.Add(1)
	}
	q.depth++
}

// Uncork sends what Cork held for this address. The error is that of the first
// Failure since Cork, ErrTooLarge among them. Without a Cork it does nothing.
func (c *Conn) Uncork(to netip.AddrPort) error {
	to = unmap(to)
	k := &c.corks
	k.mu.Lock()
	q := k.queue[to]
	if q != nil {
		q.depth--
	}
	if q == nil || q.depth > 0 {
		k.mu.Unlock()
		return nil
	}
	delete(k.queue, to)
	k.held.Add(-1)
	k.mu.Unlock()

	q.mu.Lock()
	q.send(to)
	err := q.err
	q.err = nil
	q.mu.Unlock()

	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.spare) < corkSpare {
		k.spare = append(k.spare, q)
	}
	return err
}

func (k *corks) take(c *Conn) *cork {
	if n := len(k.spare); n > 0 {
		q := k.spare[n-1]
		k.spare = k.spare[:n-1]
		return q
	}
	return &cork{packed: make([]byte, 0, corkBytes), writer: c.NewWriter()}
}

// hold queues p if it is RTP and its address is corked.
func (k *corks) hold(c *Conn, p []byte, to netip.AddrPort) bool {
	if k.held.Load() == 0 || !isRTP(p) || len(p) > c.limit {
		return false
	}
	to = unmap(to)
	k.mu.Lock()
	q := k.queue[to]
	if q == nil {
		k.mu.Unlock()
		return false
	}
	q.mu.Lock() // before the other is released: Uncork must not come between
	k.mu.Unlock()
	defer q.mu.Unlock()
	if len(q.packed)+len(p) > cap(q.packed) {
		q.send(to)
	}
	q.packed = append(q.packed, p...)
	q.runs = extend(q.runs, len(p))
	return true
}

// send empties the queue; the caller holds q.mu.
func (q *cork) send(to netip.AddrPort) {
	for _, r := range q.runs {
		q.writer.Add(to, q.packed[r.from:r.to], r.segment, 0)
	}
	if failures := q.writer.Flush(); len(failures) > 0 && q.err == nil {
		q.err = failures[0].Err
	}
	q.packed, q.runs = q.packed[:0], q.runs[:0]
}

// isRTP tells RTP from what else shares the port: first byte 128-191 (RFC 7983,
// section 7), and of these RTCP has 192-223 in the second (RFC 5761, section 4).
func isRTP(p []byte) bool {
	return len(p) >= 12 && p[0]>>6 == 2 && (p[1] < 192 || p[1] > 223)
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
