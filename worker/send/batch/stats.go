package batch

import (
	"errors"
	"math/bits"
	"net"
	"sync/atomic"
	"syscall"
)

// SegmentBuckets is how many buckets [Stats.Segments] has: messages of 1, 2, 3-4,
// 5-8, 9-16, 17-32 and 33-64 datagrams.
const SegmentBuckets = 7

// Stats are counters since Listen.
type Stats struct {
	Packets, Bytes     uint64                 // datagrams sent, and their payload
	Messages, Syscalls uint64                 // what they were sent in; a message is up to 64 datagrams, a call up to 64 messages
	Segments           [SegmentBuckets]uint64 // messages by how many datagrams they held
	TooLarge           uint64                 // messages that were refused as larger than the path MTU and sent unsegmented
	Segmentation       bool                   // segmentation offload is in use

	DroppedCongested uint64 // datagrams not sent: the send buffer stayed full
	DroppedClosed    uint64 // datagrams not sent: the socket was closed
	DroppedError     uint64 // datagrams not sent: refused by the kernel, or no address of this socket's family

	Received, ReceivedBytes uint64 // datagrams that ReadFrom returned, and their payload
	ReceivedTooLarge        uint64 // datagrams dropped because they are over 2048 bytes
	ReadErrors              uint64 // errors of the socket that ended nothing, ICMP's for example
}

// tally is what one call did; it becomes visible at once at its end, so that a
// packet costs no atomic operation.
type tally struct {
	packets, bytes, messages, syscalls, tooLarge uint64
	congested, closed, failed                    uint64
	segments                                     [SegmentBuckets]uint64
}

func (t *tally) sent(datagrams, bytes int) {
	t.packets += uint64(datagrams)
	t.bytes += uint64(bytes)
	t.messages++
	t.segments[bits.Len(uint(datagrams-1))%SegmentBuckets]++
}

func (t *tally) drop(datagrams int, err error) {
	switch {
	case errors.Is(err, net.ErrClosed):
		t.closed += uint64(datagrams)
	case errors.Is(err, ErrCongested), errors.Is(err, syscall.ENOBUFS):
		t.congested += uint64(datagrams)
	default:
		t.failed += uint64(datagrams)
	}
}

type counters struct {
	packets, bytes, messages, syscalls, tooLarge atomic.Uint64
	congested, closed, failed                    atomic.Uint64
	segments                                     [SegmentBuckets]atomic.Uint64

	_ [64]byte // readers and writers on different cache lines

	received, receivedBytes, receivedTooLarge, readErrors atomic.Uint64
}

func (c *counters) add(t *tally) {
	bump(&c.packets, t.packets)
	bump(&c.bytes, t.bytes)
	bump(&c.messages, t.messages)
	bump(&c.syscalls, t.syscalls)
	bump(&c.tooLarge, t.tooLarge)
	bump(&c.congested, t.congested)
	bump(&c.closed, t.closed)
	bump(&c.failed, t.failed)
	for i := range t.segments {
		bump(&c.segments[i], t.segments[i])
	}
}

func bump(c *atomic.Uint64, n uint64) {
	if n > 0 {
		c.Add(n)
	}
}

func (c *counters) snapshot() Stats {
	s := Stats{
		Packets: c.packets.Load(), Bytes: c.bytes.Load(),
		Messages: c.messages.Load(), Syscalls: c.syscalls.Load(),
		TooLarge:         c.tooLarge.Load(),
		DroppedCongested: c.congested.Load(),
		DroppedClosed:    c.closed.Load(),
		DroppedError:     c.failed.Load(),
		Received:         c.received.Load(), ReceivedBytes: c.receivedBytes.Load(),
		ReceivedTooLarge: c.receivedTooLarge.Load(),
		ReadErrors:       c.readErrors.Load(),
	}
	for i := range s.Segments {
		s.Segments[i] = c.segments[i].Load()
	}
	return s
}
