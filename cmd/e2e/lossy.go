package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	lossyQueue  = 4096    // datagrams on their way, in each direction; overflow: dropped and counted as lost
	lossyBuffer = 4 << 20 // bytes of each socket
)

// Path is what a Lossy does to each direction.
type Path struct {
	Delay time.Duration
	Loss  float64 // share of datagrams that vanish, 0..1
	Seed  uint64  // of the random numbers that say which
}

// Lossy is a UDP path between one browser and a worker, in this process: a bad
// network without root rights. Datagrams keep their order.
type Lossy struct {
	path        Path
	front, back *net.UDPConn                   // towards the browser, towards the worker
	browser     atomic.Pointer[netip.AddrPort] // as last seen
	up, down    direction
}

// direction counts what goes one way.
type direction struct{ seen, lost atomic.Int64 }

// Loss counts datagrams.
type Loss struct{ Up, UpLost, Down, DownLost int64 }

// NewLossy opens a path to a worker's media port on loopback. It must be run.
func NewLossy(to netip.AddrPort, path Path) (*Lossy, error) {
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("open lossy path: %w", err)
	}
	back, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		_ = front.Close()
		return nil, fmt.Errorf("open lossy path: %w", err)
	}
	for _, c := range []*net.UDPConn{front, back} {
		_ = c.SetReadBuffer(lossyBuffer) // the kernel caps it
	}
	return &Lossy{path: path, front: front, back: back}, nil
}

// Port is where the browser finds the worker.
func (l *Lossy) Port() int { return l.front.LocalAddr().(*net.UDPAddr).Port }

// Counts says what went through so far.
func (l *Lossy) Counts() Loss {
	return Loss{l.up.seen.Load(), l.up.lost.Load(), l.down.seen.Load(), l.down.lost.Load()}
}

// Run forwards until ctx ends, then closes both sockets and returns nil.
func (l *Lossy) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		return errors.Join(l.front.Close(), l.back.Close())
	})
	l.forward(g, &l.up, l.path.Seed, func(b []byte) (int, error) {
		n, from, err := l.front.ReadFromUDPAddrPort(b)
		if err == nil && (l.browser.Load() == nil || *l.browser.Load() != from) {
			l.browser.Store(&from)
		}
		return n, err
	}, func(b []byte) { _, _ = l.back.Write(b) })
	l.forward(g, &l.down, l.path.Seed+1, l.back.Read, func(b []byte) {
		if to := l.browser.Load(); to != nil {
			_, _ = l.front.WriteToUDPAddrPort(b, *to)
		}
	})
	return g.Wait()
}

// delayed is a datagram on its way.
type delayed struct {
	due  time.Time
	data []byte
}

// forward moves one direction: what is read leaves the delay later, if at all.
func (l *Lossy) forward(g *errgroup.Group, d *direction, seed uint64, read func([]byte) (int, error), write func([]byte)) {
	way := make(chan delayed, lossyQueue)
	g.Go(func() error {
		defer close(way)
		random, buf := rand.New(rand.NewPCG(seed, 0)), make([]byte, 1<<16)
		for {
			n, err := read(buf)
			switch {
			case errors.Is(err, net.ErrClosed):
				return nil
			case err != nil:
				continue // an ICMP error of a datagram before: the worker is not there yet, or no more
			}
			passes := random.Float64() >= l.path.Loss
			if passes {
				select {
				case way <- delayed{time.Now().Add(l.path.Delay), append([]byte(nil), buf[:n]...)}:
				default:
					passes = false
				}
			}
			if !passes {
				d.lost.Add(1)
			}
			d.seen.Add(1)
		}
	})
	g.Go(func() error {
		for p := range way {
			time.Sleep(time.Until(p.due))
			write(p.data)
		}
		return nil
	})
}
