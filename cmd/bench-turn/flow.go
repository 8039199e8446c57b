//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// flow is a load in motion: allocations, one sender, a reader for each socket.
type flow struct {
	load        load
	allocations []*allocation
	origin      time.Time

	sent, received atomic.Uint64
	echo           bool // peers send back what they get
	mu             sync.Mutex
	trips          []time.Duration // of packets that came back
}

// newFlow opens the allocations of a load at a server.
func newFlow(ctx context.Context, s *server, l load, echo bool) (*flow, error) {
	f := &flow{load: l, origin: time.Now(), echo: echo}
	for range l.allocations {
		a, err := open(s)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			f.closeAll()
			return nil, err
		}
		f.allocations = append(f.allocations, a)
	}
	return f, nil
}

func (f *flow) closeAll() {
	for _, a := range f.allocations {
		a.close()
	}
}

// run sends and reads until ctx ends. The sockets' read deadlines have passed
// then, which close mends by itself.
func (f *flow) run(ctx context.Context) error {
	var readers sync.WaitGroup
	for _, a := range f.allocations {
		readers.Go(func() { f.read(a.client, channelFrame, nil) })
		if f.load.up || f.echo {
			readers.Go(func() { f.read(a.peer, 0, a) })
		}
	}
	err := f.send(ctx)
	for _, a := range f.allocations { // wakes the readers
		err = errors.Join(err, a.client.SetReadDeadline(time.Unix(1, 0)), a.peer.SetReadDeadline(time.Unix(1, 0)))
	}
	readers.Wait()
	return err
}

// send keeps to the schedule: allocations take turns within each period. Behind
// by more than a twentieth of a second it leaves out what it could not send.
func (f *flow) send(ctx context.Context) error {
	bursts := newBursts(f.load)
	step := time.Second / time.Duration(f.load.perSecond*len(f.allocations))
	next := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		if wait := time.Until(next); wait > 0 {
			pause(ctx, wait)
		} else if wait < -50*time.Millisecond {
			next = time.Now()
		}
		next = next.Add(step)
		a := f.allocations[i%len(f.allocations)]
		conn := a.peer
		if f.load.up {
			conn = a.client
		}
		n, err := bursts.write(conn, time.Since(f.origin))
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("send: %w", err)
		}
		f.sent.Add(uint64(n))
	}
	return nil
}

// read counts what arrives, of data behind frame bytes; from peers it sends it
// back to where it came from if the flow is an echo.
func (f *flow) read(conn *net.UDPConn, frame int, echo *allocation) {
	batch := ipv4.NewPacketConn(conn)
	messages := make([]ipv4.Message, 32)
	for i := range messages {
		messages[i].Buffers = [][]byte{make([]byte, 2048)}
	}
	for {
		n, err := batch.ReadBatch(messages, 0)
		if errors.Is(err, unix.ECONNREFUSED) {
			continue
		}
		if err != nil {
			return
		}
		now := time.Since(f.origin)
		for _, m := range messages[:n] {
			b := m.Buffers[0][:m.N]
			switch {
			case len(b) != payload+frame:
			case !f.echo:
				f.received.Add(1)
			case echo != nil:
				_, _ = echo.peer.Write(b)
			default:
				f.received.Add(1)
				f.trip(now - time.Duration(binary.BigEndian.Uint64(b[frame:])))
			}
		}
	}
}

func (f *flow) trip(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trips = append(f.trips, d)
}

// percentile of the round trips, in microseconds.
func (f *flow) percentile(p float64) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.trips) == 0 {
		return 0
	}
	slices.Sort(f.trips)
	return float64(f.trips[int(p*float64(len(f.trips)-1))]) / float64(time.Microsecond)
}

// enlarge gives a socket buffers beyond the system's limit, so that what is
// lost is lost by the server.
func enlarge(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("reach socket: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, socketBuffer))
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("enlarge socket buffers: %w", err)
	}
	return nil
}
