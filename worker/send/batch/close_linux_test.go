package batch

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// folder counts what a folder of /proc lists.
func folder(t *testing.T, path string) int {
	t.Helper()
	names, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// TestCloseLeaksNothing closes sockets while they are read and written, and
// counts descriptors, goroutines and threads.
func TestCloseLeaksNothing(t *testing.T) {
	addr := netip.MustParseAddr("127.0.0.1")
	round := func() {
		c, err := Listen(netip.AddrPortFrom(addr, 0), Config{})
		if err != nil {
			t.Fatal(err)
		}
		var users sync.WaitGroup
		defer users.Wait()
		reading, writing := make(chan struct{}), make(chan struct{})
		users.Go(func() {
			buffer := make([]byte, 100)
			_, _, err := c.ReadFrom(buffer)
			close(reading)
			for ; err == nil; _, _, err = c.ReadFrom(buffer) {
			}
			if !errors.Is(err, net.ErrClosed) {
				t.Error("read:", err)
			}
		})
		users.Go(func() {
			var err error
			for n := 0; err == nil; n++ {
				if _, err = c.WriteTo([]byte("x"), c.LocalAddr()); n == 10 {
					close(writing)
				}
			}
			if !errors.Is(err, net.ErrClosed) {
				t.Error("write:", err)
			}
		})
		users.Go(func() {
			w := c.NewWriter()
			packets, _ := burst(100, 100, 100)
			for {
				w.Add(c.AddrPort(), packets, 100, 0)
				for _, f := range w.Flush() {
					if !errors.Is(f.Err, net.ErrClosed) {
						t.Error("flush:", f.Err)
					}
					return
				}
			}
		})
		<-reading
		<-writing
		for range 2 {
			users.Go(func() {
				if err := c.Close(); err != nil {
					t.Error("close:", err)
				}
			})
		}
	}
	for range 3 { // the runtime's own threads and descriptors
		round()
	}
	descriptors, threads := folder(t, "/proc/self/fd"), folder(t, "/proc/self/task")
	others := goleak.IgnoreCurrent()
	for range 50 {
		round()
	}
	if n := folder(t, "/proc/self/fd"); n != descriptors {
		t.Errorf("%d descriptors, %d before", n, descriptors)
	}
	goleak.VerifyNone(t, others) // those of the last round may be about to end
	// A round has 5 goroutines that may be in the kernel at once; their threads
	// are used again.
	if n := folder(t, "/proc/self/task"); n > threads+10 {
		t.Errorf("%d threads, %d before", n, threads)
	}
}

// TestCloseWakesAReaderThatWaits closes a socket that never gets a datagram.
func TestCloseWakesAReaderThatWaits(t *testing.T) {
	for name, addr := range families(t) {
		t.Run(name, func(t *testing.T) {
			for i := range 20 {
				c := listen(t, addr, Config{})
				if i%2 == 1 { // it waits in poll(2) then
					if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
						t.Fatal(err)
					}
				}
				ended := make(chan error)
				go func() {
					_, _, err := c.ReadFrom(make([]byte, 1))
					ended <- err
				}()
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				if err := <-ended; !errors.Is(err, net.ErrClosed) {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestUseAfterClose(t *testing.T) {
	c := listen(t, netip.MustParseAddr("127.0.0.1"), Config{})
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// The number of the descriptor is somebody else's now.
	successor, to := peer(t, netip.MustParseAddr("127.0.0.1"))
	if _, _, err := c.ReadFrom(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Error("read:", err)
	}
	if _, err := c.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(to)); !errors.Is(err, net.ErrClosed) {
		t.Error("write:", err)
	}
	expectNothing(t, successor)
}

func TestGuard(t *testing.T) {
	g := newGuard()
	for range 2 {
		if !g.enter() {
			t.Fatal("open guard refuses")
		}
	}
	g.leave()
	if !g.close() || g.close() {
		t.Fatal("closing is for the first")
	}
	if g.enter() {
		t.Fatal("closed guard lets somebody in")
	}
	drained := make(chan struct{})
	go func() {
		g.drain()
		close(drained)
	}()
	select {
	case <-drained:
		t.Fatal("drained while somebody is inside")
	default:
	}
	g.leave()
	<-drained
	g.drain() // again, at once
}
