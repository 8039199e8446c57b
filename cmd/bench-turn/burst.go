//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// bursts are the packets that a load sends, made once.
type bursts struct {
	packets [][]byte
	data    int            // where the data begins in each
	batch   []ipv4.Message // one a packet, or one for all with offload
	count   int            // packets in each message
}

func newBursts(l load) *bursts {
	b := &bursts{count: 1}
	if l.up {
		b.data = channelFrame
	}
	for range l.burst {
		packet := make([]byte, b.data+payload)
		if l.up {
			binary.BigEndian.PutUint16(packet, channel)
			binary.BigEndian.PutUint16(packet[2:], payload)
		}
		b.packets = append(b.packets, packet)
	}
	if l.offload {
		b.count = l.burst
		b.batch = []ipv4.Message{{Buffers: b.packets, OOB: segment(b.data + payload)}}
		return b
	}
	for _, packet := range b.packets {
		b.batch = append(b.batch, ipv4.Message{Buffers: [][]byte{packet}})
	}
	return b
}

// write sends them over a connected socket, with the time in each, and says how
// many packets the kernel took.
func (b *bursts) write(conn *net.UDPConn, now time.Duration) (int, error) {
	for _, packet := range b.packets {
		binary.BigEndian.PutUint64(packet[b.data:], uint64(now))
	}
	n, err := ipv4.NewPacketConn(conn).WriteBatch(b.batch, 0)
	if err != nil {
		return 0, fmt.Errorf("write batch: %w", err)
	}
	return n * b.count, nil
}

// segment is the control message that makes the kernel cut a datagram into
// such of size bytes (udp(7), UDP_SEGMENT).
func segment(size int) []byte {
	b := make([]byte, unix.CmsgSpace(2))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(2)))
	binary.NativeEndian.PutUint32(b[8:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(b[12:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(size))
	return b
}
