package batch

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// burst makes n datagrams of size bytes, the last one of last bytes, back to back
// and one by one. Each byte depends on the datagram and its place in it.
func burst(n, size, last int) (packets []byte, datagrams [][]byte) {
	packets = make([]byte, (n-1)*size+last)
	for i := range packets {
		packets[i] = byte(i*7 + i/size*31 + i>>9)
	}
	for rest := packets; len(rest) > 0; rest = rest[min(size, len(rest)):] {
		datagrams = append(datagrams, rest[:min(size, len(rest))])
	}
	return packets, datagrams
}

func TestFlushSendsTheSameBytesInEveryForm(t *testing.T) {
	refuse := func(errno syscall.Errno) func(int) error {
		return func(int) error { return fmt.Errorf("injected: %w", errno) }
	}
	forms := []struct {
		name         string
		fault        func(int) error
		failure      error
		segmentation bool
	}{
		{"segmented", nil, nil, true},
		{"EIO", refuse(syscall.EIO), nil, false},
		{"EMSGSIZE", refuse(syscall.EMSGSIZE), ErrTooLarge, true},
		{"EINVAL", refuse(syscall.EINVAL), ErrTooLarge, true},
	}
	bursts := []struct{ n, size, last int }{
		{1, 1200, 1200},
		{2, 1200, 1},
		{36, 1200, 700},
		{64, 1000, 1000},
		{65, 100, 100},
		{200, 1200, 3},
		{130, 500, 500},
		{3, 1, 1},
	}
	for name, addr := range families(t) {
		for _, form := range forms {
			t.Run(name+"/"+form.name, func(t *testing.T) {
				c := listen(t, addr, Config{Fault: form.fault})
				if !c.Stats().Segmentation {
					t.Skip("NOT TESTED: this kernel cannot segment")
				}
				p, to := peer(t, addr)
				w := c.NewWriter()
				for tag, b := range bursts {
					packets, datagrams := burst(b.n, b.size, b.last)
					w.Add(to, packets, b.size, tag)
					failures := w.Flush()
					if form.failure == nil && failures != nil {
						t.Fatalf("%+v: failures %v", b, failures)
					}
					if form.failure != nil && b.n > 1 {
						if len(failures) != 1 || failures[0].Tag != tag || failures[0].Packets != b.n || !errors.Is(failures[0].Err, form.failure) {
							t.Fatalf("%+v: failures %v", b, failures)
						}
					}
					expect(t, p, datagrams...)
				}
				expectNothing(t, p)
				if got := c.Stats().Segmentation; got != form.segmentation {
					t.Errorf("segmentation %v, want %v", got, form.segmentation)
				}
			})
		}
	}
}

func TestEIOIsRememberedAndStatsTell(t *testing.T) {
	var asked atomic.Int32
	c := listen(t, netip.MustParseAddr("127.0.0.1"), Config{Fault: func(int) error { asked.Add(1); return syscall.EIO }})
	if !c.Stats().Segmentation {
		t.Skip("NOT TESTED: this kernel cannot segment")
	}
	p, to := peer(t, netip.MustParseAddr("127.0.0.1"))
	packets, datagrams := burst(36, 1200, 1200)
	for range 2 {
		w := c.NewWriter()
		w.Add(to, packets, 1200, 0)
		if failures := w.Flush(); failures != nil {
			t.Fatal(failures)
		}
		expect(t, p, datagrams...)
	}
	if asked.Load() != 1 {
		t.Errorf("segmentation tried %d times, want once", asked.Load())
	}
	if s := c.Stats(); s.Packets != 72 || s.Bytes != 72*1200 || s.Messages != 72 || s.Segments[0] != 72 {
		t.Errorf("stats %+v", s)
	}
}

// TestManyViewers sends to more addresses than one call has messages for.
func TestManyViewers(t *testing.T) {
	for name, addr := range families(t) {
		t.Run(name, func(t *testing.T) {
			c := listen(t, addr, Config{})
			w := c.NewWriter()
			const viewers = writerMessages + 6
			var peers [viewers]*net.UDPConn
			var want [viewers][][]byte
			for i := range viewers {
				var to netip.AddrPort
				var packets []byte
				peers[i], to = peer(t, addr)
				packets, want[i] = burst(20, 500+i, 1+i)
				w.Add(to, packets, 500+i, i)
			}
			if failures := w.Flush(); failures != nil {
				t.Fatal(failures)
			}
			for i := range viewers {
				expect(t, peers[i], want[i]...)
			}
			s := c.Stats()
			if s.Packets != viewers*20 || s.Segmentation && (s.Syscalls != 2 || s.Messages != viewers || s.Segments[5] != viewers) {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// TestSegmentationDiesUnderWay turns it off while several goroutines send, and
// nobody who receives can tell.
func TestSegmentationDiesUnderWay(t *testing.T) {
	addr := netip.MustParseAddr("127.0.0.1")
	var asked atomic.Int32
	c := listen(t, addr, Config{Fault: func(int) error {
		if asked.Add(1) > 40 {
			return syscall.EIO
		}
		return nil
	}})
	if !c.Stats().Segmentation {
		t.Skip("NOT TESTED: this kernel cannot segment")
	}
	var all sync.WaitGroup
	for range 4 {
		p, to := peer(t, addr)
		all.Go(func() {
			w := c.NewWriter()
			for round := range 30 {
				packets, datagrams := burst(30, 900+round, 5)
				w.Add(to, packets, 900+round, 0)
				if failures := w.Flush(); failures != nil {
					t.Error(failures)
				}
				expect(t, p, datagrams...)
			}
		})
	}
	all.Wait()
	if s := c.Stats(); s.Segmentation || s.Packets != 4*30*30 || s.Segments[5] != 40 {
		t.Errorf("stats %+v", s)
	}
}
